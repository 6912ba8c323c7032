"""What to do, given what the API says should be and what is found on this host. Pure."""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State
from lab.network.model import Network

from .standby import ALIVE, Pulse, Settings, Standby, Synchrony, Takeover, synchrony, takes_over, to_be_copied_anew


@dataclass(frozen=True)
class Rotation:
    """A change of a database's password that has begun: which version of which secret holds the new one.

    Without a secret, only the API knows it.
    """

    secret_arn: str | None
    version: str
    port: int


@dataclass(frozen=True)
class Promotion:
    """A read replica is to become a database of its own."""

    port: int


@dataclass(frozen=True)
class Restart:
    """A database's server is to be started anew, with `settings`."""

    port: int
    settings: Settings


@dataclass(frozen=True)
class Configuration:
    """What a database's server has to be told while it runs, and then that of its `standby`.

    A primary that has started anew may have what its standby takes only if that starts anew, too.
    """

    port: int
    settings: Settings
    standby: str | None = None


@dataclass(frozen=True)
class Failover:
    """A change of a cache's primary that has begun: `node` becomes it, and the machine `former` was it.

    `machines` are all nodes' by their addresses; in cluster mode, those of the shard.
    """

    node: str
    address: str
    port: int
    machines: tuple[tuple[str, str], ...]
    former: str
    cluster: bool = False


@dataclass(frozen=True)
class TokenChange:
    """A change of a cache's tokens that has begun, up to `version`, on all of `machines`."""

    version: int
    machines: tuple[str, ...]


@dataclass(frozen=True)
class ParameterChange:
    """A change of a cache's parameters, to those of `version`, on all of `machines`."""

    version: str
    parameters: tuple[tuple[str, str], ...]
    machines: tuple[str, ...]
    memory: int | None = None
    """Bytes that each has for data by them."""


@dataclass(frozen=True)
class ClusterNode:
    """A node of a cluster, by its machine and by its endpoint's name."""

    machine: str
    name: str
    address: str
    shard: str
    primary: bool


@dataclass(frozen=True)
class Reshape:
    """A change of a cluster's nodes and slots that has begun, up to `version`. `wanted` has the slots of each shard.

    A shard that is to have none is to go, once it has none.
    """

    version: int
    port: int
    nodes: tuple[ClusterNode, ...]
    wanted: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reconfiguration:
    """What a load balancer listens for and whom it forwards to, up to `version`. `configuration` is JSON."""

    version: str
    configuration: str


@dataclass(frozen=True)
class Pooling:
    """Where an RDS Proxy leads to and who may come, up to `version`. `configuration` is JSON.

    The logins are in secrets, which the role of that ARN may read.
    """

    version: str
    configuration: str
    role: str


Change = (
    Rotation
    | Promotion
    | Restart
    | Configuration
    | Takeover
    | Synchrony
    | Failover
    | TokenChange
    | ParameterChange
    | Reshape
    | Reconfiguration
    | Pooling
)
"""What the API has begun, and what has to be done where the service runs."""


@dataclass(frozen=True)
class Base:
    """A base backup that is to be taken on a database's machine. `resource` says where it is kept."""

    base: str
    resource: str
    machine: str
    port: int
    archived: bool

    @property
    def key(self) -> str:
        """What is busy while it is taken: not its machine, which may have to be told something."""
        return f"base {self.base}"


@dataclass(frozen=True)
class Primary:
    """A cache's primary, or a shard's, as a machine, and its replicas, as machines and nodes, where one takes over."""

    machine: str
    standbys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Service:
    """A database, a cache, a load balancer or a proxy of the API, and the machines that run it.

    `status` is the API's.
    """

    kind: str
    id: str
    machines: tuple[str, ...]
    status: str
    change: Change | None = None
    port: int | None = None
    """A database's."""
    primary: str | None = None
    """A database's, as a machine."""
    primaries: tuple[Primary, ...] = ()
    """A cache's: one, or in cluster mode one of each shard."""
    standby: Standby | None = None
    """A database's."""
    source: str | None = None
    """The machine that a read replica follows, and has a copy of."""


@dataclass(frozen=True)
class Wanted:
    """What the API says should be: machines, the network between them, names, and the services behind endpoints.

    `kept` are instances that are stopped, or are to be: their disks stay. `impaired` are those that the API knows to
    have crashed. Of those that are `stopping` the API waits to hear that they are off, to be stopped or terminated.
    `bases` are to be taken; a database that is gone has its machine until then.
    """

    machines: tuple[MachineSpec, ...]
    network: Network
    records: str
    services: tuple[Service, ...] = ()
    kept: frozenset[str] = frozenset()
    impaired: frozenset[str] = frozenset()
    stopping: frozenset[str] = frozenset()
    bases: tuple[Base, ...] = ()


@dataclass(frozen=True)
class Start:
    """Start a machine."""

    spec: MachineSpec


@dataclass(frozen=True)
class Resume:
    """Start a machine again on its own disk."""

    spec: MachineSpec


@dataclass(frozen=True)
class Reboot:
    """Shut a machine down, and start it again on its own disk."""

    spec: MachineSpec


@dataclass(frozen=True)
class Halt:
    """Shut a machine down, and keep its disk."""

    machine: str


@dataclass(frozen=True)
class Stop:
    """Shut a machine down and remove what is left of it."""

    machine: str


@dataclass(frozen=True)
class ReportInstance:
    """Tell the API how an instance is: `shut-down` by itself, `off` when told to, `impaired` by a crash, `ok` again."""

    instance: str
    status: str


@dataclass(frozen=True)
class ReportService:
    """Tell the API how a service is."""

    kind: str
    id: str
    status: str


@dataclass(frozen=True)
class CarryOut:
    """Do where a service runs what the API has begun, and tell the API."""

    service: str
    machine: str
    change: Change


@dataclass(frozen=True)
class Promote:
    """Tell the API that the primary of a cache or a database is gone, and which node takes over."""

    kind: str
    id: str
    node: str


@dataclass(frozen=True)
class TakeBase:
    """Take a base backup of a database, and tell the API."""

    base: Base


Action = Start | Resume | Reboot | Halt | Stop | ReportInstance | ReportService | CarryOut | Promote | TakeBase

SERVICE_READY = {"database": "available", "cache": "available", "load-balancer": "active", "proxy": "available"}
KNOWN_TO_RUN = ("available", "modifying")
"""A cache that isn't being made."""
INCOMPATIBLE = "incompatible-parameters"
"""A database whose server does not start with what it was told."""
SERVICE_FAILED = {
    "database": "failed",
    "cache": "create-failed",
    "load-balancer": "failed",
    "proxy": "insufficient-resource-limits",
}


def plan(
    wanted: Wanted,
    found: Collection[MachineStatus],
    busy: AbstractSet[str] = frozenset(),
    pulses: Mapping[str, Pulse] | None = None,
) -> list[Action]:
    """Actions in the order in which to begin them; machines in `busy` have one under way and get none.

    `pulses` are what databases with a standby, and read replicas, say of themselves, by id.
    """
    pulses = pulses or {}
    specs = {spec.id: spec for spec in wanted.machines}
    there = {status.id for status in found}
    # A database that was replaced has left its name to another, which waits until its machine is gone.
    left = {each.id: each for each in found if each.id in specs and _is_another_s(each, specs[each.id])}
    specs = {machine: spec for machine, spec in specs.items() if machine not in left}
    states = {status.id: status.state for status in found if status.id not in left}
    services = {machine: service for service in wanted.services for machine in service.machines}
    actions: list[Action] = []
    ready = {status.id for status in found if status.state is State.READY}
    last_of = {base.machine for base in wanted.bases if base.machine in ready and _is_of(base, left)}
    for status in found:
        if status.id in busy:
            continue
        if status.id not in specs and status.id in last_of:
            continue
        if status.id not in specs:
            actions += _unwanted(status, kept=status.id in wanted.kept)
        elif service := services.get(status.id):
            actions += _behind_service(service, specs[status.id], status, states, pulses.get(service.id))
        else:
            actions += _instance(specs[status.id], status, impaired=status.id in wanted.impaired)
    for service in wanted.services:
        if service.standby:
            actions += _of_pair(service, service.standby, states, busy, pulses.get(service.id))
        elif over := _taken_over(service, states):
            # Nobody else's boot is waited for.
            if busy.isdisjoint(machine for _, machine in over.machines):
                actions.append(CarryOut(service.id, over.machines[0][1], over))
        elif busy.isdisjoint(service.machines):
            actions += _report(service, states)
        if promoted := _promoted(service, states):
            actions.append(Promote(service.kind, service.id, promoted))
    actions += [
        TakeBase(base)
        for base in wanted.bases
        if _is_of(base, left) and _can_be_taken(base, specs, states) and base.key not in busy
    ]
    off = {status.id for status in found if status.state is State.OFF and status.id in wanted.kept}
    actions += [
        ReportInstance(each, "off") for each in sorted(wanted.stopping - busy) if each in off or each not in there
    ]
    # What would start as the primary, and empty, starts when another node is it.
    held = {over.former for service in wanted.services if (over := _taken_over(service, states))}
    held |= {primary for service in wanted.services for primary in _orphaned(service, states)}
    held |= {service.primary for service in wanted.services if service.standby and service.standby.synchronous}
    actions += [Start(spec) for spec in wanted.machines if spec.id not in there and spec.id not in busy | held]
    return actions


def _is_another_s(status: MachineStatus, spec: MachineSpec) -> bool:
    return status.resource not in ("", spec.resource)


def _is_of(base: Base, left: Mapping[str, MachineStatus]) -> bool:
    """Whether its machine isn't still the one of another database that had the name."""
    return base.machine not in left or left[base.machine].resource == base.resource


def _can_be_taken(base: Base, specs: Collection[str], states: Mapping[str, State]) -> bool:
    """Where it can't be, who takes it says so: not of one whose machine is still to come."""
    return states.get(base.machine) is State.READY or base.machine not in specs


def _unwanted(status: MachineStatus, *, kept: bool) -> list[Action]:
    if not kept:
        return [Stop(status.id)]
    return [] if status.state is State.OFF else [Halt(status.id)]


def _instance(spec: MachineSpec, status: MachineStatus, *, impaired: bool) -> list[Action]:
    """As EC2 has it: a reboot is no end; a shutdown from inside is one; after a crash it waits for somebody to act."""
    asked = spec.reboots > status.reboots
    match status.state:
        case State.OFF | State.REBOOTING:
            return [Resume(spec)]
        case State.SHUT_DOWN:
            return [ReportInstance(spec.id, "shut-down")]
        case State.DEAD if asked:
            return [Resume(spec)]
        case State.DEAD:
            return [] if impaired else [ReportInstance(spec.id, "impaired")]
        case _:
            recovered: list[Action] = [ReportInstance(spec.id, "ok")] if impaired else []
            return [*recovered, Reboot(spec)] if asked else recovered


def _behind_service(
    service: Service, spec: MachineSpec, status: MachineStatus, states: Mapping[str, State], pulse: Pulse | None
) -> list[Action]:
    """The lab's own, whatever ended it: it is started again on its disk, but a cache's node and a copy anew, empty.

    So is a database that has nothing yet: it may have had half of what it begins with. And a replica that can't follow
    any more: it had got more than the standby that took over. On RDS, where a standby is a copy of the primary's disk,
    that can't be.
    """
    if service.standby:
        return _one_of_pair(service, service.standby, spec, states, pulse)
    if status.state in ALIVE:
        cut_off = service.source and status.state is State.READY and pulse is not None and pulse.lost
        # Who is being promoted follows nobody, and has what nobody else has.
        return [Stop(status.id)] if cut_off and not service.change else []
    copied = service.source is not None
    anew = service.kind == "cache" or copied or (service.kind == "database" and service.status == "creating")
    return [Stop(status.id)] if anew else [Resume(spec)]


def _one_of_pair(
    service: Service, standby: Standby, spec: MachineSpec, states: Mapping[str, State], pulse: Pulse | None
) -> list[Action]:
    """A primary goes on with its own disk, unless the standby takes over; a standby is copied anew."""
    state = states[spec.id]
    if isinstance(service.change, Takeover):
        # The one that is to take over has all that was acknowledged; the other one is fenced by who carries it out.
        return [Resume(spec)] if spec.id == standby.machine and state not in ALIVE else []
    if spec.id == standby.machine:
        return [Stop(spec.id)] if to_be_copied_anew(standby, state, pulse) else []
    if state in ALIVE or takes_over(standby, state, states.get(standby.machine), pulse):
        return []
    return [Resume(spec)]


def _of_pair(
    service: Service, standby: Standby, states: Mapping[str, State], busy: AbstractSet[str], pulse: Pulse | None
) -> list[Action]:
    """What a database with a standby has to do, or the API has to hear of it."""
    if _incompatible(service):
        return []
    primary, state = states.get(service.machines[0]), states.get(standby.machine)
    change = service.change
    if isinstance(change, Takeover):
        carried_out = state is State.READY and standby.machine not in busy
        return [CarryOut(service.id, standby.machine, change)] if carried_out else []
    if takes_over(standby, primary, state, pulse):
        return [Promote(service.kind, service.id, standby.node)]
    if not busy.isdisjoint(service.machines):
        return []
    if primary is State.READY:
        needed = synchrony(standby, state, pulse, service.port or 0)
        # Who tells the standby too must not wait for one that is gone, as all writes do.
        change = needed or change if isinstance(change, Configuration) else change or needed
        if change:
            return [CarryOut(service.id, service.machines[0], change)]
    # It is there, and changed, when the standby is too; who was there before goes on without one.
    if primary is State.FAILED or (standby.given_up and service.status in ("creating", SERVICE_FAILED[service.kind])):
        now = SERVICE_FAILED[service.kind]
    elif primary is State.READY and (
        standby.synchronous or standby.given_up or service.status not in ("creating", "modifying")
    ):
        now = SERVICE_READY[service.kind]
    else:
        return []
    return [] if service.status == now else [ReportService(service.kind, service.id, now)]


def _promoted(service: Service, states: Mapping[str, State]) -> str | None:
    """The node that takes over from a cache's primary that is gone; None where none has to, or none can. One at a
    time.
    """
    if isinstance(service.change, Failover):
        return None
    return next(iter(_orphaned(service, states).values()), None)


def _orphaned(service: Service, states: Mapping[str, State]) -> dict[str, str]:
    """The primaries that are gone, and the node that can take over from each; not the one where that has begun."""
    if service.status not in KNOWN_TO_RUN:
        return {}
    begun = service.change.former if isinstance(service.change, Failover) else None
    gone = [each for each in service.primaries if each.machine != begun and states.get(each.machine) not in ALIVE]
    heirs = {
        each.machine: [node for machine, node in each.standbys if states.get(machine) is State.READY] for each in gone
    }
    return {machine: nodes[0] for machine, nodes in heirs.items() if nodes}


def _taken_over(service: Service, states: Mapping[str, State]) -> Failover | None:
    """A failover whose former primary is gone: what can be done of it, once the new one is ready."""
    change = service.change
    if not isinstance(change, Failover) or states.get(change.former) in ALIVE:
        return None
    ready = tuple(each for each in change.machines if states.get(each[1]) is State.READY)
    return replace(change, machines=ready) if change.address in dict(ready) else None


def _incompatible(service: Service) -> bool:
    """Whether its server does not start with its parameters, and nobody has asked for another attempt."""
    return service.status == INCOMPATIBLE and not isinstance(service.change, Restart)


def _report(service: Service, found: Mapping[str, State]) -> list[Action]:
    if _incompatible(service):
        return []
    states = [found.get(machine) for machine in service.machines]
    if all(state is State.READY for state in states):
        if service.change:
            return [CarryOut(service.id, service.machines[0], service.change)]
        now = SERVICE_READY[service.kind]
    elif State.FAILED in states:
        now = SERVICE_FAILED[service.kind]
    else:
        return []
    return [] if service.status == now else [ReportService(service.kind, service.id, now)]
