"""What the parts of `make bench` are measured on: a lab of its own, some of whose ports are open to this host."""

import asyncio
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from lab.machines import access, control_groups, observation
from lab.machines.observation import MachineStatus
from lab.prove.stand import Stand, StandError, command

from .measure import Meter

OPEN_PORTS: Final = {"edge": (8100, 8199), "app": (3000, 3199)}
"""From anywhere, by tier: what is measured beside the stack's own programs listens there."""
APP_UNIT: Final = "expressway-app"
APP_PORT: Final = 3000
APP_SERVERS: Final = 2
PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Bed:
    """The lab, which has `APP_SERVERS` app servers before each part and after it."""

    stand: Stand
    edge: MachineStatus
    public: str
    """The edge's public address."""

    def machine(self, tier: str) -> MachineStatus:
        """One machine of a tier, the same each time."""
        return self.apps()[0] if tier == "app" else self.stand.machines(tier)[0]

    def apps(self) -> list[MachineStatus]:
        """The app servers, by id."""
        return self.stand.machines("app")

    def inside(self, machine: MachineStatus, *words: str) -> str:
        """Run a command in a machine; what it printed. StandError when it fails."""
        return asyncio.run(self.stand.inside(machine.id, *words))

    def write(self, machine: MachineStatus, path: str, text: str) -> None:
        """Put a file into a machine."""
        if access.run(machine.id, ["tee", path], stdin=text).returncode:
            raise StandError(f"{machine.id} takes no {path}")

    def copy(self, machine: MachineStatus, tree: Path, into: str) -> None:
        """Lay the files of a folder over one of a machine's."""
        root = Path(f"/proc/{observation.leader(machine.id)}/root")
        subprocess.run(["cp", "--archive", f"{tree}/.", str(root / into.lstrip("/"))], check=True)

    @contextmanager
    def unit(
        self, machine: MachineStatus, name: str, words: Sequence[str], properties: Sequence[str] = ()
    ) -> Generator[Meter]:
        """Have the machine's systemd run a program for as long as the body runs; its meter."""
        given = [f"--property={each}" for each in properties]
        self.inside(machine, "systemd-run", "--quiet", "--collect", f"--unit={name}", *given, "--", *words)
        try:
            yield meter(machine, name)
        finally:
            access.run(machine.id, ["systemctl", "stop", name])

    def app_meter(self, machines: Sequence[MachineStatus]) -> Meter:
        """Of the app under PM2 on these machines together."""
        meters = [meter(each, APP_UNIT) for each in machines]
        return lambda: sum(each() for each in meters)

    def scale(self, count: int) -> None:
        """Have so many app servers, all of them in Nginx."""
        done = command("scale", str(count))
        if done.status:
            raise StandError(f"scale {count}: {done.err or done.out}")
        asyncio.run(self.stand.settled(count))


def meter(machine: MachineStatus, unit: str | None = None) -> Meter:
    """Of a machine, or of a unit of its systemd."""
    name = unit and f"{unit}.service"

    def read() -> float:
        seconds = control_groups.cpu_seconds(machine.id, name)
        if seconds is None:
            raise StandError(f"{name or 'the machine'} doesn't run on {machine.id}")
        return seconds

    read()
    return read


@contextmanager
def opened(stand: Stand) -> Generator[Bed]:
    """A lab whose ports are open for as long as the body runs."""
    (edge,) = stand.machines("edge")
    bed = Bed(stand, edge, urlsplit(stand.url).hostname or "")
    ec2: Any = stand.aws("ec2")
    opened = [_opening(ec2, bed.machine(tier), *ports) for tier, ports in OPEN_PORTS.items()]
    for each in opened:
        ec2.authorize_security_group_ingress(**each)
    try:
        yield bed
    finally:
        for each in opened:
            ec2.revoke_security_group_ingress(**each)


def answers(url: str) -> None:
    """Wait until an address answers well. StandError."""
    deadline = time.monotonic() + PATIENCE
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                said = session.get(url, timeout=5).status_code
            except requests.RequestException as error:
                said = type(error).__name__
            if said == 200:
                return
            if time.monotonic() > deadline:
                raise StandError(f"{url} answers with {said}, after {PATIENCE:.0f} s")
            time.sleep(0.1)


def _opening(ec2: Any, machine: MachineStatus, first: int, last: int) -> dict[str, Any]:
    """What opens ports of a machine's tier to anybody."""
    (reservation,) = ec2.describe_instances(InstanceIds=[machine.id])["Reservations"]
    group = reservation["Instances"][0]["SecurityGroups"][0]["GroupId"]
    ports = {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    return {"GroupId": group, "IpPermissions": [ports]}
