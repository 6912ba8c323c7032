"""The service: a pass about every five seconds, for as long as the machine runs."""

import functools
import random
import time
from pathlib import Path

from expressway_edge import address
from expressway_machine import config, metadata, systemd
from expressway_machine.aws import Clients

from . import observe
from .watch import Watch

INTERVAL = 5.0
"""Seconds between passes, give or take a fifth, so that two edges don't act in step."""
STATE = Path("/run/expressway-health/health.json")
BEAT = 60.0
"""Seconds that a pass of the reconciler may take while the API is out of reach."""


def main() -> None:
    """Run until stopped."""
    machine = config.load()
    instance_id, allocation_id = metadata.instance_id(), machine["eip_allocation_id"]
    # Short-tempered: the next pass is at hand, and meanwhile nothing changes.
    clients = Clients(machine["region"], attempts=2, read_timeout=5)
    ec2 = clients.get("ec2")
    watch = Watch(
        observe.Api(clients.get("autoscaling"), ec2, instance_id, allocation_id),
        instance_id,
        functools.partial(address.claim, ec2, allocation_id, instance_id, patience=10),
        STATE,
        {"nginx": observe.nginx_answers, "reconciler": functools.partial(observe.reconciler_beats, BEAT)},
    )
    systemd.notify("READY=1")
    while True:
        watch.run_pass()
        systemd.notify("WATCHDOG=1")
        time.sleep(INTERVAL * random.uniform(0.8, 1.2))  # noqa: S311, not for secrets


if __name__ == "__main__":
    main()
