"""RDS Proxies as the lab has them: each has an address, and a machine that does what the API was told.

moto keeps proxies, their target group and their targets; here is what it lacks: a status that follows the machine, the
health of a target, what changes a proxy later, and what RDS refuses. Clusters, and endpoints besides a proxy's own, are
Aurora's, which the lab hasn't.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBProxy.html, API_ModifyDBProxy.html,
API_RegisterDBProxyTargets.html, API_TargetHealth.html, API_ConnectionPoolConfiguration.html; the wording of refusals is
ours.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.rds import models, responses
from moto.rds.exceptions import (
    DBInstanceNotFoundError,
    DBProxyNotFoundFault,
    InvalidParameterCombination,
    InvalidParameterValue,
)
from moto.secretsmanager.models import secretsmanager_backends

from lab.api import rds_parameters
from lab.api.ec2 import private_interface
from lab.api.patching import add, around, instead

FAILED = "insufficient-resource-limits"
"""A proxy whose machine doesn't boot."""
STATUSES = ("available", FAILED)
MEMORY = 512 * 2**20
"""Bytes of its machine: AWS tells none, and PgBouncer takes 12 MB."""
GROUP = "default"
"""The one target group that a proxy has."""


class InvalidSubnetError(ServiceException):
    """A proxy has to be in two zones."""

    code = "InvalidSubnet"


class TargetGroupNotFoundError(ServiceException):
    """A proxy has one target group, `default`."""

    code = "DBProxyTargetGroupNotFoundFault"


class TargetNotFoundError(ServiceException):
    """The proxy does not lead there."""

    code = "DBProxyTargetNotFoundFault"


class AlreadyRegisteredError(ServiceException):
    """A proxy leads to one database."""

    code = "DBProxyTargetAlreadyRegisteredFault"


class InstanceStateError(ServiceException):
    """No proxy leads to an instance that is as it is."""

    code = "InvalidDBInstanceState"


@dataclass(frozen=True)
class ProxyMachine:
    """What has to run behind a proxy's endpoint; `applied` is the `version` of the `configuration` that does."""

    id: str
    status: str
    endpoint: str
    address: str
    subnet: str
    security_groups: tuple[str, ...]
    role: str
    """Its ARN: who may read the secrets."""
    configuration: dict[str, Any]
    version: str
    applied: str | None
    machine_memory: int = MEMORY


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    backend = models.RDSBackend
    around(backend, "create_db_proxy", _create)
    instead(backend, "delete_db_proxy", _delete)
    around(backend, "register_db_proxy_targets", _register)
    around(backend, "deregister_db_proxy_targets", _deregister)
    around(backend, "modify_db_proxy_target_group", _modify_group)
    instead(backend, "describe_db_proxy_targets", _describe_targets)
    instead(backend, "describe_db_proxy_target_groups", _describe_groups)
    instead(models.DBProxyTarget, "target_health", property(_health))
    add(responses.RDSResponse, "modify_db_proxy", _modify)


def machines() -> list[ProxyMachine]:
    """Every proxy of every account and region."""
    return [_machine(backend, proxy) for backend, proxy in _all()]


def set_status(identifier: str, status: str) -> bool:
    """What runs behind the endpoint says how it is; returns whether there is such a proxy."""
    return _set(identifier, "status", status)


def set_applied(identifier: str, version: str) -> bool:
    """The machine has this configuration now; returns whether there is such a proxy."""
    return _set(identifier, "unreadable", None) and _set(identifier, "applied", version)


def set_unreadable(identifier: str, why: str) -> bool:
    """A secret of its logins can't be read; returns whether there is such a proxy."""
    return _set(identifier, "unreadable", why)


def _set(identifier: str, name: str, value: str | None) -> bool:
    proxy = next((proxy for _, proxy in _all() if _id(proxy) == identifier), None)
    if proxy is not None:
        setattr(proxy, name, value)
    return proxy is not None


def _all() -> Iterator[tuple[Any, Any]]:
    for account in list(models.rds_backends.values()):
        for backend in list(account.values()):
            for proxy in list(backend.db_proxies.values()):
                yield backend, proxy


def _find(backend: Any, name: str) -> Any:
    if name not in backend.db_proxies:
        raise DBProxyNotFoundFault(name)
    return backend.db_proxies[name]


def _create(original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    _check_logins(kwargs["auth"])
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    subnets = ec2.describe_subnets(subnet_ids=kwargs["vpc_subnet_ids"])
    if len({subnet.availability_zone for subnet in subnets}) < 2:
        raise InvalidSubnetError("DB proxy subnets must be in at least two Availability Zones.")
    proxy = original(backend, *args, **kwargs)
    proxy.status, proxy.applied, proxy.unreadable = "creating", None, None
    # One label per account and region, as on AWS.
    label = hashlib.sha256(f"proxy {proxy.account_id} {proxy.region}".encode()).hexdigest()[:12]
    proxy.endpoint = f"{proxy.db_proxy_name}.proxy-{label}.{proxy.region}.rds.amazonaws.com"
    # AWS gives an address in each of its subnets.
    description = f"Network interface for DBProxy {proxy.db_proxy_name}"
    proxy.interface = private_interface(ec2, proxy.vpc_subnet_ids[0], proxy.vpc_security_group_ids, description)
    return proxy


def _check_logins(auth: Any) -> None:
    if not auth:
        raise InvalidParameterCombination("A DB proxy needs at least one secret with a login of its database.")
    for each in auth:
        if each.get("AuthScheme", "SECRETS") != "SECRETS" or not each.get("SecretArn"):
            raise InvalidParameterCombination("Each Auth of a DB proxy needs the SecretArn of a login.")
        if each.get("IAMAuth", "DISABLED") != "DISABLED":
            raise NotImplementedError("a DB proxy in the lab knows passwords, and no tokens of IAM")


def _modify(response: Any) -> ActionResult:
    """What is not given stays as it is."""
    backend, asked = response.backend, response.params
    proxy, renamed = _find(backend, asked["DBProxyName"]), asked.get("NewDBProxyName")
    if renamed and renamed != proxy.db_proxy_name:
        raise NotImplementedError("a DB proxy in the lab keeps its name")
    if "Auth" in asked:
        _check_logins(asked["Auth"])
        proxy.auth = asked["Auth"]
    for field, name in (
        ("RequireTLS", "require_tls"),
        ("IdleClientTimeout", "idle_client_timeout"),
        ("DebugLogging", "debug_logging"),
        ("RoleArn", "role_arn"),
        ("SecurityGroups", "vpc_security_group_ids"),
    ):
        if asked.get(field) is not None:
            setattr(proxy, name, asked[field])
    if "SecurityGroups" in asked:
        ec2 = ec2_backends[backend.account_id][backend.region_name]
        ec2.modify_network_interface_attribute(proxy.interface.id, proxy.vpc_security_group_ids)
    proxy.updated_date = utcnow()
    return ActionResult({"DBProxy": proxy})


def _delete(backend: Any, proxy_name: str) -> Any:
    proxy = _find(backend, proxy_name)
    proxy.interface.delete()
    return backend.db_proxies.pop(proxy_name)


def _group(backend: Any, proxy_name: str, group: str | None) -> Any:
    groups = _find(backend, proxy_name).proxy_target_groups
    if (group or GROUP) not in groups:
        raise TargetGroupNotFoundError(f"The proxy {proxy_name} has no target group {group}.")
    return groups[group or GROUP]


def _register(
    original: Any,
    backend: Any,
    db_proxy_name: str,
    target_group_name: str | None,
    db_cluster_identifiers: list[str],
    db_instance_identifiers: list[str],
) -> Any:
    group = _group(backend, db_proxy_name, target_group_name)
    if db_cluster_identifiers:
        raise NotImplementedError("the lab has no Aurora, and so no cluster for a DB proxy to lead to")
    if len(db_instance_identifiers) != 1:
        raise InvalidParameterCombination("A DB proxy leads to one DB instance: name one.")
    (instance,) = db_instance_identifiers
    if instance not in backend.databases:
        raise DBInstanceNotFoundError(instance)
    database = backend.databases[instance]
    if database.is_replica:
        raise InstanceStateError(f"DB instance {instance} is a read replica, to which no DB proxy leads.")
    if group.targets:
        raise AlreadyRegisteredError(
            f"The proxy {db_proxy_name} leads to {group.targets[0].rds_resource_id} already, and to one DB instance."
        )
    targets = original(backend, db_proxy_name, target_group_name, [], [instance])
    for target in targets:
        target.endpoint, target.port, target.target_arn = database.address, database.port, database.arn
        target.role, target.proxy = "READ_WRITE", backend.db_proxies[db_proxy_name]
    return targets


def _deregister(
    original: Any,
    backend: Any,
    db_proxy_name: str,
    target_group_name: str | None,
    db_cluster_identifiers: list[str],
    db_instance_identifiers: list[str],
) -> None:
    group = _group(backend, db_proxy_name, target_group_name)
    for instance in (*db_cluster_identifiers, *db_instance_identifiers):
        if instance not in {target.rds_resource_id for target in group.targets}:
            raise TargetNotFoundError(f"The proxy {db_proxy_name} doesn't lead to {instance}.")
    original(backend, db_proxy_name, target_group_name, db_cluster_identifiers, db_instance_identifiers)


def _modify_group(original: Any, backend: Any, proxy_name: str, config: dict[str, Any]) -> Any:
    """moto keeps what nobody could have."""
    group = _group(backend, proxy_name, None)
    most = int(config.get("MaxConnectionsPercent") or group.max_connections)
    idle = int(config.get("MaxIdleConnectionsPercent") or most // 2)
    if not 1 <= most <= 100:
        raise InvalidParameterValue(f"MaxConnectionsPercent must be from 1 to 100, and is {most}.")
    if not 0 <= idle <= most:
        raise InvalidParameterValue(f"MaxIdleConnectionsPercent must be from 0 to {most}, and is {idle}.")
    if not 0 <= int(config.get("ConnectionBorrowTimeout", 0)) <= 300:
        raise InvalidParameterValue("ConnectionBorrowTimeout must be from 0 to 300 seconds.")
    group = original(backend, proxy_name, config)
    group.updated_date = utcnow()
    return group


def _describe_targets(backend: Any, proxy_name: str) -> Any:
    return _group(backend, proxy_name, None).targets


def _describe_groups(backend: Any, proxy_name: str) -> Any:
    return list(_find(backend, proxy_name).proxy_target_groups.values())


def _health(target: Any) -> dict[str, str]:
    proxy = target.proxy
    if proxy.unreadable:
        return {"State": "UNAVAILABLE", "Reason": "AUTH_FAILURE", "Description": proxy.unreadable}
    if proxy.applied is None:
        waiting = "DBProxy Target unavailable due to lack of capacity"
        return {"State": "UNAVAILABLE", "Reason": "PENDING_PROXY_CAPACITY", "Description": waiting}
    if target.rds_resource_id not in target.backend.databases:
        gone = f"DB instance {target.rds_resource_id} is not there"
        return {"State": "UNAVAILABLE", "Reason": "UNREACHABLE", "Description": gone}
    return {"State": "AVAILABLE"}


def _machine(backend: Any, proxy: Any) -> ProxyMachine:
    configuration = _configuration(backend, proxy)
    text = json.dumps([configuration, proxy.role_arn], sort_keys=True)
    return ProxyMachine(
        id=_id(proxy),
        status=proxy.status,
        endpoint=proxy.endpoint,
        address=proxy.interface.private_ip_address,
        subnet=proxy.interface.subnet.id,
        security_groups=tuple(proxy.vpc_security_group_ids),
        role=proxy.role_arn,
        configuration=configuration,
        version=hashlib.sha256(text.encode()).hexdigest()[:16],
        applied=proxy.applied,
    )


def _id(proxy: Any) -> str:
    """With its interface's: one that is made anew by its name is another machine."""
    return f"{proxy.db_proxy_name}-{proxy.interface.id.removeprefix('eni-')}"


def _configuration(backend: Any, proxy: Any) -> dict[str, Any]:
    """For `lab.machines.services.proxy`. A secret is there by its version, which changes when its value does."""
    group = proxy.proxy_target_groups[GROUP]
    named = [target.rds_resource_id for target in group.targets]
    database = next((backend.databases[each] for each in named if each in backend.databases), None)
    secrets = secretsmanager_backends[backend.account_id][backend.region_name].secrets
    return {
        "database": {"host": database.address, "port": int(database.port)} if database else None,
        "connections": _connections(database, int(group.max_connections)) if database else 0,
        "borrow_seconds": int(group.borrow_timeout),
        "idle_seconds": int(proxy.idle_client_timeout),
        "require_tls": bool(proxy.require_tls),
        "secrets": {each["SecretArn"]: _version(secrets.get(each["SecretArn"])) for each in proxy.auth},
    }


def _connections(database: Any, percent: int) -> int:
    """So many of what the database takes; one at least."""
    return max(1, int(rds_parameters.settings(database)["max_connections"]) * percent // 100)


def _version(secret: Any) -> str | None:
    """The version of a secret that counts; None of one that isn't there."""
    if secret is None or secret.is_deleted():
        return None
    return next((name for name, each in secret.versions.items() if "AWSCURRENT" in each["version_stages"]), None)
