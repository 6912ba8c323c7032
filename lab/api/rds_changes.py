"""What RDS lets be changed or taken away later, where moto differs: what a change reaches, and what is still in use.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
"""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.rds import models, responses
from moto.rds.exceptions import DBInstanceAlreadyExists, DBParameterGroupNotFoundError, InvalidParameterCombination

from lab.api.patching import add, around
from lab.api.rds import full_version, place


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
    around(models.RDSBackend, "modify_db_subnet_group", _modify_subnet_group)
    around(models.RDSBackend, "delete_subnet_group", _delete_subnet_group)
    around(models.RDSBackend, "delete_db_parameter_group", _delete_parameter_group)
    add(responses.RDSResponse, "reset_db_parameter_group", _reset_parameters)


def _modify(original: Any, backend: Any, db_instance_identifier: str, db_kwargs: Any) -> Any:
    """At once, whether ApplyImmediately is given or not: the lab has no maintenance window."""
    database = backend.describe_db_instances(db_instance_identifier)[0]
    if (name := db_kwargs.get("new_db_instance_identifier")) and name in backend.databases:
        raise DBInstanceAlreadyExists()
    if version := db_kwargs.get("engine_version"):
        db_kwargs["engine_version"] = _upgrade(database, version, db_kwargs.get("allow_major_version_upgrade"))
    if group := db_kwargs.get("db_subnet_group_name"):
        _refuse_same_vpc(database, backend.describe_db_subnet_groups(group)[0])
    changed = original(backend, db_instance_identifier, db_kwargs)
    if port := db_kwargs.get("db_port_number"):
        changed.port = port
    groups = db_kwargs.get("vpc_security_group_ids")
    if group:
        changed.interface.delete()
        place(changed, groups)
    elif groups and (interface := getattr(changed, "interface", None)):
        ec2 = ec2_backends[changed.account_id][changed.region]
        ec2.modify_network_interface_attribute(interface.id, groups)
    return changed


def _upgrade(database: Any, asked: str, major_allowed: bool | None) -> str:
    version = full_version(asked)
    before, after = (tuple(map(int, each.split("."))) for each in (database.engine_version, version))
    if after < before:
        raise InvalidParameterCombination(f"Cannot upgrade postgres from {database.engine_version} to {version}")
    if after[0] > before[0] and not major_allowed:
        raise InvalidParameterCombination(
            "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
        )
    return version


def _refuse_same_vpc(database: Any, group: Any) -> None:
    if group.vpc_id == database.db_subnet_group.vpc_id:
        raise SameVpcError(
            f"You cannot move DB instance {database.db_instance_identifier} to subnet group {group.name}. "
            "The specified DB subnet group and DB instance are in the same VPC. "
            "Choose a DB subnet group in different VPC than the specified DB instance and try again."
        )


def _modify_subnet_group(original: Any, backend: Any, subnet_name: str, description: Any, subnets: Any) -> Any:
    """moto forgets the group that it changed."""
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
    if any(each.db_parameter_group_name == db_parameter_group_name for each in backend.databases.values()):
        raise ParameterGroupInUseError(
            "One or more database instances are still members of this parameter group "
            f"{db_parameter_group_name}, so the group cannot be deleted"
        )
    return original(backend, db_parameter_group_name)


def _reset_parameters(response: Any) -> Any:
    """The family's own values again: API_ResetDBParameterGroup."""
    name = response.params["DBParameterGroupName"]
    if name not in response.backend.db_parameter_groups:
        raise DBParameterGroupNotFoundError(name)
    parameters = response.backend.db_parameter_groups[name].parameters
    for parameter in response.params.get("Parameters", []):
        parameters.pop(parameter["ParameterName"], None)
    return ActionResult({"DBParameterGroupName": name})
