"""What the tests of the reconciler describe machines with: short names, by number."""

from collections.abc import Mapping, Sequence

from reconciler import health
from reconciler.belief import Belief
from reconciler.health import Health
from reconciler.model import Hook, Member, Server, Traffic

LAUNCH, TERMINATE = Hook("launch", 600.0), Hook("terminate", 600.0)
WAITS_FOR = {"Pending:Wait": (LAUNCH,), "Terminating:Wait": (TERMINATE,)}


def server(number: int) -> Server:
    """Machine i-<number> in Nginx's list."""
    return Server(f"i-{number}", f"10.0.0.{number}", 3000)


def servers(*numbers: int) -> tuple[Server, ...]:
    """A list of Nginx's."""
    return tuple(server(each) for each in numbers)


def member(number: int, state: str, *, drain: bool = False) -> Member:
    """Machine i-<number> in its group."""
    return Member(
        f"i-{number}", state, f"10.0.0.{number}", 3000, group="app", waits_for=WAITS_FOR.get(state, ()), drain=drain
    )


def numbered(states: Mapping[int, str], wanted: int = 2, drained: Sequence[int] = ()) -> Belief:
    """A belief from `{1: "InService"}` and the like."""
    return Belief(tuple(member(each, state, drain=each in drained) for each, state in states.items()), wanted)


def group(*, wanted: int = 2, drained: Sequence[int] = (), **states: str) -> Belief:
    """A belief from `i1="InService"` and the like."""
    return numbered({int(name[1:]): state for name, state in states.items()}, wanted, drained)


WELL = Health(True, 9, True, None, True, "HTTP 200")
DOWN = Health(False, 9, False, 0.0, True, "timed out")
UNWELL = Health(False, 9, False, 0.0, True, "HTTP 503")
STARTING = Health(None, 5, False, 0.0, False, "Connection refused")


def well(*numbers: int) -> dict[str, Health]:
    """These answer."""
    return {f"i-{each}": WELL for each in numbers}


def down(*numbers: int) -> dict[str, Health]:
    """These have fallen, and don't answer."""
    return {f"i-{each}": DOWN for each in numbers}


def traffic(*numbers: int, in_flight: Mapping[int, int] | None = None) -> Traffic:
    """What Nginx has and counts."""
    counters = {f"i-{number}": {"in_flight": count} for number, count in (in_flight or {}).items()}
    return Traffic(servers(*numbers), counters)


def probed(*outcomes: tuple[float, bool]) -> Health:
    """The health after probes at these times with these outcomes."""
    found = Health()
    for now, ok in outcomes:
        found = health.after(found, ok, "HTTP 200" if ok else "timed out", now)
    return found
