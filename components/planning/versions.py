"""Versions, which are compared by number: 17.10 is newer than 17.9."""

import re


def version_key(version: str) -> tuple[int, ...]:
    """What versions are ordered by."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def postgres_major(version: str) -> str:
    """The major version, which parameters belong to."""
    return version.partition(".")[0]


def postgres_version(wanted: str, running: str | None) -> str:
    """What to ask RDS for: of one major version, what runs already where it is newer, since RDS takes no older one."""
    if running and "." in wanted and postgres_major(wanted) == postgres_major(running):
        return max(wanted, running, key=version_key)
    return wanted
