"""What the app printed last, and how often PM2 had to start it again: both from the journal."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence

UNIT = "expressway-app.service"
_PM2 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: PM2 (?:log|error): ?")
"""How PM2 begins its own lines, among those of the app."""
# PM2 says so of a process that ended by itself, and never of one that it stops or reloads.
_CRASH = re.compile(_PM2.pattern + r"App \[(?P<process>(?P<name>.+):\d+)\] will restart in \d+ms")


def read(since: float, lines: int = 2000) -> list[str]:
    """The last lines of the app's service from `since` on, in seconds since the epoch. Empty when it can't be read."""
    # By the field, not --unit: that would add what systemd says of the unit.
    command = ["journalctl", f"_SYSTEMD_UNIT={UNIT}", f"--since=@{since:.6f}", f"--lines={lines}"]
    done = subprocess.run(
        [*command, "--output=cat", "--no-pager", "--quiet"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout.splitlines()


def own(lines: Iterable[str], last: int) -> list[str]:
    """The `last` of the lines that the app itself printed."""
    found = [line for line in lines if line.strip() and not _PM2.match(line)]
    return found[-last:]


def crashes(lines: Iterable[str], name: str) -> int:
    """How often the one of the processes called `name` that ended most often ended by itself."""
    ended = (found["process"] for line in lines if (found := _CRASH.match(line)) and found["name"] == name)
    return max(Counter(ended).values(), default=0)


def last_words(lines: Sequence[str], last: int = 40) -> list[str]:
    """What the app said last; where it said nothing, how PM2 says that it ended."""
    ends = [
        _PM2.sub("PM2: ", line) for line in lines if _PM2.match(line) and ("exited with" in line or "error" in line)
    ]
    return own(lines, last) or ends[-last:]
