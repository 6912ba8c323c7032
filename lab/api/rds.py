"""RDS as AWS has it: endpoint names, versions, a private address, a real managed password, a status that changes."""

import hashlib
import json
import secrets
import string
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.rds import models
from moto.rds.exceptions import InvalidParameterCombination

from lab.api import rds_parameters, rds_restore
from lab.api.catalogue import memory, vcpus
from lab.api.ec2 import private_interface
from lab.api.elasticache_parameters import version_of
from lab.api.patching import around, instead
from lab.api.rds_rules import (
    check_class,
    check_family,
    check_insights,
    check_most_storage,
    check_names,
    full_version,
)

INSIGHTS_DAYS = 7
"""How long RDS keeps what Performance Insights measures, unless it is told."""

PASSWORD_LENGTH = 28
# What RDS allows in a password, less what needs quoting in a URL or a shell.
PASSWORD_CHARACTERS = string.ascii_letters + string.digits + "-._~"

OTHER_NODE = {"1": "2", "2": "1"}
"""A primary and its standby are two machines. Which is which changes."""

GIVEN = "given-"
"""Begins the version of a password that RDS doesn't keep in Secrets Manager."""


@dataclass(frozen=True)
class StandbyMachine:
    """What has to run in another zone, of a database with Multi-AZ."""

    node: str
    address: str
    subnet: str
    synchronous: bool
    """Whether it has all that was acknowledged."""
    leaving: bool
    """Whether there is to be none."""


@dataclass(frozen=True)
class DatabaseMachine:
    """What has to run behind a database instance's endpoint."""

    id: str
    status: str
    engine_version: str
    endpoint: str
    address: str
    port: int
    name: str | None
    subnet: str
    security_groups: tuple[str, ...]
    secret_arn: str | None
    parameters: dict[str, str]
    """Those of its group that count by now."""
    settings: dict[str, str]
    """What its servers are to have otherwise than PostgreSQL has it by itself: those parameters, and RDS's defaults."""
    settings_version: str
    """Of `settings`, which differs when they do."""
    settings_known: str
    """The version that its servers have; another one while they have to be told."""
    secret_version: str | None = None
    """The version of the secret that holds the password which counts, or of the password where a user gives it."""
    log_exports: tuple[str, ...] = ()
    """Which of its logs go to CloudWatch."""
    pending_version: str | None = None
    """The same of the next password, while it is being changed."""
    pending_secret_arn: str | None = None
    """The secret that has that version; without one, only the API knows the password."""
    vcpus: int = 2
    """Of its class."""
    machine_memory: int | None = None
    """Bytes, of its class."""
    source: str | None = None
    """The instance that it streams from, of a read replica."""
    source_endpoint: str | None = None
    source_port: int | None = None
    promoting: bool = False
    """Whether it is to become an instance of its own."""
    node: str = "1"
    """Which of the two machines of a Multi-AZ instance is this, its primary."""
    standby: StandbyMachine | None = None
    failing_over: bool = False
    """Whether the standby is to take over."""
    restarting: bool = False
    """Whether PostgreSQL is to be started anew."""
    resource: str = ""
    """Its DbiResourceId, which stays when its name changes."""
    beginning: rds_restore.Beginning | None = None
    """What a machine begins with that is made anew; None: with nothing."""


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    around(models.DBInstance, "__init__", _create)
    instead(models.DBInstance, "address", property(_endpoint))
    instead(models.MasterUserSecret, "_generate_secret_string", _credentials)
    around(models.RDSBackend, "delete_db_instance", _delete)
    rds_restore.install()


def machines() -> list[DatabaseMachine]:
    """Every database instance of every account and region."""
    return [_machine(database) for database in databases()]


def databases() -> list[Any]:
    """The same, as moto has them."""
    return [
        database
        for account in models.rds_backends.values()
        for backend in account.values()
        for database in backend.databases.values()
    ]


def find(identifier: str) -> Any:
    """One of them, or None."""
    return next((each for each in databases() if each.db_instance_identifier == identifier), None)


def set_status(identifier: str, status: str) -> bool:
    """What runs behind the endpoint says how it is; returns whether there is such an instance."""
    found = [database for database in databases() if database.db_instance_identifier == identifier]
    for database in found:
        database.status = status
    return bool(found)


def secret_version(secret: Any, stage: str) -> str | None:
    """The version of a managed secret that has `stage`."""
    for identifier, version in secret.secret.versions.items():
        if stage in version["version_stages"]:
            return identifier
    return None


def given_pending(database: Any) -> str | None:
    """The version of a password that no secret of RDS's has, and that PostgreSQL has to learn."""
    return f"{GIVEN}{database.password_version}" if database.password_version != database.password_known else None


def _create(original: Any, database: Any, *args: Any, **kwargs: Any) -> None:
    if kwargs.get("engine") == "postgres" and (version := kwargs.get("engine_version")):
        kwargs["engine_version"] = version = full_version(version)
        check_class(kwargs["db_instance_class"], version)
        check_names(kwargs.get("db_name"), kwargs.get("master_username"))
        check_family(args[0] if args else kwargs["backend"], kwargs.get("db_parameter_group_name"), version)
        check_most_storage(kwargs.get("allocated_storage"), kwargs.get("max_allocated_storage"))
        check_insights(kwargs)
    original(database, *args, **kwargs)
    measure(database, kwargs)
    database.status = "creating"
    database.dbi_resource_id = f"db-{secrets.token_hex(13).upper()}"
    # What replicas stream by; theirs is their source's.
    database.replication_secret = secrets.token_urlsafe(24)
    database.password_version = database.password_known = 0
    alone(database)
    rds_parameters.begin(database)
    if getattr(database, "db_subnet_group", None):
        place(database, kwargs.get("vpc_security_group_ids"))


def alone(database: Any) -> None:
    """It begins with one machine, and nothing under way."""
    database.node, database.standby = "1", None
    database.beginning = None
    database.failing_over = database.restarting = False


def measure(database: Any, asked: Any) -> None:
    """Performance Insights as it is asked for, under the names that RDS tells it by. moto takes it and forgets it."""
    if (enabled := asked.get("enable_performance_insights")) is not None:
        database.performance_insights_enabled = enabled
    days = asked.get("performance_insights_retention_period")
    if getattr(database, "performance_insights_enabled", False):
        kept = getattr(database, "performance_insights_retention_period", None)
        database.performance_insights_retention_period = days or kept or INSIGHTS_DAYS
    database.database_insights_mode = asked.get("database_insights_mode") or getattr(
        database, "database_insights_mode", "standard"
    )


def place(
    database: Any, security_groups: list[str] | None, *, zone: str | None = None, besides: str | None = None
) -> None:
    """Give it an interface in its subnet group; without security groups, in the default one of the group's VPC."""
    backend: Any = ec2_backends[database.account_id][database.region]
    group = database.db_subnet_group
    database.vpc_security_group_ids = security_groups or [backend.get_default_security_group(group.vpc_id).id]
    subnet = choose_subnet(group, zone, besides)
    description = f"RDSNetworkInterface {database.db_instance_identifier}"
    database.interface = private_interface(backend, subnet.id, database.vpc_security_group_ids, description)
    database.availability_zone = subnet.availability_zone


def choose_subnet(group: Any, zone: str | None, besides: str | None = None) -> Any:
    """One of a subnet group's: in `zone`; or else in the first one, but rather not in the one `besides`."""
    subnets = [subnet for subnet in group._subnets if zone in (None, subnet.availability_zone)]
    if not subnets:
        raise InvalidParameterCombination(f"The DB subnet group {group.name} has no subnet in {zone}.")
    return min(subnets, key=lambda subnet: (subnet.availability_zone == besides, subnet.availability_zone))


def _endpoint(database: Any) -> str:
    # One label per account and region, as on AWS.
    label = hashlib.sha256(f"rds {database.account_id} {database.region}".encode()).hexdigest()[:11]
    return f"{database.db_instance_identifier}.c{label}.{database.region}.rds.amazonaws.com"


def _credentials(secret: Any) -> str:
    password = "".join(secrets.choice(PASSWORD_CHARACTERS) for _ in range(PASSWORD_LENGTH))
    return json.dumps({"username": secret.resource.master_username, "password": password})


def _delete(original: Any, backend: Any, db_instance_identifier: str, *args: Any, **kwargs: Any) -> Any:
    database = backend.databases.get(db_instance_identifier)
    named = kwargs.get("skip_final_snapshot") or kwargs.get("final_db_snapshot_identifier")
    if database and not database.deletion_protection and not named:
        raise InvalidParameterCombination(
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        )
    database = original(backend, db_instance_identifier, *args, **kwargs)
    if interface := getattr(database, "interface", None):
        interface.delete()
    return database


def _machine(database: Any) -> DatabaseMachine:
    secret = getattr(database, "master_user_secret", None)
    pending = secret_version(secret, "AWSPENDING") if secret else None
    source = database.backend.databases.get(database.source_db_instance_identifier) if database.is_replica else None
    settings = rds_parameters.settings(database)
    return DatabaseMachine(
        id=database.db_instance_identifier,
        status=database.status,
        engine_version=database.engine_version,
        endpoint=database.address,
        address=database.interface.private_ip_address,
        port=database.port,
        name=database.db_name,
        subnet=database.interface.subnet.id,
        security_groups=tuple(database.vpc_security_group_ids),
        secret_arn=secret.secret_arn if secret else None,
        parameters=database.parameters_due,
        settings=settings,
        settings_version=version_of(settings),
        settings_known=database.settings_known,
        log_exports=tuple(getattr(database, "enabled_cloudwatch_logs_exports", ())),
        secret_version=secret_version(secret, "AWSCURRENT") if secret else f"{GIVEN}{database.password_version}",
        pending_version=pending or given_pending(database),
        pending_secret_arn=secret.secret_arn if secret and pending else None,
        vcpus=vcpus(database.db_instance_class),
        machine_memory=memory(database.db_instance_class),
        source=source.db_instance_identifier if source else None,
        source_endpoint=source.address if source else None,
        source_port=source.port if source else None,
        promoting=getattr(database, "promoting", False),
        node=database.node,
        standby=_standby(database.standby) if database.standby else None,
        failing_over=database.failing_over,
        restarting=database.restarting,
        resource=database.dbi_resource_id,
        beginning=rds_restore.beginning(database),
    )


def _standby(standby: Any) -> StandbyMachine:
    interface = standby.interface
    return StandbyMachine(
        standby.node, interface.private_ip_address, interface.subnet.id, standby.synchronous, standby.leaving
    )
