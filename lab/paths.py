"""Where the lab keeps things: images in the cache that stays after `lab down`, the rest in a state directory."""

from pathlib import Path

from artifact import cache

ROOT = Path(__file__).resolve().parent.parent
"""This repository."""

STATE = Path("/var/lib/expressway-lab")
"""Everything of a running lab. `lab down` removes it whole."""

MACHINES = STATE / "machines"
"""One directory per machine: its overlay, its pid, its console log."""

BACKUPS = STATE / "backups"
"""What is kept of databases beside their machines, as S3 keeps it for RDS: a directory for each."""


def images() -> Path:
    """Root file systems, keyed by what they were made from."""
    return cache.root() / "images"
