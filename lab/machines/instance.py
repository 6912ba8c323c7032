"""What one machine may learn about itself from the metadata service, and the tree in which EC2 serves it.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lab.network import names

Leaf = str | bytes | Callable[[], str]
"""A value of the tree, or how to get it when it is asked for."""

Tree = Mapping[str, "Leaf | Tree"]
"""A directory of the metadata: names to values and further directories."""


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of a role."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    token: str = field(repr=False)
    issued: datetime
    expires: datetime


@dataclass(frozen=True)
class Role:
    """The role of an instance profile. `credentials` is called whenever the machine asks for them."""

    name: str
    profile_arn: str
    profile_id: str
    credentials: Callable[[], Credentials]


@dataclass(frozen=True)
class InstanceMetadata:
    """All that one machine may learn about itself.

    `security_groups` maps ids to names. `tokens_required` is EC2's `HttpTokens: required`. `tags` is None where the
    instance does not allow tags in its metadata, which is EC2's default. The first of `vpc_cidrs` is the VPC's own, the
    others were added to it.
    """

    instance_id: str
    image_id: str
    instance_type: str
    hostname: str
    private_ip: str
    mac: str
    zone: str
    zone_id: str = ""
    account_id: str = "123456789012"
    architecture: str = "x86_64"
    user_data: bytes | None = field(default=None, repr=False)
    public_ip: str | None = None
    interface_id: str = "eni-lab"
    reservation_id: str = "r-lab"
    subnet_id: str = ""
    subnet_cidr: str = ""
    vpc_id: str = ""
    vpc_cidrs: tuple[str, ...] = ()
    security_groups: Mapping[str, str] = field(default_factory=dict[str, str])
    launched: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    tokens_required: bool = True
    role: Role | None = None
    tags: Mapping[str, str] | None = None

    @property
    def region(self) -> str:
        """The zone without its letter."""
        return self.zone.rstrip("abcdefghijklmnopqrstuvwxyz")


def tree(machine: InstanceMetadata) -> Tree:
    """Everything below a version, e.g. `latest`: `meta-data`, `dynamic`, and `user-data` where there is some."""
    served: dict[str, Leaf | Tree] = {
        "dynamic": {"instance-identity": {"document": _identity(machine)}},
        "meta-data": _meta_data(machine),
    }
    if machine.user_data is not None:
        served["user-data"] = machine.user_data
    return served


def _meta_data(machine: InstanceMetadata) -> Tree:
    served: dict[str, Leaf | Tree] = {
        "ami-id": machine.image_id,
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": {"ami": "xvda", "root": "/dev/xvda"},
        "hostname": machine.hostname,
        "instance-action": "none",
        "instance-id": machine.instance_id,
        "instance-life-cycle": "on-demand",
        "instance-type": machine.instance_type,
        "local-hostname": machine.hostname,
        "local-ipv4": machine.private_ip,
        "mac": machine.mac,
        "network": {"interfaces": {"macs": {machine.mac: _interface(machine)}}},
        "placement": {
            "availability-zone": machine.zone,
            "availability-zone-id": machine.zone_id,
            "region": machine.region,
        },
        "profile": "default-hvm",
        "reservation-id": machine.reservation_id,
        "security-groups": "\n".join(machine.security_groups.values()),
        "services": {"domain": names.domain(machine.region), "partition": names.partition(machine.region)},
    }
    if machine.public_ip:
        served["public-ipv4"] = machine.public_ip
        served["public-hostname"] = names.public(machine.public_ip, machine.region)
    if machine.role:
        served["iam"] = _iam(machine.role, machine.launched)
    if machine.tags is not None:
        served["tags"] = {"instance": dict(machine.tags)}
    return served


def _interface(machine: InstanceMetadata) -> Tree:
    served: dict[str, Leaf | Tree] = {
        "device-number": "0",
        "interface-id": machine.interface_id,
        "local-hostname": machine.hostname,
        "local-ipv4s": machine.private_ip,
        "mac": machine.mac,
        "owner-id": machine.account_id,
        "security-group-ids": "\n".join(machine.security_groups),
        "security-groups": "\n".join(machine.security_groups.values()),
        "subnet-id": machine.subnet_id,
        "subnet-ipv4-cidr-block": machine.subnet_cidr,
        "vpc-id": machine.vpc_id,
        "vpc-ipv4-cidr-block": next(iter(machine.vpc_cidrs), ""),
        "vpc-ipv4-cidr-blocks": "\n".join(machine.vpc_cidrs),
    }
    if machine.public_ip:
        served["public-ipv4s"] = machine.public_ip
        served["public-hostname"] = names.public(machine.public_ip, machine.region)
    return served


def _iam(role: Role, launched: datetime) -> Tree:
    return {
        "info": _document(
            Code="Success",
            LastUpdated=_stamp(launched),
            InstanceProfileArn=role.profile_arn,
            InstanceProfileId=role.profile_id,
        ),
        "security-credentials": {role.name: lambda: _credentials(role.credentials())},
    }


def _credentials(credentials: Credentials) -> str:
    return _document(
        Code="Success",
        LastUpdated=_stamp(credentials.issued),
        Type="AWS-HMAC",
        AccessKeyId=credentials.access_key_id,
        SecretAccessKey=credentials.secret_access_key,
        Token=credentials.token,
        Expiration=_stamp(credentials.expires),
    )


def _identity(machine: InstanceMetadata) -> str:
    return _document(
        accountId=machine.account_id,
        architecture=machine.architecture,
        availabilityZone=machine.zone,
        imageId=machine.image_id,
        instanceId=machine.instance_id,
        instanceType=machine.instance_type,
        pendingTime=_stamp(machine.launched),
        privateIp=machine.private_ip,
        region=machine.region,
        version="2017-09-30",
    )


def _document(**fields: str) -> str:
    return json.dumps(fields, indent=2)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
