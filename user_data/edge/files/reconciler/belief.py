"""Whether to believe an answer of the API that leaves machines out. Pure.

A machine leaves its group through states that the answers show: Terminating, Detaching, Standby. When many are just not
there any more, it may as well be the API that is broken. Then they are kept for as long as they answer their probes,
which is a second witness; a third is EC2, where it says that the machine ends.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from .model import MISSING, UNKNOWN, Answer, Member, Server

DOUBT_SECONDS = 600.0
"""How long machines that answer are kept against the API's word. They may have been detached by somebody, alive."""
PRESENT = frozenset({"Pending", "Pending:Wait", "Pending:Proceed", "InService", UNKNOWN, MISSING})
"""States out of which no machine disappears without being seen to leave."""


@dataclass(frozen=True)
class Belief:
    """What is taken for true about the groups."""

    members: tuple[Member, ...] = ()
    wanted: int | None = None
    """How many machines there ought to be; None while the API has not said anything yet."""
    edges: tuple[str, ...] = ()
    missing_since: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def missing(self) -> tuple[str, ...]:
        """Whom the API leaves out, in doubt."""
        return tuple(sorted(self.missing_since))


def at_first(servers: Collection[Server], paths: Mapping[int, str]) -> Belief:
    """What to believe before the API's first answer: what Nginx has. `paths` say where to probe, by port."""
    return Belief(
        tuple(Member(each.instance_id, UNKNOWN, each.address, each.port, paths.get(each.port, "/")) for each in servers)
    )


def after(belief: Belief, answer: Answer, ended: Collection[str], now: float) -> Belief:
    """What to believe after one more answer. `ended` are those of whom EC2 says that they end, or have."""
    there = {each.instance_id for each in answer.members}
    known = [each for each in belief.members if each.state in PRESENT]
    gone = [each for each in known if each.instance_id not in there]
    # In doubt already, or too many at once: all, or two and more that are half of them.
    doubted = [each for each in gone if each.instance_id in belief.missing_since]
    if len(gone) == len(known) or (len(gone) >= 2 and 2 * len(gone) >= len(known)):
        doubted = gone
    missing_since = {
        each.instance_id: since
        for each in doubted
        if each.instance_id not in ended
        and now - (since := belief.missing_since.get(each.instance_id, now)) < DOUBT_SECONDS
    }
    kept = [
        replace(each, state=MISSING, waits_for=(), drain=False) for each in doubted if each.instance_id in missing_since
    ]
    return Belief((*answer.members, *kept), answer.wanted, answer.edges, missing_since)
