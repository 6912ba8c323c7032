"""What ElastiCache refuses of a replication group, when it is created and when it is changed; moto takes it.

Sources: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html,
API_ModifyReplicationGroup.html; the wording is from reports of others in public issues.
"""

import re
from typing import Any

from moto.core.exceptions import ServiceException
from moto.elasticache.exceptions import InvalidParameterCombinationException, InvalidParameterValueException

from lab.api.catalogue import REDIS, family, has_node_type

TOKEN = re.compile(r"[!-~]{16,128}")
TOKEN_EXCLUDED = frozenset('/"@%')
TLS_CHANGES_FROM = 7
"""The first version (7.0.5, to be exact) whose in-transit encryption can be changed later."""
MOST_REPLICAS = 5
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY, _WEEK, _LEAST_MINUTES = 1440, 10080, 60


class UnknownVersionError(ServiceException):
    """ElastiCache has no such engine."""

    code = "InvalidParameterCombination"


def truth(given: Any) -> bool:
    """Whether a parameter, as moto has it, is true."""
    return given in (True, "true", "True")


def check_version(engine: str, version: str) -> None:
    """Refuse a version that the engine does not have."""
    if version not in REDIS.get(engine, ()):
        raise UnknownVersionError(f"Cannot find version {version} for {engine}")


def check_node_type(name: str | None) -> None:
    """Refuse a node type that ElastiCache does not have."""
    if name and not has_node_type(name):
        raise InvalidParameterValueException(f"The specified cache node type {name} is not valid.")


def check_token(token: str | None, encrypted: bool) -> None:
    """Refuse a token that is none, or that would travel in the clear."""
    if token is None:
        return
    if not TOKEN.fullmatch(token) or TOKEN_EXCLUDED & set(token):
        raise InvalidParameterValueException("Invalid AuthToken provided.")
    if not encrypted:
        raise InvalidParameterCombinationException(
            "The AUTH token is only supported when encryption-in-transit is enabled"
        )


def check_family(found: str, engine: str, version: str) -> None:
    """Refuse parameters of another version's family."""
    if found != family(engine, version):
        raise InvalidParameterCombinationException(
            f"Expected a parameter group of family {family(engine, version)} but found one of family {found}"
        )


def check_windows(snapshots: str, maintenance: str) -> None:
    """Refuse windows that are none, too short, or not apart; whether there are snapshots doesn't matter."""
    windows = {"Snapshot": _minutes(snapshots, _DAY), "Maintenance": _minutes(maintenance, _WEEK)}
    for name, minutes in windows.items():
        if len(minutes) < _LEAST_MINUTES:
            raise InvalidParameterValueException(f"{name} window must be at least {_LEAST_MINUTES} minutes.")
    if not windows["Snapshot"].isdisjoint(minute % _DAY for minute in windows["Maintenance"]):
        raise InvalidParameterValueException("The snapshot window and maintenance window must not overlap.")


def _minutes(window: str, cycle: int) -> set[int]:
    """Of the day, or of the week."""
    try:
        begin, end = (_minute(each) for each in window.split("-"))
    except ValueError:
        raise InvalidParameterValueException(f"Invalid window: {window}.") from None
    return {(begin + each) % cycle for each in range((end - begin) % cycle)}


def _minute(time: str) -> int:
    *day, hour, minute = time.split(":")
    return (DAYS.index(day[0]) * _DAY if day else 0) + int(hour) * 60 + int(minute)


def check_failover(failover: bool, multi_az: bool, members: int) -> None:
    """Refuse a new group that could not fail over as it should."""
    if failover and members < 2:
        raise InvalidParameterCombinationException(
            "When using automatic failover, there must be at least 2 cache clusters in the replication group."
        )
    if multi_az and not failover:
        raise InvalidParameterCombinationException("Must enable automatic failover when Multi-AZ is enabled.")


def check_cluster_mode(wanted: bool, found: bool) -> None:
    """Refuse parameters for a replication group of the other kind."""
    if wanted != found:
        words = ("disabled", "enabled")
        raise InvalidParameterCombinationException(
            f"Cluster mode should be {words[wanted]} in parameter group, but found it is {words[found]}."
        )


def check_shards(cluster: bool, shards: int, replicas: int) -> None:
    """Refuse a new group of more shards than its parameters allow, or of a shard with too many replicas."""
    if shards > 1:
        check_cluster_mode(wanted=True, found=cluster)
    check_replicas(replicas)


def check_replicas(replicas: int) -> None:
    """Refuse a shard with too many."""
    if not 0 <= replicas <= MOST_REPLICAS:
        raise InvalidParameterValueException(f"The number of replicas per node group must be 0 to {MOST_REPLICAS}.")


def check_cluster_failover(failover: bool, multi_az: bool, replicas: int) -> None:
    """Refuse a new group in cluster mode that could not fail over; one without replicas has to, too."""
    if not failover:
        raise InvalidParameterValueException(
            "Redis with cluster mode enabled cannot be created with auto failover turned off."
        )
    if multi_az and not replicas:
        raise InvalidParameterCombinationException("Multi-AZ needs at least 1 replica in each node group.")


def check_upgrade(group: Any, engine: str, version: str) -> None:
    """Refuse another version that a group can't become."""
    check_version(engine, version)
    if engine != group.engine and engine != "valkey":
        raise InvalidParameterCombinationException(f"Cannot modify {group.engine} to {engine}.")
    if number(version) < number(group.engine_version):
        raise InvalidParameterCombinationException(
            f"Cannot downgrade {group.replication_group_id} from {group.engine_version} to {version}: "
            "it has to be deleted and created again."
        )


def check_tls(group: Any, encrypted: bool | None, mode: str | None) -> None:
    """Refuse a change of in-transit encryption that would cut clients off: both ways lead through `preferred`."""
    present, wanted = truth(group.transit_encryption_enabled), encrypted
    before = getattr(group, "transit_encryption_mode", None) or "required"
    if (wanted is not None or mode) and number(group.engine_version)[0] < TLS_CHANGES_FROM:
        raise InvalidParameterCombinationException(
            f"In-transit encryption can't be modified with engine version {group.engine_version}."
        )
    if wanted and not present and mode != "preferred":
        raise InvalidParameterCombinationException(
            "To enable in-transit encryption for an existing cluster, TransitEncryptionMode must be preferred."
        )
    if wanted is False and present and before != "preferred":
        raise InvalidParameterCombinationException(
            "To disable in-transit encryption for an existing cluster, TransitEncryptionMode must be preferred first."
        )


def number(version: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(map(int, version.split(".")))
