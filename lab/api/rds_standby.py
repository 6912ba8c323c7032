"""RDS's Multi-AZ: a standby in another zone, failover to it, and reboots.

A standby has all that was acknowledged while it is synchronous; only then it may take over. It is no instance of its
own, and nobody connects to it. What the controller does where PostgreSQL runs is true here once it says so. A replica
has no standby before it is promoted, where RDS would let it have one.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZSingleStandby.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.DBInstance.Modifying.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZ.Failover.html,
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RebootDBInstance.html; the wording of refusals is ours.
"""

from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.rds import models, responses
from moto.rds.exceptions import InvalidParameterCombination

from lab.api import rds_parameters
from lab.api.ec2 import private_interface
from lab.api.patching import add, around, instead
from lab.api.rds import OTHER_NODE, choose_subnet, find
from lab.api.rds_rules import InstanceStateError

INCOMPATIBLE = "incompatible-parameters"
"""An instance whose server does not start with them. https://repost.aws/knowledge-center/rds-incompatible-parameters"""


@dataclass
class Standby:
    """What a primary has in another zone."""

    node: str
    interface: Any
    zone: str
    synchronous: bool = False
    """Whether it has all that was acknowledged."""
    leaving: bool = False
    """Whether there is to be none."""


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    around(models.DBInstance, "__init__", _create)
    around(models.RDSBackend, "delete_db_instance", _delete)
    instead(responses.RDSResponse, "reboot_db_instance", _reboot)
    add(models.DBInstance, "secondary_availability_zone", property(_zone))


def follow(database: Any) -> None:
    """Begin what the database's setting asks for: a standby, or none."""
    wanted = database.multi_az and not database.is_replica and hasattr(database, "interface")
    if wanted and database.standby is None:
        database.standby = _place(database)
    elif database.standby and database.standby.leaving == bool(wanted):
        database.standby.leaving = not wanted
    else:
        return
    if database.status == "available":
        database.status = "modifying"


def take_down(database: Any, *, upgrade: bool) -> None:
    """Begin what takes the server away for a moment: an `upgrade` of its version, or another class.

    With a standby, a class is changed there first, so that the outage is a failover's; an upgrade takes both at once.
    """
    if database.status == "creating" or database.failing_over:
        return
    fails_over = bool(database.standby and database.standby.synchronous) and not upgrade
    database.failing_over, database.restarting = fails_over, not fails_over
    rds_parameters.take_all(database)
    database.status = "upgrading" if upgrade else "modifying"


def move(database: Any) -> None:
    """The primary is in another subnet group now: so is the standby, made anew."""
    if database.standby:
        database.standby.interface.delete()
        database.standby = _place(database)


def set_synchronous(identifier: str, synchronous: bool) -> bool:
    """The standby has all that is acknowledged from now on, or no longer. Not while it takes over."""
    database = find(identifier)
    if database is None or database.standby is None or database.failing_over:
        return False
    database.standby.synchronous = synchronous
    return True


def finish_leaving(identifier: str) -> bool:
    """The primary does without it. Whether that is what was to be."""
    database = find(identifier)
    if database is None or database.standby is None or not database.standby.leaving:
        return False
    database.standby.interface.delete()
    database.standby = None
    if database.status == "modifying":
        database.status = "available"
    return True


def begin_failover(identifier: str, node: str) -> bool:
    """The primary is gone, and the standby takes over. Whether `node` is one that can."""
    database = find(identifier)
    standby = database and database.standby
    if not standby or not standby.synchronous or standby.node != node or database.failing_over:
        return False
    database.failing_over, database.status = True, "rebooting"
    rds_parameters.take_all(database)
    return True


def finish_failover(identifier: str, node: str) -> bool:
    """`node` takes writes now, and the other one doesn't run. Whether that is what the database waits for."""
    database = find(identifier)
    standby = database and database.standby
    if not standby or not database.failing_over or standby.node != node:
        return False
    old = Standby(database.node, database.interface, database.availability_zone, leaving=standby.leaving)
    database.node, database.interface, database.availability_zone = standby.node, standby.interface, standby.zone
    database.standby, database.failing_over = old, False
    database.status = "modifying" if standby.leaving else "available"
    return True


def finish_reboot(identifier: str) -> bool:
    """PostgreSQL has started anew. Whether that is what the database waits for."""
    database = find(identifier)
    if database is None or not database.restarting:
        return False
    database.restarting, database.status = False, "available"
    return True


def fail_reboot(identifier: str) -> bool:
    """PostgreSQL does not start with the parameters that it is to have. Whether a start is what was waited for."""
    database = find(identifier)
    if database is None or not database.restarting:
        return False
    database.restarting, database.status = False, INCOMPATIBLE
    return True


def _create(original: Any, database: Any, *args: Any, **kwargs: Any) -> None:
    original(database, *args, **kwargs)
    follow(database)


def _place(database: Any) -> Standby:
    subnet = choose_subnet(database.db_subnet_group, None, besides=database.availability_zone)
    ec2 = ec2_backends[database.account_id][database.region]
    description = f"RDSNetworkInterface {database.db_instance_identifier}"
    interface = private_interface(ec2, subnet.id, database.vpc_security_group_ids, description)
    return Standby(OTHER_NODE[database.node], interface, subnet.availability_zone)


def _delete(original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    database = original(backend, *args, **kwargs)
    if standby := getattr(database, "standby", None):
        standby.interface.delete()
    return database


def _zone(database: Any) -> str | None:
    return database.standby.zone if getattr(database, "standby", None) else None


def _reboot(response: Any) -> Any:
    identifier, forced = response.params["DBInstanceIdentifier"], response.params.get("ForceFailover", False)
    database = response.backend.describe_db_instances(identifier)[0]
    if database.status not in ("available", INCOMPATIBLE):
        raise InstanceStateError(f"DB instance {identifier} is not in the available state; it is {database.status}.")
    if forced and not database.standby:
        raise InvalidParameterCombination(
            "ForceFailover cannot be specified since the instance is not configured for either MultiAZ or High "
            "Availability."
        )
    if forced and not database.standby.synchronous:
        raise InstanceStateError(f"The standby of DB instance {identifier} is not there yet.")
    database.failing_over, database.restarting = bool(forced), not forced
    database.status = "rebooting"
    rds_parameters.take_all(database)
    return ActionResult({"DBInstance": database})
