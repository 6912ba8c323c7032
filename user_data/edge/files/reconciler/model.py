"""What the reconciler sees. Plain values; times are seconds of a clock that only goes forward."""

from collections.abc import Mapping
from dataclasses import dataclass, field

UNKNOWN = "Unknown"
"""State of a server that Nginx has, while the API has not said anything yet."""
MISSING = "Missing"
"""State of a machine that the API suddenly leaves out, as long as that is in doubt (belief.py)."""


@dataclass(frozen=True, order=True)
class Server:
    """One of Nginx's servers."""

    instance_id: str
    address: str
    port: int


@dataclass(frozen=True)
class Hook:
    """A lifecycle hook that is this edge's to complete."""

    name: str
    heartbeat_timeout: float
    """Seconds after which AWS goes on without us, unless a heartbeat comes."""


@dataclass(frozen=True)
class Member:
    """An instance of a group."""

    instance_id: str
    state: str
    """AWS's LifecycleState (`Pending:Wait`, `InService`, `Terminating:Wait`, ...), UNKNOWN or MISSING."""
    address: str | None
    """Its private address; None while EC2 doesn't say."""
    port: int
    path: str = "/readyz"
    """Where it says whether it is ready."""
    group: str = ""
    waits_for: tuple[Hook, ...] = ()
    """Where `state` ends with `:Wait`: the hooks on that transition that are this edge's."""
    drain: bool = False
    """Whether an operator wants it out of the list."""


@dataclass(frozen=True)
class Answer:
    """A good answer about the groups. Where there was none, there is no Answer."""

    members: tuple[Member, ...]
    wanted: int
    """How many machines the groups ought to have."""
    edges: tuple[str, ...] = ()
    """The other machines of this edge's own group."""


@dataclass(frozen=True)
class Traffic:
    """What Nginx has and counts, by instance id; also of servers that left its list and still have requests."""

    servers: tuple[Server, ...]
    counters: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])

    def in_flight(self, instance_id: str) -> int:
        """Requests that wait for this server's answer."""
        counted = self.counters.get(instance_id, {}).get("in_flight", 0)
        return counted if isinstance(counted, int) else 0
