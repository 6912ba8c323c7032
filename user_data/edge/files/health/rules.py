"""When an edge takes the public address, and when it reports itself as broken. Pure: no clock, no network, no files.

Each edge decides alone, and two may overlap while one replaces the other. They can't fight for the address: a machine
that may keep it is let be by all others, and of those that would take it the newest alone does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NGINX_PATIENCE = 30.0
"""Seconds without an answer from Nginx, which systemd starts again within one: it isn't coming back."""
RECONCILER_PATIENCE = 300.0
"""Seconds without a pass of the reconciler. Its own watchdog ends a pass that hangs after 120, and requests are still
answered, by the servers that were known last."""
SETTLED = 120.0
"""Seconds that the watch has to have lasted: a machine that is just booting, or booting again, is not judged."""

IN_SERVICE = "InService"


@dataclass(frozen=True)
class Edge:
    """A machine of the edge's own group."""

    instance_id: str
    state: str
    """AWS's LifecycleState."""
    healthy: bool
    launched: float = 0.0
    """Seconds since the epoch."""

    @property
    def serves(self) -> bool:
        """Whether the group counts on it."""
        return self.state == IN_SERVICE and self.healthy

    @property
    def may_hold(self) -> bool:
        """Whether it may keep the address. In its launch hook it has just claimed it, and is about to serve."""
        return self.serves or self.state.startswith("Pending")


def takes_address(me: str, holder: str | None, members: Sequence[Edge], *, holder_runs: bool) -> bool:
    """Whether this machine, whose Nginx answers, is to take the address from `holder`, or from nobody (None).

    `holder_runs` says whether a holder that is no member is a machine that runs: then somebody has put the address
    there, and it stays.
    """
    if holder == me:
        return False
    by_id = {each.instance_id: each for each in members}
    if holder in by_id and by_id[holder].may_hold:
        return False
    if holder is not None and holder not in by_id and holder_runs:
        return False
    serving = [each for each in members if each.serves]
    return bool(serving) and max(serving, key=lambda each: (each.launched, each.instance_id)).instance_id == me


def broken(watched: float, silent: Mapping[str, float]) -> str | None:
    """What this machine lacks for too long, for people; None while it is fit or its time to be judged hasn't come.

    `watched` is for how many seconds the watch has lasted; `silent` for how many each of `nginx` and `reconciler` gave
    no sign.
    """
    if watched < SETTLED:
        return None
    for name, patience in (("nginx", NGINX_PATIENCE), ("reconciler", RECONCILER_PATIENCE)):
        if silent[name] >= patience:
            return f"no sign of {name} for {silent[name]:.0f} s"
    return None
