"""What `expressway db` shows: in 80 columns, with remarks below for what needs more."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from operate.database.snapshots import Snapshot
    from operate.database.status import Status

GIB = 2**30


def members(found: "Status") -> Table:
    """The primary and its replicas."""
    primary = found.members[0]
    known = {"postgres": "PostgreSQL", "aurora-postgresql": "Aurora PostgreSQL"}
    version = f"{known.get(found.engine, found.engine)} {found.version}"
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title=f"{found.id}: {version} on {primary.instance_class}, {primary.status}",
        caption="storage in GiB, CPU in %, lag in s",
    )
    for name in ("instance", "zone"):
        table.add_column(name, no_wrap=True)
    table.add_column("state", overflow="fold")
    for name in ("storage", "CPU", "sessions", "lag"):
        table.add_column(name, justify="right", no_wrap=True)
    # The title has the primary's name, and a remark has the replicas': 80 columns have no room for them.
    names = _short([each.id for each in found.members])
    for name, each in zip(names, found.members, strict=True):
        table.add_row(
            *(each.role if each is primary else name, each.zone, each.status),
            shown(each.storage_used_gb) if found.aurora else f"{shown(each.storage_used_gb)}/{each.storage_gb}",
            shown(each.cpu),
            f"{shown(each.connections)}/{each.connections_most or '-'}",
            shown(each.lag),
        )
    return table


def remarks(found: "Status") -> Iterator[str]:
    """What the table has no room for, and what is to be done about it."""
    primary = found.members[0]
    if found.aurora:
        yield from _readers(found)
    elif primary.standby_zone:
        yield f"standby: in {primary.standby_zone}"
    elif found.multi_az:
        yield "standby: being made"
    else:
        yield "no standby: when its zone or machine fails, it is away until RDS has another one (database.multiAz)"
    if replicas := [each.id for each in found.members if each.role == "replica"]:
        yield f"replicas: {', '.join(replicas)}"
    if found.storage_most_gb:
        yield f"storage grows by itself up to {found.storage_most_gb} GiB"
    if not found.backup_days:
        yield "no backups: there is nothing to go back to but snapshots (database.backupDays)"
    elif found.latest:
        since = f"from {_time(found.earliest)} " if found.earliest else ""
        yield f"can be restored as it was {since}to {_time(found.latest)}"
    if found.pending:
        waiting = ", ".join(f"{name}: {value}" for name, value in found.pending.items())
        yield f"waits for the window {found.maintenance_window}: {waiting}"
    for each in found.maintenance:
        when = f" after {_time(each.after)}" if each.after else ""
        yield f"maintenance{when}: {each.action} {each.description}".rstrip()
    if found.parameters == "pending-reboot":
        way = ", or db failover" if primary.standby_zone and not found.aurora else ""
        yield f"parameters of {found.parameter_group} wait for a reboot: aws rds reboot-db-instance{way}"
    elif found.parameters not in ("", "in-sync"):
        yield f"parameters of {found.parameter_group} are {found.parameters}"
    waiting = [each.id for each in found.members if each is not primary and each.parameters == "pending-reboot"]
    if waiting:
        yield f"replicas whose parameters wait for a reboot of each: {', '.join(waiting)}"


def _readers(found: "Status") -> Iterator[str]:
    if readers := [each.id for each in found.members if each.role == "reader"]:
        yield f"readers: {', '.join(readers)}"
    else:
        yield "no reader: when the writer's machine fails, it is away until there is another one (database.replicas)"


def snapshots(found: Sequence["Snapshot"]) -> Table:
    """Each with its size and age."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, caption="GiB: what it takes, or its database"
    )
    table.add_column("snapshot", overflow="fold")
    for name in ("kind", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("GiB", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    now = datetime.now(UTC)
    for each in found:
        size: float | None = each.storage_gb if each.stored_bytes is None else each.stored_bytes / GIB
        table.add_row(
            *(each.name, each.kind, _state(each), shown(size)),
            age((now - each.made).total_seconds()) if each.made else "-",
        )
    return table


def age(seconds: float) -> str:
    """In the unit that says most."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def shown(value: float | None) -> str:
    """A figure in few characters; a dash where there is none."""
    return "-" if value is None else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _short(names: Sequence[str]) -> list[str]:
    """Without the words that all of them begin with."""
    words = [name.split("-") for name in names]
    same = len(list(takewhile(lambda each: len(set(each)) == 1, zip(*words, strict=False))))
    return ["-".join(each[same:]) or name for each, name in zip(words, names, strict=True)]


def _state(snapshot: "Snapshot") -> str:
    return snapshot.status if snapshot.progress in (None, 100) else f"{snapshot.status} {snapshot.progress} %"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
