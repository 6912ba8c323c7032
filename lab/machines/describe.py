"""Instance metadata out of what the EC2, IAM and STS APIs say."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final

from .guest import mac_address
from .instance import Credentials, InstanceMetadata, Role

REFRESH_BEFORE: Final = timedelta(minutes=20)
"""Credentials are renewed this long before they expire; AWS's SDKs begin to ask for new ones 15 minutes before."""


def instance_metadata(
    instance: Mapping[str, Any],
    *,
    user_data: bytes | None = None,
    role: Role | None = None,
    subnet: Mapping[str, Any] | None = None,
    vpc: Mapping[str, Any] | None = None,
) -> InstanceMetadata:
    """From an entry of `describe_instances`, and those of its subnet and VPC.

    The MAC address is that of the lab's machine, not the API's invention.
    """
    subnet, vpc = subnet or {}, vpc or {}
    options = instance.get("MetadataOptions", {})
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
    interfaces = instance.get("NetworkInterfaces") or [{}]
    return InstanceMetadata(
        instance_id=instance["InstanceId"],
        image_id=instance["ImageId"],
        instance_type=instance["InstanceType"],
        hostname=instance["PrivateDnsName"],
        private_ip=instance["PrivateIpAddress"],
        mac=mac_address(instance["InstanceId"]),
        zone=instance["Placement"]["AvailabilityZone"],
        zone_id=subnet.get("AvailabilityZoneId", ""),
        account_id=interfaces[0].get("OwnerId", InstanceMetadata.account_id),
        architecture=instance.get("Architecture", InstanceMetadata.architecture),
        user_data=user_data,
        public_ip=instance.get("PublicIpAddress"),
        interface_id=interfaces[0].get("NetworkInterfaceId", InstanceMetadata.interface_id),
        subnet_id=instance.get("SubnetId", ""),
        subnet_cidr=subnet.get("CidrBlock", ""),
        vpc_id=instance.get("VpcId", ""),
        vpc_cidrs=_cidrs(vpc),
        security_groups={group["GroupId"]: group["GroupName"] for group in instance.get("SecurityGroups", ())},
        launched=instance["LaunchTime"],
        tokens_required=options.get("HttpTokens") == "required",
        role=role,
        tags=tags if options.get("InstanceMetadataTags") == "enabled" else None,
    )


def _cidrs(vpc: Mapping[str, Any]) -> tuple[str, ...]:
    """A VPC's own range, and those that were added to it."""
    added = (each["CidrBlock"] for each in vpc.get("CidrBlockAssociationSet", ()))
    return tuple(dict.fromkeys([vpc["CidrBlock"], *added])) if vpc else ()


def user_data(attribute: Mapping[str, Any]) -> bytes | None:
    """From the answer of `describe_instance_attribute(Attribute="userData")`."""
    value = attribute.get("UserData", {}).get("Value")
    return base64.b64decode(value) if value else None


def role(profile: Mapping[str, Any], instance: str, assume_role: Callable[..., Mapping[str, Any]]) -> Role | None:
    """From `InstanceProfile` in the answer of `get_instance_profile`; None for a profile without a role.

    `assume_role` is an STS client's method. It is called when credentials are asked for, and again before they expire.
    EC2 names the session after the `instance`, so that errors and logs say which machine it was.
    """
    roles = profile["Roles"]
    if not roles:
        return None
    source = CredentialSource(lambda: assume_role(RoleArn=roles[0]["Arn"], RoleSessionName=instance))
    return Role(roles[0]["RoleName"], profile["Arn"], profile["InstanceProfileId"], source)


class CredentialSource:
    """A role's credentials, renewed before they expire. `assume` asks STS; `clock` gives the time, in UTC."""

    def __init__(
        self, assume: Callable[[], Mapping[str, Any]], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._assume = assume
        self._clock = clock
        self._lock = Lock()
        self._current: Credentials | None = None

    def __call__(self) -> Credentials:
        """Credentials that are good for at least `REFRESH_BEFORE`."""
        with self._lock:
            if self._current is None or self._current.expires - self._clock() < REFRESH_BEFORE:
                answer = self._assume()["Credentials"]
                self._current = Credentials(
                    access_key_id=answer["AccessKeyId"],
                    secret_access_key=answer["SecretAccessKey"],
                    token=answer["SessionToken"],
                    issued=self._clock(),
                    expires=answer["Expiration"],
                )
            return self._current
