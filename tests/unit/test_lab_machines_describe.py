"""Instance metadata out of the API's answers."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.machines import describe
from lab.machines.guest import mac_address

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INSTANCE: dict[str, Any] = {
    "InstanceId": "i-1",
    "ImageId": "ami-1",
    "InstanceType": "t4g.micro",
    "Architecture": "arm64",
    "PrivateDnsName": "ip-10-20-1-5.ec2.internal",
    "PrivateIpAddress": "10.20.1.5",
    "Placement": {"AvailabilityZone": "us-east-1b"},
    "LaunchTime": NOW,
    "SubnetId": "subnet-1",
    "VpcId": "vpc-1",
    "SecurityGroups": [{"GroupId": "sg-1", "GroupName": "app"}],
    "NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-1", "OwnerId": "111122223333", "MacAddress": "1b:2b:3c:4d:5e:6f"}
    ],
    "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "disabled"},
    "Tags": [{"Key": "Name", "Value": "web"}],
}
PROFILE: dict[str, Any] = {
    "Arn": "arn:aws:iam::1:instance-profile/p",
    "InstanceProfileId": "AIPA",
    "Roles": [{"RoleName": "web", "Arn": "arn:aws:iam::1:role/web"}],
}


def test_an_instance_is_described_as_the_api_has_it_with_the_labs_own_mac_address() -> None:
    subnet = {"CidrBlock": "10.20.1.0/24", "AvailabilityZoneId": "use1-az2"}
    added = [{"CidrBlock": "10.20.0.0/16"}, {"CidrBlock": "10.30.0.0/16"}]
    vpc = {"CidrBlock": "10.20.0.0/16", "CidrBlockAssociationSet": added}
    made = describe.instance_metadata(INSTANCE, user_data=b"x", subnet=subnet, vpc=vpc)
    assert (made.instance_id, made.zone, made.architecture) == ("i-1", "us-east-1b", "arm64"), made
    assert (made.account_id, made.interface_id) == ("111122223333", "eni-1"), made
    assert made.security_groups == {"sg-1": "app"}, made
    assert (made.subnet_cidr, made.zone_id) == ("10.20.1.0/24", "use1-az2"), made
    assert made.vpc_cidrs == ("10.20.0.0/16", "10.30.0.0/16"), "the VPC's own first, and each once"
    assert made.mac == mac_address("i-1"), "the API's is a multicast address, which no interface can have"
    assert int(made.mac[:2], 16) & 3 == 2, "locally administered, unicast"


def test_tokens_and_tags_follow_the_metadata_options() -> None:
    made = describe.instance_metadata(INSTANCE)
    assert made.tokens_required, "required"
    assert made.tags is None, "tags are not allowed"
    relaxed = INSTANCE | {"MetadataOptions": {"HttpTokens": "optional", "InstanceMetadataTags": "enabled"}}
    made = describe.instance_metadata(relaxed)
    assert not made.tokens_required, "optional"
    assert made.tags == {"Name": "web"}, "tags are allowed"


def test_user_data_comes_decoded_or_not_at_all() -> None:
    answer = {"UserData": {"Value": base64.b64encode(b"\x1f\x8bgzip").decode()}}
    assert describe.user_data(answer) == b"\x1f\x8bgzip", answer
    assert describe.user_data({"UserData": {}}) is None, "an instance without user data"


def test_credentials_are_kept_and_renewed_before_they_expire() -> None:
    now = NOW
    calls: list[dict[str, str]] = []

    def assume_role(**arguments: str) -> dict[str, Any]:
        calls.append(arguments)
        key = f"ASIA{len(calls)}"
        expires = now + timedelta(hours=1)
        names = {"AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": expires}
        return {"Credentials": names}

    role = describe.role(PROFILE, "i-1", assume_role)
    assert role is not None, "the profile has a role"
    assert calls == [], "nothing is asked before a machine asks"
    source = describe.CredentialSource(lambda: assume_role(RoleArn="r"), clock=lambda: now)
    assert source().access_key_id == source().access_key_id == "ASIA1", "kept"
    now += timedelta(hours=1) - describe.REFRESH_BEFORE + timedelta(seconds=1)
    assert source().access_key_id == "ASIA2", "renewed while the old ones still work"
    assert role.credentials().access_key_id == "ASIA3", "the role's own"
    assert calls[-1] == {"RoleArn": "arn:aws:iam::1:role/web", "RoleSessionName": "i-1"}, "named after the machine"


def test_a_profile_without_a_role_gives_none() -> None:
    assert describe.role(PROFILE | {"Roles": []}, "i-1", dict) is None, "as on EC2"
