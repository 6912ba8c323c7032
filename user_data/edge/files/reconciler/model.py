"""What the reconciler sees, remembers and decides. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Server:
    """One that Nginx balances over."""

    instance_id: str
    address: str


@dataclass(frozen=True)
class Member:
    """An instance of the group."""

    instance_id: str
    state: str
    """AWS's LifecycleState: `Pending:Wait`, `InService`, `Terminating:Wait`, ..."""
    address: str | None
    """Its private address; None while EC2 doesn't say."""


@dataclass(frozen=True)
class Observation:
    """A good answer about the group. Where there was none, there is no Observation."""

    members: tuple[Member, ...]
    launch_hooks: tuple[str, ...] = ()
    """Names of the hooks on launching that are this edge's; looked up only while an instance waits in one."""
    terminate_hooks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Memory:
    """What one pass tells the next. Losing it delays a removal or a drain, and does no harm."""

    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    """Failed probes in a row, by instance id."""
    out_since: Mapping[str, float] = field(default_factory=dict[str, float])
    """When a leaving instance was first out of the upstream, in seconds of the clock that `plan` is given."""


@dataclass(frozen=True)
class Completion:
    """A lifecycle hook to be completed with CONTINUE."""

    instance_id: str
    hook: str


@dataclass(frozen=True)
class Plan:
    """What to do, in this order: servers into Nginx, then completions."""

    servers: tuple[Server, ...]
    completions: tuple[Completion, ...]
    memory: Memory
    """To be kept only if `servers` could be applied."""
    log: tuple[str, ...]
