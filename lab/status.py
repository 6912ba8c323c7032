"""What `lab status` shows: the machines of the lab, how they are, and the app they serve."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lab import daemon, paths
from lab.down import API, CONTROLLER
from lab.machines import observation

TIERS = ("load-balancer", "edge", "app", "cache", "proxy", "database")


@dataclass(frozen=True)
class Record:
    """What `lab up` writes down. `phase` is starting, up or failed; `app` says what runs and how PM2 runs it."""

    phase: str
    url: str
    app: dict[str, Any]
    seconds: dict[str, float]
    """From the start of `lab up`: to the first 200 through the edge, and to all machines in service."""
    outputs: dict[str, Any]
    steps: list[dict[str, Any]]
    """Name, and seconds from the start of `lab up` at which each step began and ended."""
    overrides: list[str] = field(default_factory=list[str])
    """Settings on top of Pulumi.lab.yaml."""
    apps: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """What was said of each release in `app`."""


def write(record: Record, state: Path = paths.STATE) -> None:
    """Keep `record` for as long as the lab is there."""
    (state / "up.json").write_text(json.dumps(asdict(record)))


def read(state: Path = paths.STATE) -> Record | None:
    """The record of the lab that is there, or None."""
    try:
        return Record(**json.loads((state / "up.json").read_text()))
    except (FileNotFoundError, TypeError, ValueError):
        # Not there, half written, or another version's.
        return None


def deployed(release: str, app: dict[str, Any] | None = None, state: Path = paths.STATE) -> None:
    """Write down that a deploy ended with `release`. `app` describes it, where it was built for that."""
    if (record := read(state)) is None:
        return
    known = {**record.apps, **({record.app["release"]: record.app} if record.app else {})}
    app = app or known.get(release) or (record.app and {**record.app, "release": release})
    write(replace(record, app=app, apps={**known, release: app}), state)


def works() -> bool:
    """Whether the lab came up and its programs still run."""
    record = read()
    return record is not None and record.phase == "up" and all(daemon.find(name) for name in (API, CONTROLLER))


def machines(state: Path = paths.STATE) -> list[dict[str, Any]]:
    """One entry a machine, in the order in which a request meets the tiers."""
    found = observation.observe(state / "machines")
    found.sort(key=lambda status: (TIERS.index(status.tier) if status.tier in TIERS else len(TIERS), status.id))
    return [
        {
            "id": status.id,
            "tier": status.tier,
            "address": status.address,
            "state": str(status.state),
            "boot_seconds": status.boot_seconds,
        }
        for status in found
    ]
