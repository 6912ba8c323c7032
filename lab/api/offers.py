"""What AWS sells in a region: instance types by zone, database classes, node types, engine versions, the regions.

moto has EC2's own lists. What is in the catalogue, RDS and ElastiCache are taken to sell wherever EC2 sells the type
inside its name.
"""

from collections.abc import Iterator
from typing import Any

from moto.core.responses import ActionResult, PaginatedResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.models.instance_types import InstanceTypeOfferingBackend
from moto.ec2.responses import EC2Response
from moto.elasticache.responses import ElastiCacheResponse
from moto.rds.responses import RDSResponse

from lab.api import catalogue
from lab.api.account import facts, sold
from lab.api.patching import add, around, instead

OWN_DISK_KEY = "alias/aws/ebs"
"""The key that AWS keeps for disks."""

STORAGE_TYPES = ("gp2", "gp3", "io1")


def install() -> None:
    """Change moto's lists. Once a process, before the first request."""
    around(InstanceTypeOfferingBackend, "describe_instance_type_offerings", _instance_types)
    around(RegionsAndZonesBackend, "describe_regions", _regions)
    add(EC2Response, "get_ebs_default_kms_key_id", _default_key)
    around(EBSBackend, "modify_ebs_default_kms_key_id", _set_default_key)
    add(RDSResponse, "describe_db_engine_versions", _database_versions)
    instead(RDSResponse, "describe_orderable_db_instance_options", _database_classes)
    add(ElastiCacheResponse, "describe_cache_engine_versions", _cache_versions)
    add(ElastiCacheResponse, "describe_reserved_cache_nodes_offerings", _cache_nodes)


def zones_of(account: str, region: str, kind: str) -> list[str]:
    """The zones where a class of RDS or ElastiCache is sold."""
    if not (catalogue.has_instance_class(kind) or catalogue.has_node_type(kind)):
        return []
    backend: Any = ec2_backends[account][region]
    inner = kind.partition(".")[2]
    filters = {"instance-type": [inner]}
    found = backend.describe_instance_type_offerings("availability-zone", filters)
    return sorted(each["Location"] for each in found if sold(kind, each["Location"]))


def _instance_types(original: Any, backend: Any, location_type: str | None = None, filters: Any = None) -> Any:
    found = original(backend, location_type, filters)
    if location_type != "availability-zone":
        return found
    return [each for each in found if sold(each["InstanceType"], each["Location"])]


def _regions(original: Any, backend: Any, region_names: list[str] | None = None) -> Iterator[Any]:
    for region in original(backend, region_names):
        region.opt_in_status = "not-opted-in" if region.name in facts.disabled_regions else "opt-in-not-required"
        yield region


def _default_key(response: Any) -> ActionResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetEbsDefaultKmsKeyId.html"""
    return ActionResult({"KmsKeyId": response.ec2_backend.default_kms_key_id or OWN_DISK_KEY})


def _set_default_key(original: Any, backend: Any, kms_key_id: str) -> str:
    """moto would make a key of the customer's for AWS's own alias."""
    if kms_key_id != OWN_DISK_KEY:
        return original(backend, kms_key_id)
    backend.default_kms_key_id = ""
    return kms_key_id


def _database_versions(response: Any) -> PaginatedResult:
    if response.params.get("Engine", "postgres") != "postgres":
        return PaginatedResult({"DBEngineVersions": []})
    versions = [
        {"Engine": "postgres", "EngineVersion": f"{major}.{minor}", "DBParameterGroupFamily": f"postgres{major}"}
        for major, (_, newest) in catalogue.POSTGRESQL.items()
        for minor in range(1, newest + 1)
    ]
    return PaginatedResult({"DBEngineVersions": versions})


def _database_classes(response: Any) -> PaginatedResult:
    asked = response.params
    kind, version = asked.get("DBInstanceClass", ""), asked.get("EngineVersion", "")
    zones = zones_of(response.current_account, response.region, kind)
    if asked.get("Engine") != "postgres" or catalogue.postgresql_version(version) != version or not zones:
        return PaginatedResult({"OrderableDBInstanceOptions": []})
    options = [
        {
            "Engine": "postgres",
            "EngineVersion": version,
            "DBInstanceClass": kind,
            "StorageType": storage,
            "AvailabilityZones": [{"Name": zone} for zone in zones],
            "MultiAZCapable": True,
            "SupportsStorageEncryption": True,
            "Vpc": True,
        }
        for storage in STORAGE_TYPES
    ]
    return PaginatedResult({"OrderableDBInstanceOptions": options})


def _cache_versions(response: Any) -> PaginatedResult:
    engine = response._get_params().get("Engine", "redis")
    versions = catalogue.REDIS.get(engine, ())
    return PaginatedResult({"CacheEngineVersions": [{"Engine": engine, "EngineVersion": each} for each in versions]})


def _cache_nodes(response: Any) -> PaginatedResult:
    kind = response._get_params().get("CacheNodeType", "")
    offering = {
        "CacheNodeType": kind,
        "Duration": 31536000,
        "OfferingType": "No Upfront",
        "ProductDescription": "redis",
    }
    found = [offering] if zones_of(response.current_account, response.region, kind) else []
    return PaginatedResult({"ReservedCacheNodesOfferings": found})
