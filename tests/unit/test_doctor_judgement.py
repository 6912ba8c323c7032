"""The doctor's judgement, apart from the account that it is about: what each answer of AWS means for a deploy."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from doctor_examples import tier, wanted
from typing_extensions import override

from operate.doctor import Cache, Database, Status
from operate.doctor.account import Account, NotPermittedError
from operate.doctor.data import judge_cache_version, judge_class, judge_node_type, judge_version
from operate.doctor.disks import judge_key, scaling_role
from operate.doctor.identity import Caller, identify, judge_credentials, judge_region
from operate.doctor.machines import check_types, judge_image, plan_zones
from operate.doctor.permissions import judge as judge_permissions
from operate.doctor.quotas import STANDARD, Need, judge, quota_of, vcpu_needs
from operate.doctor.secrets import judge_description
from operate.doctor.state import Bucket, bucket_of, judge_locks, judge_other, judge_versioning

ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetCallerIdentity")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoCredentialsError(), "there are no credentials"),
        (PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "incomplete"),
        (ProfileNotFound(profile="work"), "work"),
        (EndpointConnectionError(endpoint_url="https://sts.amazonaws.com"), "out of reach"),
        (refused("ExpiredToken"), "have expired"),
        (refused("RequestTimeTooSkewed"), "clock is wrong"),
        (refused("InvalidClientTokenId"), "does not know these credentials (InvalidClientTokenId)"),
    ],
)
def test_what_keeps_aws_from_knowing_who_asks_is_told_apart(error: Exception, says: str) -> None:
    finding = judge_credentials(error)
    assert finding.status == Status.FAILED
    assert says in finding.what
    assert finding.mend


@pytest.mark.parametrize(
    ("arn", "role", "root"),
    [
        ("arn:aws:iam::123456789012:user/people/ann", None, False),
        ("arn:aws:sts::123456789012:assumed-role/deployer/ann", "deployer", False),
        ("arn:aws:iam::123456789012:root", None, True),
    ],
)
def test_a_caller_is_known_by_its_role_and_not_by_its_session(arn: str, role: str | None, root: bool) -> None:
    caller = Caller("123456789012", arn)
    assert (caller.role, caller.is_root) == (role, root)


def test_a_region_is_on_off_or_not_there() -> None:
    regions = [
        {"RegionName": "us-east-1", "OptInStatus": "opt-in-not-required"},
        {"RegionName": "me-south-1", "OptInStatus": "not-opted-in"},
        {"RegionName": "af-south-1", "OptInStatus": "opted-in"},
    ]
    assert judge_region("us-east-1", regions).status == judge_region("af-south-1", regions).status == Status.OK
    off, missing = judge_region("me-south-1", regions), judge_region("us-east-9", regions)
    assert (off.status, missing.status) == (Status.FAILED, Status.FAILED)
    assert "enable-region --region-name me-south-1" in off.mend
    assert missing.what == "there is no region us-east-9"
    assert "us-east-1" in missing.mend, "the near ones are named"


class Elsewhere(Account):
    """An account whose credentials are known at home alone; what it is asked there, it answers or refuses."""

    def __init__(self, refusal: Exception, regions: list[dict[str, Any]] | None) -> None:
        super().__init__(boto3.Session(), "us-west-9")
        self._refusal, self._regions = refusal, regions

    @override
    def ask(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        if arguments.get("region") != "us-east-1":
            raise self._refusal
        if operation == "GetCallerIdentity":
            return {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ann"}
        if self._regions is None:
            raise NotPermittedError("ec2:DescribeRegions")
        return {"Regions": self._regions}


OFF = [{"RegionName": "us-west-9", "OptInStatus": "not-opted-in"}]


@pytest.mark.parametrize(
    ("refusal", "regions", "status", "says"),
    [
        (EndpointConnectionError(endpoint_url="https://x"), [], Status.FAILED, "there is no region us-west-9"),
        (refused("InvalidClientTokenId"), OFF, Status.FAILED, "us-west-9 is switched off in this account"),
        (refused("InvalidClientTokenId"), None, Status.UNCHECKED, "us-west-9 does not know these credentials"),
    ],
)
def test_credentials_that_are_good_elsewhere_speak_against_the_region(
    refusal: Exception, regions: Any, status: Status, says: str
) -> None:
    caller, [who, where] = identify(Elsewhere(refusal, regions))
    assert caller is not None
    assert who.status == Status.OK
    assert (where.check, where.status, where.what) == ("region", status, says)


def test_expired_credentials_are_not_tried_elsewhere() -> None:
    caller, [finding] = identify(Elsewhere(refused("ExpiredToken"), OFF))
    assert caller is None
    assert finding.what == "the credentials have expired"


NEED = Need("vCPUs", STANDARD, "expressway:app.instanceType", now=6, most=10, rolling=20)


@pytest.mark.parametrize(
    ("limit", "used", "status"),
    [
        (20, 0, Status.OK),
        (19, 0, Status.WARNING),
        (10, 0, Status.WARNING),
        (9, 0, Status.FAILED),
        (5, 0, Status.FAILED),
        (0, 0, Status.FAILED),
        (30, 10, Status.OK),
        (30, 11, Status.WARNING),
        (15, 8, Status.FAILED),
        (10, 40, Status.FAILED),
    ],
)
def test_a_quota_has_to_leave_what_the_settings_can_grow_to(limit: int, used: int, status: Status) -> None:
    assert judge(NEED, limit, used).status == status


def test_a_quota_that_is_too_small_names_the_value_to_ask_for() -> None:
    finding = judge(NEED, 5, 3)
    assert finding.what == "vCPUs: 2 of 5 free, 6 needed"
    assert "--quota-code L-1216C47A --desired-value 23" in finding.mend, "what is used, and all that is wanted"
    assert "--service-code ec2" in finding.mend


def test_the_vcpus_of_both_tiers_count_against_one_quota() -> None:
    [need] = vcpu_needs((tier("app", 2, 4), tier("edge", 1, 1)), {"t3.small": 2})
    assert (need.code, need.now, need.most, need.rolling) == (STANDARD, 6, 10, 20)


def test_tiers_of_different_families_count_against_different_quotas() -> None:
    tiers = (tier("app", 2, 4, instance_type="g5.xlarge"), tier("edge", 1, 1))
    needs = {need.code: need.most for need in vcpu_needs(tiers, {"t3.small": 2, "g5.xlarge": 4})}
    assert needs == {"L-DB2E81BA": 16, STANDARD: 2}


@pytest.mark.parametrize(
    ("kind", "quota"),
    [("t4g.small", STANDARD), ("im4gn.large", STANDARD), ("inf2.xlarge", "L-1945791B"), ("mac2.metal", None)],
)
def test_a_family_tells_its_quota(kind: str, quota: str | None) -> None:
    assert quota_of(kind) == quota


def test_the_stacks_own_machines_are_not_counted_against_it() -> None:
    mine = {"project": "expressway", "stack": "dev"}
    assert wanted().owns({"Name": "dev-app", **mine})
    assert wanted().owns({"Name": "dev-network-nat-us-east-1a", **mine})
    assert not wanted().owns({"Name": "dev-application", **mine})
    assert not wanted().owns({"Name": "dev-app", "project": "another"}), "another project's dev"
    assert not wanted().owns({})


def test_zones_are_those_that_have_every_type() -> None:
    offered = {"t3.small": {"us-east-1b", "us-east-1c"}, "c7i.large": set(ZONES)}
    assert plan_zones(wanted(), ZONES, offered) == ["us-east-1b", "us-east-1c"]
    assert plan_zones(wanted(named_zones=("us-east-1a",)), ZONES, offered) == ["us-east-1a"], "as the settings say"


def test_a_type_must_be_there_where_its_machines_go() -> None:
    def found(offered: set[str], **changes: Any) -> tuple[Status, str]:
        [finding] = check_types(
            wanted(edge=tier("edge", 1, 1, instance_type="c7i.large"), **changes), ZONES, both(offered)
        )
        return finding.status, finding.what

    def both(offered: set[str]) -> dict[str, set[str]]:
        return {"t3.small": offered, "c7i.large": set(ZONES)}

    assert found(set(ZONES)) == (Status.OK, "c7i.large and t3.small in us-east-1a, us-east-1b")
    assert found(set()) == (Status.FAILED, "us-east-1 has no t3.small")
    assert found({"us-east-1c"})[0] == Status.FAILED, "one zone, and two are wanted"
    status, what = found({"us-east-1a"}, named_zones=("us-east-1a", "us-east-1b"))
    assert (status, what) == (Status.FAILED, "t3.small is not offered in us-east-1b")
    status, what = found({*ZONES, "us-east-1z"}, named_zones=("us-east-1a", "us-east-1z"))
    assert (status, what) == (Status.FAILED, "c7i.large is not offered in us-east-1z")


def test_the_newest_usable_image_is_the_one() -> None:
    def image(number: int, architecture: str = "x86_64", state: str = "available") -> dict[str, Any]:
        created = f"2026-0{number}-01T00:00:00.000Z"
        return {"ImageId": f"ami-{number}", "Architecture": architecture, "State": state, "CreationDate": created}

    assert "ami-2" in judge_image(tier("app", 1, 1), [image(1), image(2), image(3, state="pending")]).what
    other = judge_image(tier("app", 1, 1), [image(1, "arm64")])
    assert other.status == Status.FAILED
    assert "arm64 (available), and t3.small is x86_64" in other.what
    assert judge_image(tier("app", 1, 1), []).status == Status.FAILED


@pytest.mark.parametrize(
    ("asked", "runs"), [("17", "17.10"), ("17.9", "17.9"), ("17.1", None), ("1", None), ("18", None)]
)
def test_a_versions_newest_minor_one_stands_for_it(asked: str, runs: str | None) -> None:
    version, finding = judge_version(Database(asked, "db.t4g.micro", 20, multi_az=False), ["16.4", "17.9", "17.10"])
    assert version == runs
    assert (finding.status == Status.OK) == (runs is not None)


def option(*zones: str, **changes: Any) -> dict[str, Any]:
    usual = {"StorageType": "gp3", "SupportsStorageEncryption": True, "MultiAZCapable": True}
    return {**usual, "AvailabilityZones": [{"Name": zone} for zone in zones], **changes}


@pytest.mark.parametrize(
    ("options", "multi_az", "status"),
    [
        ([option("us-east-1a")], False, Status.OK),
        ([option("us-east-1a")], True, Status.FAILED),
        ([option("us-east-1a", "us-east-1b")], True, Status.OK),
        ([option("us-east-1f")], False, Status.FAILED),
        ([option("us-east-1a", StorageType="gp2")], False, Status.FAILED),
        ([option("us-east-1a", SupportsStorageEncryption=False)], False, Status.FAILED),
        ([option("us-east-1a", "us-east-1b", MultiAZCapable=False)], True, Status.FAILED),
        ([], False, Status.FAILED),
    ],
)
def test_a_class_is_ordered_as_the_stack_orders_it(options: Any, multi_az: bool, status: Status) -> None:
    database = Database("17", "db.t4g.micro", 20, multi_az=multi_az)
    assert judge_class(database, "17.6", options, ZONES[:2]).status == status


def test_caches_versions_are_listed_in_two_and_in_three_parts() -> None:
    versions = ["6.2.6", "7.0", "7.1"]
    assert judge_cache_version(Cache("6.2", "cache.t4g.micro", 1), versions).status == Status.OK
    assert judge_cache_version(Cache("7.1", "cache.t4g.micro", 1), versions).status == Status.OK
    valkey = judge_cache_version(Cache("8.1", "cache.t4g.micro", 1, "valkey"), ["7.2", "8.1"])
    assert (valkey.status, valkey.what) == (Status.OK, "Valkey 8.1")
    assert judge_cache_version(Cache("6", "cache.t4g.micro", 1), ["60.1"]).status == Status.FAILED


def test_a_node_type_that_cannot_be_reserved_is_no_more_than_suspect() -> None:
    cache = Cache("7.1", "cache.t4g.micro", 1)
    assert judge_node_type(cache, "us-east-1", [{}]).status == Status.OK
    assert judge_node_type(cache, "us-east-1", []).status == Status.WARNING


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ({"VersionIdsToStages": {"1": ["AWSPREVIOUS"], "2": ["AWSCURRENT"]}}, None),
        ({"VersionIdsToStages": {"1": ["AWSPREVIOUS"]}}, "has no current value"),
        ({}, "has no current value"),
        ({"DeletedDate": "2026-11-01", "VersionIdsToStages": {"2": ["AWSCURRENT"]}}, "is scheduled for deletion"),
    ],
)
def test_a_secret_must_stay_and_have_a_current_value(described: Any, says: str | None) -> None:
    finding = judge_description("expressway:app.secrets.KEY", "shop/key", described)
    assert (finding.what if finding else None) == (says and f"shop/key {says}")


ROLE = scaling_role("aws", "123456789012")
KEY = {"KeyId": "1234", "KeyManager": "CUSTOMER", "Enabled": True, "KeyState": "Enabled"}
OPERATIONS = ["Decrypt", "GenerateDataKeyWithoutPlaintext", "CreateGrant", "DescribeKey"]


@pytest.mark.parametrize(
    ("grants", "principal", "status"),
    [
        ([{"GranteePrincipal": ROLE, "Operations": OPERATIONS}], None, Status.OK),
        ([{"GranteePrincipal": ROLE, "Operations": ["Decrypt"]}], None, Status.FAILED),
        ([{"GranteePrincipal": "arn:aws:iam::1:role/other", "Operations": OPERATIONS}], None, Status.FAILED),
        ([], {"AWS": ROLE}, Status.OK),
        ([], {"AWS": ["arn:aws:iam::123456789012:root", ROLE]}, Status.OK),
        ([], {"AWS": "arn:aws:iam::123456789012:root"}, Status.FAILED),
        ([], "*", Status.FAILED),
    ],
)
def test_auto_scaling_must_be_let_at_a_key_of_ones_own(grants: Any, principal: Any, status: Status) -> None:
    policy = json.dumps({"Statement": [{"Effect": "Allow", "Principal": principal}]}) if principal else ""
    finding = judge_key(KEY, ROLE, grants, policy)
    assert finding.status == status
    assert status == Status.OK or f"--key-id 1234 --grantee-principal {ROLE}" in finding.mend


def test_a_key_that_is_switched_off_encrypts_nothing() -> None:
    grants = [{"GranteePrincipal": ROLE, "Operations": OPERATIONS}]
    assert judge_key({**KEY, "Enabled": False, "KeyState": "Disabled"}, ROLE, grants, "").status == Status.FAILED


@pytest.mark.parametrize(
    ("url", "bucket"),
    [
        ("s3://team-state", Bucket("team-state", "", "")),
        ("s3://team-state/a/b?region=eu-west-1&awssdk=v2", Bucket("team-state", "a/b/", "eu-west-1")),
        ("file://~", None),
        ("https://api.pulumi.com", None),
    ],
)
def test_a_backends_url_tells_its_bucket(url: str, bucket: Bucket | None) -> None:
    assert bucket_of(url) == bucket


def test_the_states_bucket_keeps_versions_and_holds_no_lock() -> None:
    bucket = Bucket("team-state", "", "")
    assert judge_versioning(bucket, {"Status": "Enabled"}).status == Status.OK
    assert judge_versioning(bucket, {"Status": "Suspended"}).status == Status.FAILED
    assert judge_versioning(bucket, {}).status == Status.FAILED
    assert judge_locks(bucket, "dev", []).status == Status.OK
    locked = judge_locks(bucket, "dev", [{"LastModified": datetime(2026, 11, 25, 9, 30, tzinfo=UTC)}])
    assert locked.status == Status.WARNING
    assert "2026-11-25 09:30" in locked.what
    assert "pulumi cancel -s dev" in locked.mend
    assert judge_other("file://~").status == Status.WARNING, "nobody else can deploy"
    assert judge_other("https://api.pulumi.com").status == Status.OK


def test_a_long_list_of_missing_permissions_is_cut() -> None:
    assert judge_permissions([]).status == Status.OK
    finding = judge_permissions([f"ec2:Action{number}" for number in range(20)])
    assert finding.status == Status.FAILED
    assert finding.what.endswith("ec2:Action7 and 12 more")
