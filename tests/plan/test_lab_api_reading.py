"""What the lab's API tells of a thing is what AWS tells: nothing that nobody set, and nothing left out."""

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest

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
    assert rds.describe_db_parameters(DBParameterGroupName=group, Source="system")["Parameters"] == []


def test_metrics_that_the_sdk_compresses_are_read_and_objects_stay_as_they_are(
    api: ApiServer, s3: Any, world: World
) -> None:
    cloudwatch = api.client("cloudwatch")
    now = datetime.now(UTC)
    names = [f"metric-{number}" for number in range(200)]
    data = [{"MetricName": name, "Timestamp": now, "Values": [1.0, 2.0], "Counts": [3, 4]} for name in names]
    encodings: list[str] = []
    cloudwatch.meta.events.register(
        "before-send.cloudwatch.PutMetricData",
        lambda request, **_: encodings.append(str(request.headers.get("Content-Encoding"))),
    )
    cloudwatch.put_metric_data(Namespace="packed", MetricData=data)
    assert "gzip" in encodings[0], "10 KB are enough"
    found = {each["MetricName"] for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="packed")
             for each in page["Metrics"]}  # fmt: skip
    assert found == set(names)
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
