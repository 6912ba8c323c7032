"""Tags that say what a resource belongs to."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from .model import HUB, UNKNOWN, Resource, Rule, Settings, dig, listed

TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP: Final = "aws:autoscaling/group:Group"
TAGGED: Final = frozenset(
    {
        GROUP,
        TEMPLATE,
        "aws:alb/loadBalancer:LoadBalancer",
        "aws:dynamodb/table:Table",
        "aws:ebs/volume:Volume",
        "aws:ec2/eip:Eip",
        "aws:ec2/instance:Instance",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ecs/cluster:Cluster",
        "aws:ecs/service:Service",
        "aws:efs/fileSystem:FileSystem",
        "aws:eks/cluster:Cluster",
        "aws:elasticache/cluster:Cluster",
        "aws:elasticache/replicationGroup:ReplicationGroup",
        "aws:elb/loadBalancer:LoadBalancer",
        "aws:iam/role:Role",
        "aws:lambda/function:Function",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:rds/cluster:Cluster",
        "aws:rds/clusterInstance:ClusterInstance",
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketV2:BucketV2",
        "aws:secretsmanager/secret:Secret",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
    }
)
"""What costs money, holds data or grants access. Not all AWS types take tags, and inputs don't tell which do."""


def _check(resource: Resource, settings: Settings) -> Iterator[str]:
    required: list[str] = settings["keys"]
    if resource.type not in TAGGED:
        return
    if resource.type == GROUP:
        # A list of its own kind, which the provider's default tags don't reach.
        yield from _lacking("tags", [_keys_of_list(resource.get("tags"))], required)
        return
    everywhere = dig(_unpacked(resource.provider.get("defaultTags")), "tags")
    given = [resource.get("tags"), resource.get("tagsAll"), everywhere]
    yield from _lacking(
        "tags", [_keys(each) for each in given], required, "Add it there, or for all in aws:defaultTags."
    )
    if resource.type == TEMPLATE:
        # Nor do they reach what a template launches.
        specifications = listed(resource.get("tagSpecifications"))
        for kind in ("instance", "volume"):
            tags = [dig(each, "tags") for each in specifications if dig(each, "resourceType") in (kind, UNKNOWN)]
            if resource.get("tagSpecifications") is not UNKNOWN:
                yield from _lacking(f"tagSpecifications[{kind}].tags", [_keys(each) for each in tags], required)


def _lacking(
    path: str,
    found: Iterable[frozenset[Any] | None],
    required: list[str],
    remedy: str = "Default tags don't reach it: add it there.",
) -> Iterator[str]:
    present: set[Any] = set()
    for keys in found:
        if keys is None or UNKNOWN in keys:
            return
        present |= keys
    lacking = [key for key in required if key not in present]
    if lacking:
        yield f"{path} lacks {', '.join(lacking)}. {remedy}"


def _keys(tags: Any) -> frozenset[Any] | None:
    """None where only AWS will tell."""
    if tags is UNKNOWN:
        return None
    return frozenset(tags) if isinstance(tags, Mapping) else frozenset()


def _keys_of_list(tags: Any) -> frozenset[Any] | None:
    return None if tags is UNKNOWN else frozenset(dig(each, "key") for each in listed(tags))


def _unpacked(value: Any) -> Any:
    """The engine keeps a provider's nested configuration as JSON."""
    return json.loads(value) if isinstance(value, str) else value


REQUIRED_TAGS: Final = Rule(
    name="required-tags",
    says="What costs money, holds data or grants access says by its tags what it belongs to.",
    source=f"{HUB}/standards-tagging.html",
    check=_check,
    options={
        "keys": {
            "type": "array",
            "items": {"type": "string"},
            "default": ["project", "stack"],
            "description": "Keys of the tags.",
        }
    },
)
