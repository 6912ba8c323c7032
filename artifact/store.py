"""What was built before, by what it was built from. Safe to kill at any instant, and safe for two at once."""

import fcntl
import itertools
import json
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A built file."""

    path: Path
    sha256: str
    details: Mapping[str, Any]
    """What else the builder wanted to remember."""


class Store:
    """`<cache>/artifacts`: the built files, an index of them, and what builds need on the way."""

    def __init__(self, cache: Path) -> None:
        self._root = cache / "artifacts"

    def find(self, name: str) -> Entry | None:
        """The file that was added under `name`, if it is still there. Reads only."""
        try:
            record = json.loads((self._root / "index" / f"{name}.json").read_text())
            path = self._root / record["file"]
            complete = path.stat().st_size == record["size"]
        except (OSError, ValueError, KeyError):
            return None
        return Entry(path, record["sha256"], record["details"]) if complete else None

    def add(self, name: str, built: Path, file: str, sha256: str, details: Mapping[str, Any]) -> Entry:
        """Keep the file `built` as `file`, found under `name`: first the file, then the index, each by renaming."""
        path = self._root / file
        record = {"file": file, "sha256": sha256, "size": built.stat().st_size, "details": details}
        built.chmod(0o644)
        built.rename(path)
        with self.new_file() as index:
            index.write_text(json.dumps(record, indent=1))
            index.rename(self._made("index") / f"{name}.json")
        return Entry(path, sha256, details)

    def folder(self, name: str) -> Path:
        """A folder that is kept between builds."""
        return self._made("tools") / name

    @contextmanager
    def lock(self, name: str) -> Generator[None]:
        """Hold `name` against other processes; the kernel lets go of it if this one dies."""
        with (self._made("locks") / name).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def work(self, name: str) -> Generator[Path]:
        """An empty folder at a path that depends on `name` alone, since compilers write it into what they make.

        Call it under a lock of that name. A killed build may have left a package manager at work in its folder: the
        next one then takes another.
        """
        parent = self._made("work")
        path = next(path for n in itertools.count() if not (path := parent / f"{name}-{n}").exists())
        path.mkdir()
        try:
            yield path
        finally:
            for each in parent.glob(f"{name}-*"):
                shutil.rmtree(each, ignore_errors=True)

    @contextmanager
    def new_folder(self) -> Generator[Path]:
        """A folder to fill and then rename to its place; it is gone afterwards if it wasn't."""
        with tempfile.TemporaryDirectory(dir=self._made("work"), prefix="new-", ignore_cleanup_errors=True) as parent:
            path = Path(parent) / "folder"
            path.mkdir()
            yield path

    @contextmanager
    def new_file(self) -> Generator[Path]:
        """A file to fill and then rename to its place; it is gone afterwards if it wasn't."""
        with tempfile.TemporaryDirectory(dir=self._made("work"), prefix="new-") as parent:
            yield Path(parent) / "file"

    def _made(self, name: str) -> Path:
        path = self._root / name
        path.mkdir(parents=True, exist_ok=True)
        return path
