"""Which subnet gets the next instance of an Auto Scaling group, and which instance goes first. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Place:
    """A subnet and its Availability Zone."""

    subnet: str
    zone: str


@dataclass(frozen=True)
class Candidate:
    """An instance that may go: where it runs, its launch template's version, and since when."""

    instance: str
    zone: str
    version: int
    since: datetime


def place_next(places: Sequence[Place], taken: Iterable[Place]) -> Place:
    """The zone with the fewest instances, in it the subnet with the fewest; the group's own order decides a tie."""
    taken = list(taken)
    zones, subnets = Counter(at.zone for at in taken), Counter(at.subnet for at in taken)
    return min(places, key=lambda place: (zones[place.zone], subnets[place.subnet], places.index(place)))


def first_to_go(candidates: Iterable[Candidate], count: int) -> list[str]:
    """AWS's default termination policy: from the fullest zone, the oldest launch template, then the oldest instance."""
    zones: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=_age)[::-1]:
        zones.setdefault(candidate.zone, []).append(candidate)
    gone: list[str] = []
    while zones and len(gone) < count:
        zone = min(zones, key=lambda name: (-len(zones[name]), _age(zones[name][-1])))
        gone.append(zones[zone].pop().instance)
        if not zones[zone]:
            del zones[zone]
    return gone


def out_of_balance(candidates: Iterable[Candidate], zones: Iterable[str]) -> str | None:
    """The next instance to move to another zone: from one that the group is no longer in, or that has two more."""
    candidates, allowed = list(candidates), set(zones)
    strays = [candidate for candidate in candidates if candidate.zone not in allowed]
    if strays:
        return min(strays, key=_age).instance
    counts = Counter(candidate.zone for candidate in candidates)
    fullest = max(allowed, key=lambda zone: counts[zone])
    if counts[fullest] - min(counts[zone] for zone in allowed) < 2:
        return None
    return min((candidate for candidate in candidates if candidate.zone == fullest), key=_age).instance


def _age(candidate: Candidate) -> tuple[int, datetime]:
    return candidate.version, candidate.since
