"""Nginx's list of servers: its text, and getting Nginx to use it."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expressway_machine import files

from .model import Server

STAND_IN = "127.0.0.1:8081"
"""Answers 503 with Retry-After; nginx.conf.j2 has it."""
_LINE = re.compile(r"^server (?P<address>[0-9.]+):\d+ [^;]*; # (?P<instance_id>\S+)$", re.MULTILINE)


class ApplyError(Exception):
    """Nginx didn't take the list. What it said is the message."""


def render(servers: Sequence[Server], port: int) -> str:
    """The upstream file. With no servers, the stand-in is the only one: Nginx refuses an upstream of backups alone."""
    lines = ["# Written by expressway-reconciler from the Auto Scaling group."]
    lines += [f"server {each.address}:{port} {_passive_checks(len(servers))}; # {each.instance_id}" for each in servers]
    lines += [f"server {STAND_IN} backup;" if servers else f"server {STAND_IN};"]
    return "\n".join(lines) + "\n"


def parse(text: str) -> tuple[Server, ...]:
    """The servers that `render` wrote."""
    return tuple(sorted(Server(found["instance_id"], found["address"]) for found in _LINE.finditer(text)))


def _passive_checks(servers: int) -> str:
    """When Nginx itself avoids a server for a while: the fewer there are, the harder it is to be avoided."""
    match servers:
        case 1:
            return "max_fails=0"
        case 2:
            return "max_fails=3 fail_timeout=5s"
        case _:
            return "max_fails=1 fail_timeout=10s"


@dataclass(frozen=True)
class Nginx:
    """The running Nginx, and the file that it reads its servers from."""

    path: Path
    """The upstream file; it outlives a reboot."""
    loaded: Path
    """What Nginx was last seen to load; on a tmpfs. A reload that was cut short is thereby repeated."""
    test: tuple[str, ...] = ("nginx", "-t", "-q")
    reload: tuple[str, ...] = ("systemctl", "reload", "nginx.service")

    def servers(self) -> tuple[Server, ...]:
        """What Nginx has."""
        return parse(self.path.read_text()) if self.path.is_file() else ()

    def apply(self, text: str) -> bool:
        """Have Nginx use `text`. Whether a reload was needed. ApplyError when it can't: then the old file is back."""
        before = self.path.read_text() if self.path.is_file() else None
        if before == text and self.loaded.is_file() and self.loaded.read_text() == text:
            return False
        files.write(self.path, text)
        if problem := _failure(self.test):
            if before is not None:
                files.write(self.path, before)
            raise ApplyError(f"nginx refused the upstream file: {problem}")
        if problem := _failure(self.reload):
            raise ApplyError(f"nginx didn't reload: {problem}")
        files.write(self.loaded, text)
        return True


def _failure(command: Sequence[str]) -> str:
    """What the program complained of, or nothing when it ended well."""
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    return "" if result.returncode == 0 else result.stderr.strip() or f"exit status {result.returncode}"
