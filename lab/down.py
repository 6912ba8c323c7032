"""Take the lab down: whatever state it is in, nothing stays but the cache."""

import shutil

from lab import daemon, paths
from lab.machines import machine
from lab.network import dns, links

CONTROLLER = "controller"
API = "api"
GRACE_SECONDS = 0
"""Machines are removed whole, so they need not shut down in order; nor the API, whose state is in its memory alone."""


def present() -> bool:
    """Whether there is a lab here, working or not: one to take down."""
    return paths.STATE.exists() or bool(links.interfaces()) or bool(links.own_addresses_present())


def down() -> None:
    """Remove machines, processes, addresses, rules and files. Does nothing where there is nothing; may be run again."""
    # First, or it would start again what is stopped below.
    daemon.stop(CONTROLLER)
    machine.teardown_all(grace=GRACE_SECONDS)
    daemon.stop(API, grace=GRACE_SECONDS)
    dns.stop(paths.STATE)
    links.teardown(paths.STATE)
    shutil.rmtree(paths.STATE, ignore_errors=True)
