"""CPU credits of burstable machines: earned by the hour, spent by the CPU that is used. Pure.

One credit is one vCPU for a minute. A machine starts with none and may owe, as t3 and t4g do in their default mode,
unlimited; what it owes is paid back before it has any. The lab slows nobody down who has none.
Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode-concepts.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Rate:
    """What a type has."""

    an_hour: int
    """Credits earned."""
    vcpus: int

    @property
    def most(self) -> int:
        """Credits kept, and owed: those of a day."""
        return 24 * self.an_hour


_RATES: Final[Mapping[str, Rate]] = {
    "nano": Rate(6, 2),
    "micro": Rate(12, 2),
    "small": Rate(24, 2),
    "medium": Rate(24, 2),
    "large": Rate(36, 2),
    "xlarge": Rate(96, 4),
    "2xlarge": Rate(192, 8),
}
"""Of t3, t3a and t4g, which RDS and ElastiCache have as well."""
_TYPE: Final = re.compile(r"(?:db\.|cache\.)?t(?:3a?|4g)\.(\w+)")


def rate(kind: str) -> Rate | None:
    """What the type earns, such as t3.small or db.t4g.micro; None for one that isn't burstable."""
    match = _TYPE.fullmatch(kind)
    return _RATES.get(match[1]) if match else None


class Ledger:
    """What each machine has."""

    def __init__(self) -> None:
        self._credits: dict[str, float] = {}

    def book(self, machine: str, of: Rate, percent: float, seconds: float) -> float:
        """The balance after so many seconds at `percent` of all CPUs. Nobody has less than none."""
        earned = of.an_hour * seconds / 3600
        spent = percent / 100 * of.vcpus * seconds / 60
        after = self._credits.get(machine, 0.0) + earned - spent
        self._credits[machine] = max(-of.most, min(of.most, after))
        return max(0.0, self._credits[machine])
