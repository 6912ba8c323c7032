"""The reconciler's service, for as long as the machine runs."""

import asyncio
from pathlib import Path
from typing import Any

from expressway_machine import config, metadata, systemd
from expressway_machine.aws import Clients

from .bucket import Reports
from .calls import Calls
from .events import Events
from .groups import Groups, Target
from .loop import Reconciler
from .rates import Rates
from .upstream import SOCKET, Balancer

STATE = Path("/run/expressway/reconciler.json")


def main() -> None:
    """Run until stopped."""
    asyncio.run(run(config.load(), metadata.instance_id()))


async def run(machine: config.Machine, instance_id: str, socket: Path = SOCKET, state: Path = STATE) -> None:
    """Run until cancelled, as the machine of that id."""
    # Short-tempered: the next question is at hand, and meanwhile nothing changes.
    clients = Clients(machine["region"], attempts=2, read_timeout=5)
    calls = Calls()

    def client(service: str) -> Any:
        return calls.watch(clients.get(service))

    upstream = machine["upstream"]
    targets = [_target(each) for each in (upstream if isinstance(upstream, list) else [upstream])]
    tracked = [each.group for each in targets if each.tracked]
    rates = Rates(tracked, client("cloudwatch").put_metric_data) if tracked else None
    events = None
    if queue := machine.get("events_queue_url"):
        # Patient enough for a long poll.
        patient = Clients(machine["region"], attempts=1, read_timeout=30)
        events = Events(calls.watch(patient.get("sqs")), queue, lambda: reconciler.wake())
    reconciler = Reconciler(
        Groups(client("autoscaling"), client("ec2"), targets, instance_id),
        Balancer(socket),
        Reports(client("s3"), machine["bucket"]),
        instance_id,
        {each.port: each.path for each in targets},
        state,
        calls,
        events,
        rates,
    )
    listening = False

    def passed() -> None:
        nonlocal listening
        systemd.notify("READY=1\nWATCHDOG=1")
        if events and not listening:
            listening = True
            events.start()

    await reconciler.run(passed)


def _target(upstream: dict[str, Any]) -> Target:
    """One group of machine.json's `upstream`, which is one, or a list of them."""
    return Target(
        upstream["auto_scaling_group"],
        upstream["port"],
        upstream["readiness_path"],
        tuple(upstream["lifecycle_hooks"]),
        upstream["tracks_requests"],
    )


if __name__ == "__main__":
    main()
