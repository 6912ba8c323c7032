"""The reconciler's service: a pass about every two seconds, for as long as the machine runs."""

import random
import time
from pathlib import Path

from expressway_machine import config, systemd
from expressway_machine.aws import Clients

from . import observe, upstream
from .loop import Reconciler

INTERVAL = 2.0
"""Seconds between passes, give or take a fifth, so that many edges don't ask in step."""
RUN = Path("/run/expressway")


def main() -> None:
    """Run until stopped."""
    machine = config.load()
    target = machine["upstream"]
    # Short-tempered: the next pass is at hand, and meanwhile nothing changes.
    clients = Clients(machine["region"], attempts=2, read_timeout=5)
    group = observe.Group(
        clients.get("autoscaling"), clients.get("ec2"), target["auto_scaling_group"], target["lifecycle_hooks"]
    )
    balancer = upstream.Balancer()
    reconciler = Reconciler(group, balancer, target["port"], target["readiness_path"], RUN / "reconciler.json")
    while True:
        reconciler.run_pass()
        systemd.notify("READY=1\nWATCHDOG=1")
        time.sleep(INTERVAL * random.uniform(0.8, 1.2))  # noqa: S311, not for secrets


if __name__ == "__main__":
    main()
