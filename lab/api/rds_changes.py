"""What RDS lets be changed or taken away later, where moto differs: what a change reaches, and what is still in use.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
"""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from moto.rds import models
from moto.rds.exceptions import DBInstanceAlreadyExists

from lab.api import rds_passwords, rds_standby, rds_window
from lab.api.patching import around
from lab.api.rds import measure, place
from lab.api.rds_rules import (
    check_class,
    check_family,
    check_insights,
    check_most_storage,
    check_storage,
    check_upgrade,
    check_zones,
)


class SameVpcError(ServiceException):
    """An instance moves to a subnet group in another VPC only."""

    code = "InvalidVPCNetworkStateFault"


class SubnetGroupInUseError(ServiceException):
    """An instance is in the subnet group."""

    code = "InvalidDBSubnetGroupStateFault"


class ParameterGroupInUseError(ServiceException):
    """An instance has the parameter group."""

    code = "InvalidDBParameterGroupState"


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    around(models.RDSBackend, "modify_db_instance", _modify)
    around(models.RDSBackend, "create_subnet_group", _create_subnet_group)
    around(models.RDSBackend, "modify_db_subnet_group", _modify_subnet_group)
    around(models.RDSBackend, "delete_subnet_group", _delete_subnet_group)
    around(models.RDSBackend, "delete_db_parameter_group", _delete_parameter_group)


def _modify(original: Any, backend: Any, db_instance_identifier: str, db_kwargs: Any) -> Any:
    """At once what RDS changes at once or is to, with all that waits; the rest waits for the maintenance window."""
    database = backend.describe_db_instances(db_instance_identifier)[0]
    _check(backend, database, db_kwargs)
    if db_kwargs.get("apply_immediately"):
        given = {name: value for name, value in db_kwargs.items() if value is not None}
        changes = {**rds_window.due(database), **given}
    else:
        changes = rds_window.defer(database, db_kwargs)
    changed = _change(original, backend, db_instance_identifier, changes)
    changed.pending_modified_values = rds_window.told(changed)
    return changed


def _check(backend: Any, database: Any, asked: Any) -> None:
    """Refuse what RDS refuses. A version becomes a full one in `asked`."""
    if (name := asked.get("new_db_instance_identifier")) and name in backend.databases:
        raise DBInstanceAlreadyExists()
    parameters, version = asked.get("db_parameter_group_name"), database.engine_version
    if asked.get("engine_version"):
        allowed = asked.get("allow_major_version_upgrade")
        version = asked["engine_version"] = check_upgrade(database, asked["engine_version"], parameters, allowed)
    elif asked.get("apply_immediately"):
        version = rds_window.pending(database).get("engine_version", version)
    check_family(backend, parameters, version)
    if asked.get("db_instance_class"):
        check_class(asked["db_instance_class"], version)
    check_storage(database, asked.get("allocated_storage"))
    rds_passwords.check(database, asked)
    check_most_storage(asked.get("allocated_storage") or database.allocated_storage, asked.get("max_allocated_storage"))
    check_insights(asked, database)
    if group := asked.get("db_subnet_group_name"):
        _refuse_same_vpc(database, backend.describe_db_subnet_groups(group)[0])


def _change(original: Any, backend: Any, identifier: str, changes: Any) -> Any:
    before = backend.databases[identifier]
    rds_passwords.keep(before, changes)
    size, version = before.db_instance_class, before.engine_version
    changed = original(backend, identifier, changes)
    rds_passwords.begin(changed, changes)
    measure(changed, changes)
    if port := changes.get("db_port_number"):
        changed.port = port
    groups = changes.get("vpc_security_group_ids")
    if changes.get("db_subnet_group_name"):
        changed.interface.delete()
        place(changed, groups)
        rds_standby.move(changed)
    elif groups:
        ec2 = ec2_backends[changed.account_id][changed.region]
        for owner in filter(None, (changed, changed.standby)):
            if interface := getattr(owner, "interface", None):
                ec2.modify_network_interface_attribute(interface.id, groups)
    rds_standby.follow(changed)
    if (changed.db_instance_class, changed.engine_version) != (size, version):
        rds_standby.take_down(changed, upgrade=changed.engine_version != version)
    return changed


def _refuse_same_vpc(database: Any, group: Any) -> None:
    if group.vpc_id == database.db_subnet_group.vpc_id:
        raise SameVpcError(
            f"You cannot move DB instance {database.db_instance_identifier} to subnet group {group.name}. "
            "The specified DB subnet group and DB instance are in the same VPC. "
            "Choose a DB subnet group in different VPC than the specified DB instance and try again."
        )


def _create_subnet_group(
    original: Any, backend: Any, subnet_name: str, description: str, subnets: Any, tags: Any
) -> Any:
    check_zones(subnets)
    return original(backend, subnet_name, description, subnets, tags)


def _modify_subnet_group(original: Any, backend: Any, subnet_name: str, description: Any, subnets: Any) -> Any:
    """moto forgets the group that it changed."""
    check_zones(subnets)
    backend.describe_db_subnet_groups(subnet_name)
    backend.subnet_groups[subnet_name] = original(backend, subnet_name, description, subnets)
    return backend.subnet_groups[subnet_name]


def _delete_subnet_group(original: Any, backend: Any, subnet_name: str) -> Any:
    for database in backend.databases.values():
        group = getattr(database, "db_subnet_group", None)
        if group and group.name == subnet_name:
            raise SubnetGroupInUseError(
                f"Cannot delete the subnet group '{subnet_name}' because at least one database instance: "
                f"{database.db_instance_identifier} is still using it."
            )
    return original(backend, subnet_name)


def _delete_parameter_group(original: Any, backend: Any, db_parameter_group_name: str) -> Any:
    members = (rds_window.parameter_groups(database) for database in backend.databases.values())
    if any(db_parameter_group_name in groups for groups in members):
        raise ParameterGroupInUseError(
            "One or more database instances are still members of this parameter group "
            f"{db_parameter_group_name}, so the group cannot be deleted"
        )
    return original(backend, db_parameter_group_name)
