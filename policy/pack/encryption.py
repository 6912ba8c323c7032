"""Encryption, at rest and on the way."""

from collections.abc import Iterator
from typing import Final

from .model import HUB, UNKNOWN, Resource, Rule, Settings, dig, listed, may_be_true, wrong

FLAGS: Final = {
    "aws:rds/instance:Instance": ("storageEncrypted",),
    "aws:rds/cluster:Cluster": ("storageEncrypted",),
    "aws:docdb/cluster:Cluster": ("storageEncrypted",),
    "aws:neptune/cluster:Cluster": ("storageEncrypted",),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("atRestEncryptionEnabled", "transitEncryptionEnabled"),
    # Memcached has no encryption at rest, and Redis has it only in a replication group.
    "aws:elasticache/cluster:Cluster": ("transitEncryptionEnabled",),
    "aws:ebs/volume:Volume": ("encrypted",),
    "aws:efs/fileSystem:FileSystem": ("encrypted",),
}
"""Type -> what has to be true of it."""

FOLLOWS: Final = {
    "aws:rds/instance:Instance": "replicateSourceDb",
    "aws:elasticache/replicationGroup:ReplicationGroup": "globalReplicationGroupId",
    "aws:elasticache/cluster:Cluster": "replicationGroupId",
}
"""Type -> the property that makes it a part of something else, whose encryption it has."""

TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
MACHINES: Final = ("aws:ec2/instance:Instance", "aws:ec2/launchConfiguration:LaunchConfiguration")


def _check(resource: Resource, settings: Settings) -> Iterator[str]:
    follows = FOLLOWS.get(resource.type)
    if follows is None or resource.get(follows) is None:
        for flag in FLAGS.get(resource.type, ()):
            if not may_be_true(resource.get(flag)):
                yield wrong(flag, resource.get(flag), "Set it to true. That replaces most of what exists.")
    for path, encrypted in _disks(resource):
        if encrypted is None and settings["ebsEncryptedByDefault"]:
            continue
        if not may_be_true(encrypted):
            yield wrong(path, encrypted, "Set it to true.")


def _disks(resource: Resource) -> Iterator[tuple[str, object]]:
    """Each disk that a machine starts with: the path that says whether it is encrypted, and what is there."""
    if resource.type == TEMPLATE:
        mappings = resource.get("blockDeviceMappings")
        if mappings is None or mappings == []:
            # The disk is as the image has it, and images are mostly not encrypted.
            yield "blockDeviceMappings[0].ebs.encrypted", None
        for index, mapping in enumerate(listed(mappings)):
            disk = dig(mapping, "ebs")
            if disk is not None and _is_new(disk):
                yield f"blockDeviceMappings[{index}].ebs.encrypted", dig(disk, "encrypted")
    if resource.type in MACHINES:
        # Where a launch template is used, the disk is the template's matter.
        if resource.get("rootBlockDevice") is not None or resource.get("launchTemplate") is None:
            yield "rootBlockDevice.encrypted", resource.get("rootBlockDevice.encrypted")
        for index, disk in enumerate(listed(resource.get("ebsBlockDevices"))):
            if _is_new(disk):
                yield f"ebsBlockDevices[{index}].encrypted", dig(disk, "encrypted")


def _is_new(disk: object) -> bool:
    """A disk made of a snapshot is encrypted when the snapshot is; EC2 takes no word of ours beside it."""
    return disk is UNKNOWN or dig(disk, "snapshotId") is None


ENCRYPTION: Final = Rule(
    name="encryption",
    says="Databases, caches, file systems and disks are encrypted, caches on the way too.",
    source=f"{HUB}/rds-controls.html#rds-3",
    check=_check,
    options={
        "ebsEncryptedByDefault": {
            "type": "boolean",
            "default": False,
            "description": "Whether the account encrypts new disks by itself, so that a stack need not ask for it.",
        }
    },
)
