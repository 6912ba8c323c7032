"""Puts the API together: moto with the lab's changes, the servers, and the clock that Auto Scaling runs by."""

import importlib
import signal
import threading
import time
from pathlib import Path
from types import FrameType

from moto.core.utils import utcnow

from lab.api import alarms, autoscaling, queues, rds_backups, target_health, tls
from lab.api.application import Application
from lab.api.authorization.gate import Gate
from lab.api.changes import Changes
from lab.api.control import Control
from lab.api.faults import Faults
from lab.api.prewarm import prewarm
from lab.api.serving import Server

TICK_SECONDS = 1.0

CHANGES = (
    "alarms",
    "autoscaling",
    "dependencies",
    "ec2",
    "elasticache",
    "elasticache_changes",
    "elasticache_failover",
    "elasticache_shape",
    "events",
    "iam",
    "instances",
    "launch_templates",
    "load_balancers",
    "logs",
    "membership",
    "metrics",
    "offers",
    "queues",
    "quotas",
    "rds",
    "rds_backups",
    "rds_changes",
    "rds_parameters",
    "rds_proxies",
    "rds_replicas",
    "rds_rotation",
    "rds_standby",
    "refreshes",
    "s3",
    "schedules",
    "secretsmanager",
    "security_groups",
    "service_roles",
    "simulation",
    "ssm",
    "target_health",
    "topics",
    "vpc",
    "warm_pools",
)
"""The modules of this package that change what moto does, each with an `install()`."""


def serve(port: int, region: str, tls_address: str | None, tls_port: int, tls_dir: Path | None) -> None:
    """Serve until SIGTERM or SIGINT. The addresses have to be free."""
    install()
    stopped, prewarmed, changes, gate, faults = threading.Event(), threading.Event(), Changes(), Gate(), Faults()
    queues.take_turns(changes)
    control = Control(changes, prewarmed.is_set, gate, faults)
    application = Application(changes, control, gate, faults, step, tls_dir)
    servers = [Server("127.0.0.1", port, application)]
    if tls_dir:
        tls.ca(tls_dir)
    if tls_address and tls_dir:
        servers.append(Server(tls_address, tls_port, application, tls.issue(tls_dir, tls.api_names(region))))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for server in servers:
        server.start()
    prewarm(application, region)
    prewarmed.set()
    while not stopped.wait(TICK_SECONDS):
        tick(changes)


def install() -> None:
    """All of the lab's changes to moto."""
    for name in CHANGES:
        importlib.import_module(f"lab.api.{name}").install()


def step() -> bool:
    """What is due by now, of what follows by itself. Whether there was anything."""
    # Not one or the other: each has its own clock.
    done = [autoscaling.step(), rds_backups.step(utcnow())]
    return any(done)


def tick(changes: Changes) -> None:
    """Timeouts and health checks of one second."""
    with changes.lock:
        # Not one or the other: each has its own clock.
        if any([target_health.step(time.monotonic()), step()]):
            changes.record()
        alarms.step(time.time())
