"""What is kept of databases beside their machines: base backups are taken, WAL and bases that nobody needs are removed.

How far the WAL reaches is told to the API, so that it knows the latest time that a database can be restored to.
"""

import logging
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import requests

from lab.machines import access
from lab.machines.services import backups, postgresql

from .api import Api
from .plan import Base

PERIOD_SECONDS: Final = 2.0
BEHIND_SECONDS: Final = 1.0
"""A commit has its time before it is written, and a segment was written to last at its end: what is older than this is
in it."""

log = logging.getLogger("lab.controller")

_OF_WAL: Final = re.compile(r"[0-9A-F]{24}(\..*)?")
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
_FIRST: Final = re.compile(r"^START WAL LOCATION: .*\(file ([0-9A-F]{24})\)$", re.MULTILINE)
_PER_FILE: Final = 256
"""Segments of 16 MB for each of the second number in their names."""


class BackupError(Exception):
    """A base backup could not be taken; the message has the server's own words."""


def take(api: Api, base: Base, machines: Path) -> None:
    """Take it, and tell the API, also that it can't be done. Of a database that is gone meanwhile nobody waits for it.

    Raises BackupError and requests.RequestException.
    """
    into = backups.folder(base.resource)
    command = postgresql.take_base(into, base.base, base.port, archived=base.archived)
    try:
        done = access.run(base.machine, command, machines)
    except access.MachineError as error:
        _give_up(api, base, str(error))
        return
    if done.returncode != 0:
        _give_up(api, base, f"{base.machine}: {done.stderr.strip()}")
        return
    _ended(api, base, float(done.stdout))


def _give_up(api: Api, base: Base, why: str) -> None:
    if _ended(api, base, None):
        raise BackupError(why)


def _ended(api: Api, base: Base, when: float | None) -> bool:
    """Tell when it was complete, or that it can't be. Whether anybody waited for it."""
    try:
        api.tell(f"db-backups/{base.base}", {"ended": when})
    except requests.HTTPError as error:
        if error.response is None or error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        log.info("%s: nobody waits for its base backup any more", base.machine)
        return False
    return True


class Archives:
    """Remembers what was told. `folder` has a directory for each database."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._told: dict[str, float] = {}
        self._at = 0.0

    def look(self, kept: Collection[Mapping[str, Any]], now: float) -> None:
        """Remove what nobody needs, and tell how far the WAL reaches. Raises requests.RequestException.

        `kept` has to be newer than the bases that were begun: whatever it doesn't have is removed.
        """
        if now - self._at < PERIOD_SECONDS:
            return
        self._at = now
        of = {each["resource"]: each for each in kept}
        for found in _inside(self._folder):
            if found.name not in of:
                shutil.rmtree(found, ignore_errors=True)
            else:
                self._tidy(found, of[found.name])

    def _tidy(self, found: Path, kept: Mapping[str, Any]) -> None:
        for base in _inside(found / "base"):
            if base.name.removeprefix(".") not in kept["bases"]:
                shutil.rmtree(base, ignore_errors=True)
        wal = found / "wal"
        if not kept["archived"]:
            shutil.rmtree(wal, ignore_errors=True)
        elif first := _first(found / "base", kept["first"]):
            names = [each.name for each in _inside(wal)]
            for name in older(names, first):
                (wal / name).unlink(missing_ok=True)
            if last := last_in_a_row(names, first):
                self._tell(kept["resource"], (wal / last).stat().st_mtime - BEHIND_SECONDS)

    def _tell(self, resource: str, until: float) -> None:
        if self._told.get(resource) != until:
            self._api.tell(f"db-backups/{resource}/archived", {"until": until})
            self._told[resource] = until


def older(names: Iterable[str], first: str) -> list[str]:
    """The WAL that is older than the segment `first`, on whatever timeline. Their histories stay."""
    return [name for name in names if _OF_WAL.fullmatch(name) and _number(name) < _number(first)]


def last_in_a_row(names: Iterable[str], first: str) -> str | None:
    """The last segment that there is of those from `first` on without a gap: what is beyond can't be reached.

    A segment in which a timeline begins has all of the one before it.
    """
    segments = {_number(name): name for name in sorted(names) if _SEGMENT.fullmatch(name)}
    number = _number(first)
    while number in segments:
        number += 1
    return segments.get(number - 1) if number > _number(first) else None


def _number(name: str) -> int:
    return int(name[8:16], 16) * _PER_FILE + int(name[16:24], 16)


def _first(bases: Path, base: str | None) -> str | None:
    """The segment that a base backup begins with."""
    if base is None:
        return None
    try:
        found = _FIRST.search((bases / base / "backup_label").read_text())
    except FileNotFoundError:
        return None
    return found[1] if found else None


def _inside(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
