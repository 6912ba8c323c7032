"""The machine's shipper, from what the machine was told."""

from functools import partial
from pathlib import Path

from expressway_machine import config, metadata
from expressway_machine.calls import LOGS, Calls

from . import access
from .file import File
from .journal import Journal
from .mask import Mask
from .shipper import Positions, Shipper, Source, state

NGINX = Path("/var/log/nginx")
ENVIRONMENT = Path("/run/expressway/environment.json")
"""The app's environment, secrets included, for as long as the app runs."""
PATIENCE = 4.0
"""Seconds to tell the last lines in, when the machine stops."""


def shipper(machine: config.Machine, calls: Calls) -> Shipper | None:
    """The shipper; None when the machine is to tell nobody."""
    wanted = machine.get("logs")
    if not wanted:
        return None
    positions = Positions(state() / "logs.json")
    told = positions.read()
    sources: list[Source] = [Journal(told.get(Journal.name))]
    if machine["tier"] == "edge":
        sources.append(File(NGINX / "error.log", access.errors, told.get("error.log")))
        if wanted["access"] != access.NONE:
            sources.append(File(NGINX / "access.log", access.requests(wanted["access"]), told.get("access.log")))
        mask = Mask()
    else:
        mask = Mask(ENVIRONMENT, machine["app"]["secrets"])
    return Shipper(wanted["group"], sources, positions, mask, partial(calls, LOGS), metadata.instance_id)
