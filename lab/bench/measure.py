"""One measurement: a load on an address, and the CPU that machines and programs took for it meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from . import generators
from .figures import Quantity
from .generators import Said
from .rounds import Sample

Meter = Callable[[], float]
"""Seconds of CPU, user and system, since some beginning."""

THROUGHPUT: Final = Quantity("throughput", "requests/s")
P50: Final = Quantity("p50", "ms")
P90: Final = Quantity("p90", "ms")
P99: Final = Quantity("p99", "ms")
SECONDS: Final = 3
"""Of one measurement."""
WARM_SECONDS: Final = 1


class FailedError(Exception):
    """Requests failed: there is nothing to measure."""


def cpu(of: str) -> Quantity:
    """CPU per request of a program."""
    return Quantity(f"CPU of {of}", "us/request")


GENERATOR: Final = cpu("the load generator")


@dataclass(frozen=True)
class Asked:
    """What a load is put on: an address, the meters of who has a part in answering there, and what is done first."""

    url: str
    meters: Mapping[Quantity, Meter] = field(default_factory=dict[Quantity, Meter])
    first: Callable[[], object] = lambda: None
    script: Sequence[str] = ()
    """One of wrk's, with its arguments."""

    def warm(self) -> None:
        """Have everything on the way opened, compiled and cached."""
        self._wrk(WARM_SECONDS)

    def saturated(self) -> Sample:
        """As many requests as get through wrk's connections: throughput, and CPU per request."""
        self.first()
        said, spent = metered(lambda: self._wrk(SECONDS), self.meters)
        return {THROUGHPUT: said.rate, **spent}

    def at(self, rate: int) -> Callable[[], Sample]:
        """So many requests a second, whether they are answered or not: how long answers took, and CPU per request."""

        def measure() -> Sample:
            self.first()
            own = generators.OWN
            said, spent = metered(lambda: generators.run(own.words(self.url, rate, SECONDS), own.read), self.meters)
            return {P50: said.p50, P99: said.p99, **spent}

        return measure

    def _wrk(self, seconds: int) -> Said:
        return generators.run(generators.wrk(self.url, seconds, self.script), generators.read_wrk)


def metered(load: Callable[[], Said], meters: Mapping[Quantity, Meter]) -> tuple[Said, dict[Quantity, float]]:
    """Run a load; what it says, and the microseconds of each meter per request, its own last. FailedError."""
    before = {each: read() for each, read in meters.items()}
    said = load()
    spent = {each: read() - before[each] for each, read in meters.items()}
    if said.failed or not said.requests:
        raise FailedError(f"{said.failed} of {said.requests} requests failed")
    spent[GENERATOR] = said.cpu
    return said, {each: 1e6 * seconds / said.requests for each, seconds in spent.items()}
