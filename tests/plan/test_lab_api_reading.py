"""What the lab's API tells of a thing is what AWS tells: nothing that nobody set, and nothing left out."""

import gzip
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.plan.lab_api_server import ApiServer
from tests.plan.provider_client import Made, ProviderClient
from tests.plan.provider_world import World

BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


@pytest.fixture
def s3(api: ApiServer) -> Any:
    return api.client("s3")


def versions(s3: Any, bucket: str) -> list[str]:
    """Ids of what a bucket holds, delete markers included."""
    found = s3.list_object_versions(Bucket=bucket)
    return [each["VersionId"] for each in (*found.get("Versions", ()), *found.get("DeleteMarkers", ()))]


def test_a_target_tracking_policy_is_enabled_and_nothing_else(api: ApiServer, world: World) -> None:
    autoscaling, group = api.client("autoscaling"), world.auto_scaling_group()
    metric = {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
        "TargetValue": 60.0,
    }
    given = {"AutoScalingGroupName": group, "PolicyName": "cpu", "PolicyType": "TargetTrackingScaling"}
    for enabled in ({}, {"Enabled": False}, {"Enabled": True}):
        autoscaling.put_scaling_policy(**given, TargetTrackingConfiguration=metric, **enabled)
        policy = autoscaling.describe_policies(AutoScalingGroupName=group)["ScalingPolicies"][0]
        assert policy["Enabled"] == enabled.get("Enabled", True)
        assert "PredictiveScalingConfiguration" not in policy
        assert policy["TargetTrackingConfiguration"] == metric


def test_parameters_that_somebody_set_say_so(api: ApiServer, world: World) -> None:
    rds, group = api.client("rds"), world.database_parameters()
    force = {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName=group, Parameters=[force])
    found = rds.describe_db_parameters(DBParameterGroupName=group, Source="user")["Parameters"]
    assert [(each["ParameterName"], each["ParameterValue"], each["Source"]) for each in found] == [
        ("rds.force_ssl", "1", "user")
    ]
    others = rds.describe_db_parameters(DBParameterGroupName=group, Source="system")["Parameters"]
    assert {each["Source"] for each in others} == {"system"}
    assert "rds.force_ssl" not in [each["ParameterName"] for each in others]


def test_metrics_that_an_sdk_has_compressed_are_read_and_objects_stay_as_they_are(
    api: ApiServer, s3: Any, world: World
) -> None:
    # As Debian 13's SDK sends them from 10 KB on; newer ones speak another protocol.
    datum = {"MetricName": "packed", "Value": "7", "Timestamp": datetime.now(UTC).isoformat()}
    form = {"Action": "PutMetricData", "Version": "2010-08-01", "Namespace": "packed"}
    form |= {f"MetricData.member.1.{name}": value for name, value in datum.items()}
    scope = "test/20261126/us-east-1/monitoring/aws4_request"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Content-Encoding": "gzip",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none",
    }
    with requests.Session() as session:
        session.trust_env = False
        body = gzip.compress(urlencode(form).encode())
        answer = session.post(api.endpoint, data=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    found = api.client("cloudwatch").list_metrics(Namespace="packed")["Metrics"]
    assert [each["MetricName"] for each in found] == ["packed"]
    bucket = world.bucket()
    s3.put_object(Bucket=bucket, Key="packed", Body=gzip.compress(b"x"), ContentEncoding="gzip")
    assert gzip.decompress(s3.get_object(Bucket=bucket, Key="packed")["Body"].read()) == b"x"


def test_every_bucket_encrypts(s3: Any, world: World) -> None:
    bucket = world.bucket()

    def algorithm() -> str:
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        return rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]

    assert algorithm() == "AES256", "a new one too"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert algorithm() == "aws:kms"
    s3.delete_bucket_encryption(Bucket=bucket)
    assert algorithm() == "AES256"


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_one_version_is_deleted_and_the_others_stay(s3: Any, world: World, status: str) -> None:
    bucket = world.bucket()
    s3.put_object(Bucket=bucket, Key="a", Body=b"before versioning")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(Bucket=bucket, Key="a", Body=b"after")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    for gone in ("null", marker):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a", "VersionId": gone}]})
        assert not answer.get("Errors")
    assert versions(s3, bucket) == [kept]
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"after", "what was deleted is here again"
    s3.delete_object(Bucket=bucket, Key="a", VersionId=kept)
    assert versions(s3, bucket) == []


def test_a_bucket_with_a_bundle_from_before_its_versioning_is_destroyed(
    s3: Any, provider: ProviderClient, world: World
) -> None:
    bucket = Made(provider, BUCKET, {"forceDestroy": True}, world.unique("early"))
    bundle = Made(provider, OBJECT, {"bucket": bucket.id, "key": "bundles/a", "content": "x"})
    versioning = Made(provider, VERSIONING, {"bucket": bucket.id, "versioningConfiguration": {"status": "Enabled"}})
    assert versions(s3, bucket.id) == ["null"]
    for made in (bundle, versioning, bucket):
        made.delete()
    assert bucket.read()[0] == ""
