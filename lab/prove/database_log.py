"""What the database's log says: each read of an item and from where it came, and each connection that was refused.

The lab logs every statement (Pulumi.lab.yaml), so nothing has to be asked of the database while it is measured.
"""

import re
from calendar import timegm
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import strptime
from typing import Final

from lab.machines.services import postgresql

from .stand import Stand

_READ: Final = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC:([\d.]+)\(\d+\):[^:\n]*:\[\d+\]:LOG:  "
    # Of the extended protocol's three messages, the one that reads.
    r"duration: [\d.]+ ms  (?:execute [^:\n]*|statement): select [^;\n]* from items where id = ",
    re.MULTILINE,
)
_REFUSED: Final = re.compile(
    r":FATAL:  (sorry, too many clients already|too many connections for .*|remaining connection slots are .*)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Read:
    """One read of one item."""

    at: int
    """The second in which it was done, since 1970."""
    host: str
    """The address that asked."""


def reads(log: str) -> list[Read]:
    """All of a part of the log."""
    return [Read(timegm(strptime(found[1], "%Y-%m-%d %H:%M:%S")), found[2]) for found in _READ.finditer(log)]


def refused(log: str) -> Counter[str]:
    """Connections that were refused as there were too many, by the database's words."""
    return Counter(found[1] for found in _REFUSED.finditer(log))


def busiest(found: Sequence[Read], after: float, before: float, seconds: int) -> float:
    """The most reads a second, of any `seconds` in a row within a span of time."""
    by_second = Counter(each.at for each in found if after <= each.at < before)
    return max((sum(by_second[second + n] for n in range(seconds)) for second in by_second), default=0) / seconds


async def length(stand: Stand) -> int:
    """How long the log is by now."""
    return int(await stand.inside(stand.machines("database")[0].id, "stat", "--format=%s", f"/{postgresql.LOG}"))


async def since(stand: Stand, begin: int) -> str:
    """What was logged since it was so long."""
    return await stand.inside(stand.machines("database")[0].id, "tail", f"--bytes=+{begin + 1}", f"/{postgresql.LOG}")
