"""A failover of the database to its standby, or of a cluster's writer to a reader, to try it."""

import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from operate.database import cluster
from operate.database.instance import (
    AVAILABLE,
    DatabaseError,
    Instance,
    Listener,
    Pause,
    clustered,
    find_available,
    wait,
)
from operate.stack import Stack

SECONDS: Final = 900.0
"""In which a failover is over; it takes a minute or two."""


@dataclass(frozen=True)
class Failover:
    """One that is over."""

    id: str
    former: str
    """The zone that the primary was in."""
    zone: str
    """The one that it is in."""
    seconds: float
    """Until RDS was through with it."""
    moved_seconds: float | None
    """Until the endpoint's name led elsewhere; None where such names aren't resolved."""
    writer: str | None = None
    """With Aurora, the instance that was a reader and takes writes now."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def failover(
    stack: Stack,
    listener: Listener = lambda _: None,
    pause: Pause = time.sleep,
    resolve: Callable[[str], str | None] | None = None,
) -> Failover:
    """Have RDS make the standby the primary, and wait until it is that. DatabaseError; botocore's errors."""
    if clustered(stack):
        return _of_cluster(stack, listener, pause, resolve or _resolve)
    found = find_available(stack)
    identifier, former = found["DBInstanceIdentifier"], found["AvailabilityZone"]
    if not found.get("MultiAZ"):
        raise DatabaseError(
            f"{identifier} has no standby to take over: set expressway:database.multiAz to true, and run pulumi up"
        )
    name = _Name(found["Endpoint"]["Address"], resolve or _resolve, listener)

    def over(now: Instance, _: float) -> bool:
        moved = name.moved()
        return now["AvailabilityZone"] != former and now["DBInstanceStatus"] == AVAILABLE and moved

    stack.client("rds").reboot_db_instance(DBInstanceIdentifier=identifier, ForceFailover=True)
    listener(f"{identifier}: the standby in {found.get('SecondaryAvailabilityZone', 'another zone')} takes over")
    done = wait(stack, identifier, over, SECONDS, listener, pause)
    return Failover(identifier, former, done["AvailabilityZone"], name.since(), name.seconds)


def _of_cluster(stack: Stack, listener: Listener, pause: Pause, resolve: Callable[[str], str | None]) -> Failover:
    found = cluster.find_available(stack)
    identifier, former = found["DBClusterIdentifier"], cluster.writer(found)
    zones = {each["DBInstanceIdentifier"]: each["AvailabilityZone"] for each in cluster.instances(stack, found)}
    if former is None or len(zones) == 1:
        raise DatabaseError(
            f"{identifier} has no reader to take over: set expressway:database.replicas to 1 or more, and run pulumi up"
        )
    name = _Name(found["Endpoint"], resolve, listener)

    def over(now: cluster.Cluster, _: float) -> bool:
        moved = name.moved()
        return cluster.writer(now) not in (None, former) and cluster.is_available(now) and moved

    stack.client("rds").failover_db_cluster(DBClusterIdentifier=identifier)
    listener(f"{identifier}: a reader takes over from {former}")
    done = wait(stack, identifier, over, SECONDS, listener, pause, cluster.CLUSTER)
    writer = cluster.writer(done) or ""
    return Failover(identifier, zones[former], zones.get(writer, ""), name.since(), name.seconds, writer)


class _Name:
    """The endpoint's, from before a failover on: where it leads."""

    def __init__(self, name: str, resolve: Callable[[str], str | None], listener: Listener) -> None:
        self._name, self._resolve, self._listener = name, resolve, listener
        self._address, self._began = resolve(name), time.monotonic()
        self.seconds: float | None = None
        """Until it led elsewhere; None until then, and where such names aren't resolved."""

    def since(self) -> float:
        """Seconds until now."""
        return round(time.monotonic() - self._began, 1)

    def moved(self) -> bool:
        """Whether it leads elsewhere, or nobody can say."""
        led = self._resolve(self._name)
        if self.seconds is None and self._address is not None and led not in (None, self._address):
            self.seconds = self.since()
            self._listener(f"{self._name} leads to {led}, after {self.seconds:.0f} s")
        return self._address is None or self.seconds is not None


def _resolve(name: str) -> str | None:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return None
