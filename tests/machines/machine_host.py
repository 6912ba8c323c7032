"""A host for machine tests: a network namespace with the metadata service in it, so that a lab may be up meanwhile."""

import contextlib
import dataclasses
import socketserver
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from lab.api import tls
from lab.machines import guest, machine
from lab.machines.image import Image
from lab.machines.instance import InstanceMetadata
from lab.machines.metadata import MetadataServer
from lab.network import addresses, links
from lab.network.command import run
from tests.machines.network_namespaces import own_network

TRIVIAL = b"#cloud-config\nruncmd: [[touch, /root/booted]]\n"
BOOT_SECONDS = 180
"""More than a boot takes on a busy host."""


@dataclass
class MachineHost:
    """Starts machines in a directory of their own and tells them what they are."""

    directory: Path
    images: Mapping[str, Image]
    known: dict[str, InstanceMetadata] = field(default_factory=dict[str, InstanceMetadata])

    @property
    def machines(self) -> Path:
        """Where the machines are."""
        return self.directory / "machines"

    def certificate(self, name: str) -> tuple[str, str]:
        """Certificate and key for `name` by an authority that the machines trust."""
        certificate, key = tls.issue(self.directory / "tls", [name])
        return certificate.read_text(), key.read_text()

    def spec(self, name: str, address: str, image: str = "base") -> machine.MachineSpec:
        """A machine of `image`."""
        tls.ca(self.directory / "tls")
        return machine.MachineSpec(
            id=name,
            tier="app",
            address=address,
            hostname=f"ip-{address.replace('.', '-')}",
            layers=self.images[image].layers,
            authority=self.directory / "tls" / tls.CERTIFICATE,
        )

    def start(
        self, name: str, address: str, image: str = "base", user_data: bytes = TRIVIAL, cpus: float | None = None
    ) -> None:
        """Start a machine and connect it."""
        self.known[address] = InstanceMetadata(
            instance_id=name,
            image_id="ami-lab",
            instance_type="t3.small",
            hostname=f"ip-{address.replace('.', '-')}.ec2.internal",
            private_ip=address,
            mac=guest.mac_address(name),
            zone="us-east-1a",
            user_data=user_data,
        )
        machine.start(dataclasses.replace(self.spec(name, address, image), cpus=cpus), self.machines)
        assert links.ensure(addresses.interface(name), IPv4Address(address)), f"the link of {name} is not there"

    def status(self, name: str) -> machine.MachineStatus:
        """How the machine is now."""
        found = {status.id: status for status in machine.observe(self.machines)}
        assert name in found, f"{name} is not among {sorted(found)}"
        return found[name]

    def booted(self, name: str) -> machine.MachineStatus:
        """How the machine is when it boots no longer."""
        deadline = time.monotonic() + BOOT_SECONDS
        while (status := self.status(name)).state is machine.State.BOOTING and time.monotonic() < deadline:
            time.sleep(0.05)
        return status

    def output(self, name: str, *command: str) -> str:
        """What a command prints inside; it must succeed."""
        done = machine.run(name, command, self.machines)
        assert done.returncode == 0, f"{command} on {name} ended with {done.returncode}: {done.stderr}"
        return done.stdout.strip()

    def stop(self, name: str) -> None:
        """Stop a machine without waiting for it to shut down in order."""
        machine.stop(name, self.machines, grace=0)


class NoNames(socketserver.DatagramRequestHandler):
    """Answers every DNS question: there is no such name. Without an answer each question would be a wait of 5 s."""

    def handle(self) -> None:
        query = self.rfile.read()
        self.wfile.write(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:])


@contextlib.contextmanager
def machine_host(directory: Path, images: Mapping[str, Image]) -> Generator[MachineHost]:
    """The host; nothing of it is left afterwards."""
    host = MachineHost(directory, images)
    with own_network():
        # Here no rules rewrite AWS's addresses to the lab's, so they are the host's own.
        for address in (addresses.METADATA, addresses.DNS, addresses.HOST):
            run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
        links.FORWARDING.write_text("1")
        with (
            MetadataServer(host.known.get, (str(addresses.METADATA), 80)) as metadata,
            socketserver.ThreadingUDPServer((str(addresses.DNS), 53), NoNames) as names,
        ):
            for service in (metadata, names):
                threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            try:
                yield host
            finally:
                machine.teardown_all(host.machines)
                for service in (metadata, names):
                    service.shutdown()
