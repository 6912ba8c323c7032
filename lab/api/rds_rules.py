"""What RDS refuses of a PostgreSQL instance, when it is created and when it is changed; moto takes it.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html, API_ModifyDBInstance.html,
API_CreateDBSubnetGroup.html; the wording is from reports of others in public issues.
"""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.rds.exceptions import InvalidParameterCombination, InvalidParameterValue

from lab.api.catalogue import has_instance_class, postgresql_version

ADVANCED_DAYS = 465
RESERVED_NAMES = ("db", "rdsadmin", "template0", "template1")
RESERVED_USERS = ("admin", "rdsadmin")


class ZonesError(ServiceException):
    """A subnet group has subnets in one zone only."""

    code = "DBSubnetGroupDoesNotCoverEnoughAZs"


class InstanceStateError(ServiceException):
    """RDS does not do it to an instance that is as it is."""

    code = "InvalidDBInstanceState"


def full_version(asked: str) -> str:
    """The version that RDS runs when `asked` is a major one; a full one stays."""
    version = postgresql_version(asked)
    if version is None:
        raise InvalidParameterCombination(f"Cannot find version {asked} for postgres")
    return version


def check_class(instance_class: str, version: str) -> None:
    """Refuse a class that RDS does not have for PostgreSQL."""
    if not has_instance_class(instance_class):
        raise InvalidParameterCombination(
            "RDS does not support creating a DB instance with the following combination: "
            f"DBInstanceClass={instance_class}, Engine=postgres, EngineVersion={version}, "
            "LicenseModel=postgresql-license. For supported combinations of instance class and database engine "
            "version, see the documentation."
        )


def check_names(database: str | None, user: str | None) -> None:
    """Refuse what the engine has for itself, and an instance that nobody owns."""
    if not user:
        raise InvalidParameterValue("The parameter MasterUsername must be provided and must not be blank.")
    if database and database.lower() in RESERVED_NAMES:
        raise InvalidParameterValue(f"DBName {database} cannot be used. It is a reserved word for this engine")
    if user.lower() in RESERVED_USERS:
        raise InvalidParameterValue(f"MasterUsername {user} cannot be used as it is a reserved word used by the engine")


def check_family(backend: Any, group: str | None, version: str) -> None:
    """Refuse a parameter group of another major version than `version`. One that isn't there is moto's to refuse."""
    wanted = f"postgres{version.partition('.')[0]}"
    known = backend.db_parameter_groups.get(group) if group else None
    family = known.family if known else wanted
    if family != wanted:
        raise InvalidParameterCombination(
            f"The parameter group {group} with DBParameterGroupFamily {family} can't be used for this instance. "
            f"Please use a Parameter Group with DBParameterGroupFamily {wanted}."
        )


def check_storage(database: Any, asked: int | None) -> None:
    """Refuse to make a disk smaller."""
    if asked is not None and int(asked) < int(database.allocated_storage):
        raise InvalidParameterCombination(
            f"Invalid storage size for engine name {database.engine} and storage type {database.storage_type}: "
            f"{asked}. Allocated storage, {database.allocated_storage}, can't be decreased."
        )


def check_most_storage(storage: int | None, most: int | None) -> None:
    """Refuse storage that could not grow by a tenth.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
    """
    if storage and most and int(most) != int(storage) and int(most) * 10 < int(storage) * 11:
        raise InvalidParameterCombination(f"Invalid max storage size for engine name postgres: {most}")


def check_insights(asked: Any, present: Any = None) -> None:
    """Refuse Database Insights' advanced mode where Performance Insights is off or forgets too soon.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DatabaseInsights.Considerations.html
    """

    def become(argument: str, attribute: str) -> Any:
        given = asked.get(argument)
        return getattr(present, attribute, None) if given is None else given

    if become("database_insights_mode", "database_insights_mode") != "advanced":
        return
    enabled = become("enable_performance_insights", "performance_insights_enabled")
    days = become("performance_insights_retention_period", "performance_insights_retention_period")
    if not enabled or int(days or 0) < ADVANCED_DAYS:
        raise InvalidParameterCombination(
            "To enable the Advanced mode of Database Insights, enable Performance Insights and set its retention "
            f"period to {ADVANCED_DAYS} days or more."
        )


def check_upgrade(database: Any, asked: str, group: str | None, major_allowed: bool | None) -> str:
    """The full version that an upgrade to `asked` leads to; refused when RDS would not do it."""
    version = full_version(asked)
    before, after = (tuple(map(int, each.split("."))) for each in (database.engine_version, version))
    if after < before:
        raise InvalidParameterCombination(f"Cannot upgrade postgres from {database.engine_version} to {version}")
    if after[0] > before[0]:
        if not major_allowed:
            raise InvalidParameterCombination(
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
            )
        present = database.db_parameter_group_name
        if group is None and present and not database.is_default_parameter_group(present):
            raise InvalidParameterCombination(
                f"Current Parameter Group ({present}) is non-default. You need to explicitly specify a new Parameter "
                "Group in this case (default or custom)"
            )
    return version


def check_zones(subnets: list[Any]) -> None:
    """Refuse a subnet group that could not hold a standby in another zone."""
    zones = sorted({subnet.availability_zone for subnet in subnets})
    if len(zones) < 2:
        raise ZonesError(
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. "
            f"Current AZ coverage: {', '.join(zones)}. Add subnets to cover at least 2 AZs."
        )
