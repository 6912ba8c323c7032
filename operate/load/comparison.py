"""The steps that say where a stack stopped keeping up, and how what was measured changed until then. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from operate.load.model import Reading, Sizes, Statement, Step, Tier


@dataclass(frozen=True)
class Comparison:
    """A light step, the last one that the stack kept up with, and the first that it didn't."""

    light: Step | None
    """The lightest that it kept up with; None when it kept up with none."""
    knee: Step | None
    over: Step
    sizes: Sizes | None = None
    """What the stack ran on; None where that isn't known."""

    @staticmethod
    def of(steps: Sequence[Step], knee_rps: float | None, sizes: Sizes | None = None) -> "Comparison | None":
        """None when it kept up with every step."""
        ordered = sorted(steps, key=lambda each: each.offered_rps)
        kept = [each for each in ordered if knee_rps is not None and each.offered_rps <= knee_rps]
        beyond = ordered[len(kept) :]
        if not beyond:
            return None
        return Comparison(kept[0] if kept else None, kept[-1] if kept else None, beyond[0], sizes)

    def value(self, tier: Tier, resource: str) -> float | None:
        """Beyond the knee, or where that wasn't measured, at it; of several machines the largest."""
        for step in (self.over, self.knee):
            if step and (found := largest(step, tier, resource)) is not None:
                return found
        return None

    def least(self, tier: Tier, resource: str) -> float:
        """The same, and 0 where it wasn't measured."""
        return self.value(tier, resource) or 0.0

    def saturation(self, tier: Tier, resource: str) -> float:
        """How much of its limit is used, likewise; 0 where that wasn't measured."""
        for step in (self.over, self.knee):
            for each in step.readings if step else ():
                if (each.tier, each.resource) == (tier, resource) and each.saturation is not None:
                    return each.saturation
        return 0.0

    @property
    def stack_was_read(self) -> bool:
        """Whether anything is known but what the generator tells of itself."""
        return any(each.tier != "generator" for step in (self.over, self.knee) if step for each in step.readings)

    def before(self, tier: Tier, resource: str) -> float | None:
        """In the light step."""
        return largest(self.light, tier, resource) if self.light else None

    def growth(self, tier: Tier, resource: str) -> float | None:
        """How many times the light step's value it is; None when that can't be told."""
        now, before = self.value(tier, resource), self.before(tier, resource)
        return now / before if now is not None and before else None

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The slowest beyond the knee, or at it."""
        return self.over.statements or (self.knee.statements if self.knee else ())

    def told(self, tier: Tier, resource: str, what: str, unit: str = " %") -> str:
        """A sentence: what it is at which rate, and what it was in the light step."""
        now, before = self.least(tier, resource), self.before(tier, resource)
        text = f"{what} is at {figure(now)}{unit} at {figure(self.over.offered_rps)} requests/s"
        if before is not None and self.light:
            text += f", and was at {figure(before)}{unit} at {figure(self.light.offered_rps)}"
        return text + "."


def largest(step: Step, tier: Tier, resource: str) -> float | None:
    """Of all who tell it; None when nobody does."""
    values = [each.value for each in step.readings if (each.tier, each.resource) == (tier, resource)]
    return max(values) if values else None


def together(step: Step, tier: Tier, resource: str) -> float | None:
    """Of all who tell it, added up; None when nobody does."""
    values = [each.value for each in step.readings if (each.tier, each.resource) == (tier, resource)]
    return sum(values) if values else None


def fullest(step: Step) -> list[Reading]:
    """Readings by how much of their limit is used, the fullest first."""
    limited = [each for each in step.readings if each.saturation is not None]
    return sorted(limited, key=lambda each: (-(each.saturation or 0.0), each.tier, each.resource, each.who))


def figure(value: float) -> str:
    """For people: three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 20 or value == int(value) else f"{value:.3g}"
