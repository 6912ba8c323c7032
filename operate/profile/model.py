"""What a profile of one of the app's workers says. Everything here is a value."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Origin = Literal["app", "module", "node"]
"""The app's own files; what it has in node_modules; Node, V8 and what Expressway loads."""


@dataclass(frozen=True)
class Function:
    """One function, wherever it was called from."""

    name: str
    where: str
    """File and line: the app's own relative to its folder, a module's from node_modules on; empty for V8's own work."""
    origin: Origin
    self_ms: float
    """In which it ran itself."""
    total_ms: float
    """In which it, or what it called, ran; counted once where it calls itself."""


@dataclass(frozen=True)
class Frame:
    """One function as called from one place: a box of the flame graph."""

    parent: int
    """Its caller's place in the list, which comes before it; -1 of the one that everything is in."""
    name: str
    where: str
    origin: Origin
    self_ms: float
    total_ms: float


@dataclass(frozen=True)
class Profile:
    """Where a worker's time went."""

    machine: str
    """The instance's id."""
    process: str
    """PM2's name of it, the worker's number and the process's, as `shop 0, process 712`."""
    ms: float
    """For how long it was looked at."""
    idle_ms: float
    """Of that, when it had nothing to do."""
    samples: int
    functions: tuple[Function, ...]
    """All of them, the one with most time of its own first."""
    frames: tuple[Frame, ...]
    """Without the idle time, and without what took less than a thousandth of the rest."""
    offered_rps: float | None = None
    """The rate that was held meanwhile; None where nothing is known of it."""

    @property
    def busy_ms(self) -> float:
        """Time that is in `functions`."""
        return self.ms - self.idle_ms

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def top(self, origin: Origin, most: int) -> list[Function]:
        """Of one origin, those with most time of their own, if any."""
        return [each for each in self.functions if each.origin == origin and each.self_ms > 0][:most]
