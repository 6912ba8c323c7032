"""A failover of the database to its standby, to try it."""

import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from operate.database.instance import AVAILABLE, DatabaseError, Instance, Listener, Pause, find_available, wait
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
    found = find_available(stack)
    identifier, former = found["DBInstanceIdentifier"], found["AvailabilityZone"]
    if not found.get("MultiAZ"):
        raise DatabaseError(
            f"{identifier} has no standby to take over: set expressway:database.multiAz to true, and run pulumi up"
        )
    name, ask = found["Endpoint"]["Address"], resolve or _resolve
    address, moved = ask(name), list[float]()
    began = time.monotonic()

    def over(now: Instance, _: float) -> bool:
        led = ask(name)
        if not moved and address is not None and led not in (None, address):
            moved.append(round(time.monotonic() - began, 1))
            listener(f"{name} leads to {led}, after {moved[0]:.0f} s")
        swapped = now["AvailabilityZone"] != former and now["DBInstanceStatus"] == AVAILABLE
        return swapped and (address is None or bool(moved))

    stack.client("rds").reboot_db_instance(DBInstanceIdentifier=identifier, ForceFailover=True)
    listener(f"{identifier}: the standby in {found.get('SecondaryAvailabilityZone', 'another zone')} takes over")
    done = wait(stack, identifier, over, SECONDS, listener, pause)
    seconds = round(time.monotonic() - began, 1)
    return Failover(identifier, former, done["AvailabilityZone"], seconds, moved[0] if moved else None)


def _resolve(name: str) -> str | None:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return None
