"""What to do, given what the API says should be and what is found on this host. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State
from lab.network.model import Network


@dataclass(frozen=True)
class Rotation:
    """A change of a database's password that has begun: which version of which secret holds the new one."""

    secret_arn: str
    version: str
    port: int


@dataclass(frozen=True)
class Service:
    """A database or a cache of the API, and the machine that runs it. `status` is the API's."""

    kind: str
    id: str
    machine: str
    status: str
    rotation: Rotation | None = None


@dataclass(frozen=True)
class Wanted:
    """What the API says should be: machines, the network between them, names, and the services behind endpoints."""

    machines: tuple[MachineSpec, ...]
    network: Network
    records: str
    services: tuple[Service, ...] = ()


@dataclass(frozen=True)
class Start:
    """Start a machine."""

    spec: MachineSpec


@dataclass(frozen=True)
class Stop:
    """Shut a machine down and remove what is left of it."""

    machine: str


@dataclass(frozen=True)
class ReportStopped:
    """Tell the API that an instance stopped by itself: its machine was killed or powered off from inside."""

    instance: str


@dataclass(frozen=True)
class ReportService:
    """Tell the API how a database or a cache is."""

    kind: str
    id: str
    status: str


@dataclass(frozen=True)
class SetPassword:
    """Give a database the password that the API says it will have, and tell the API."""

    database: str
    machine: str
    rotation: Rotation


Action = Start | Stop | ReportStopped | ReportService | SetPassword

SERVICE_FAILED = {"database": "failed", "cache": "create-failed"}


def plan(wanted: Wanted, found: Collection[MachineStatus], busy: Collection[str] = ()) -> list[Action]:
    """Actions in the order in which to begin them; machines in `busy` have one under way and get none.

    A dead machine is removed first. If it is an instance, the API hears that it stopped, and Auto Scaling replaces it,
    as on AWS; if it is the lab's own behind a service, it is started again at the next look.
    """
    specs = {spec.id: spec for spec in wanted.machines}
    there = {status.id for status in found}
    services = {service.machine: service for service in wanted.services}
    actions: list[Action] = []
    for status in found:
        if status.id in busy:
            continue
        if status.id not in specs:
            actions.append(Stop(status.id))
        elif status.state is State.DEAD:
            actions.append(Stop(status.id))
            if status.id not in services:
                actions.append(ReportStopped(status.id))
        elif service := services.get(status.id):
            actions += _report(service, status)
    actions += [Start(spec) for spec in wanted.machines if spec.id not in there and spec.id not in busy]
    return actions


def _report(service: Service, status: MachineStatus) -> list[Action]:
    if status.state is State.READY and service.rotation:
        return [SetPassword(service.id, service.machine, service.rotation)]
    if status.state is State.READY:
        now = "available"
    elif status.state is State.FAILED:
        now = SERVICE_FAILED[service.kind]
    else:
        return []
    return [] if service.status == now else [ReportService(service.kind, service.id, now)]
