"""Variants measured in turn, A B A B, so that what else this machine does falls on all of them alike."""

from collections.abc import Callable, Mapping, Sequence

from .figures import Figure, Quantity
from .part import Row

Sample = Mapping[Quantity, float]
"""What one measurement found."""
Seen = Mapping[str, Sequence[Sample]]
"""The samples of each variant, a round after the other."""


def in_turn(variants: Mapping[str, Callable[[], Sample]], rounds: int) -> Seen:
    """Measure each variant once in each round."""
    seen: dict[str, list[Sample]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            seen[name].append(measure())
    return seen


def rows(seen: Seen) -> tuple[Row, ...]:
    """A row for each variant, with a figure for each quantity that it was measured in."""
    return tuple(Row(name, tuple(figures(samples))) for name, samples in seen.items())


def figures(samples: Sequence[Sample]) -> list[Figure]:
    """The quantities of some samples, in the order of the first one."""
    return [Figure(each.name, each.unit, [sample[each] for sample in samples]) for each in samples[0]]


def ratio(seen: Seen, of: str, to: str, quantity: Quantity) -> list[float]:
    """One variant's as a multiple of another's, round by round: both had the same minute."""
    return [one[quantity] / other[quantity] for one, other in zip(seen[of], seen[to], strict=True)]


def difference(seen: Seen, of: str, to: str, quantity: Quantity) -> list[float]:
    """How much more one variant has than another, round by round."""
    return [one[quantity] - other[quantity] for one, other in zip(seen[of], seen[to], strict=True)]
