"""Clearing the artifact bucket: what may still be asked for stays, whatever its age."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from cli.main import app
from operate import prune
from operate.prune import Object, PruneError, Text, superfluous

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OUTPUTS = {
    "artifactBucket": "shop-artifacts",
    "releaseParameter": "shop-pointer",
    "appGroupName": "shop-app",
    "edgeGroupName": "shop-edge",
}


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def kept(texts: list[Text], age: int = 200) -> bool:
    """Whether an object of that age stays, given what names it."""
    thing = Object("runtime/node.tar.gz", 1, days_ago(age))
    return not superfluous([thing], texts, days_ago(90))


def names(days: int, *, counts: bool = False, key: str = "runtime/node.tar.gz") -> Text:
    return Text(f'{{"key": "{key}"}}', counts, days_ago(days))


def test_an_object_goes_when_it_is_old_and_nothing_that_counts_names_it() -> None:
    assert not kept([])
    assert not kept([names(100)]), "a version of before, which nobody uses"
    assert not kept([names(1, counts=True, key="runtime/other.tar.gz")])


def test_an_object_stays_while_it_is_used_or_young_or_was_used_lately() -> None:
    assert kept([names(400, counts=True)]), "a fleet may run one version for years"
    assert kept([names(89)]), "it may be rolled back to"
    assert kept([], age=89), "an update is uploading it, and its launch template comes later"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """An account with a stack of two groups, whose template has three versions: an old one, one in use, the newest."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        made = boto3.Session(region_name="us-east-1")
        fill(made)
        yield made


def fill(session: boto3.Session) -> None:
    s3, ec2, scaling, ssm = (session.client(name) for name in ("s3", "ec2", "autoscaling", "ssm"))
    s3.create_bucket(Bucket="shop-artifacts")
    s3.put_bucket_versioning(Bucket="shop-artifacts", VersioningConfiguration={"Status": "Enabled"})
    for key in ("bundles/1", "bundles/2", "bundles/3", "releases/1", "releases/2", "runtime/1", "other/1"):
        s3.put_object(Bucket="shop-artifacts", Key=key, Body=b"x")
    template = ec2.create_launch_template(LaunchTemplateName="shop", LaunchTemplateData=data(ec2, 1))
    identifier = template["LaunchTemplate"]["LaunchTemplateId"]
    for version in (2, 3):
        ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData=data(ec2, version))
    ec2.modify_launch_template(LaunchTemplateId=identifier, DefaultVersion="3")
    for name, version in (("shop-app", "2"), ("shop-edge", "3")):
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=1,
            AvailabilityZones=["us-east-1a"],
            LaunchTemplate={"LaunchTemplateId": identifier, "Version": version},
        )
    for release in (1, 2):
        ssm.put_parameter(
            Name="shop-pointer", Type="String", Overwrite=True, Value=json.dumps({"key": f"releases/{release}"})
        )


def data(ec2: Any, version: int) -> dict[str, str]:
    told = {"bucket": "shop-artifacts", "bundle": {"key": f"bundles/{version}"}, "runtime": {"key": "runtime/1"}}
    image = ec2.register_image(Name=f"debian-{version}")["ImageId"]
    return {"ImageId": image, "UserData": base64.b64encode(json.dumps(told).encode()).decode()}


def found(session: boto3.Session, in_days: int) -> list[str]:
    later = datetime.now(UTC) + timedelta(days=in_days)
    return [each.key for each in prune.find(session, OUTPUTS, later)]


def test_a_bucket_is_cleared_of_what_no_machine_can_ask_for(session: boto3.Session) -> None:
    assert found(session, 89) == []
    assert found(session, 91) == ["bundles/1", "releases/1"], "version 2 is a group's, and 3 the newest"


def test_the_last_ten_releases_stay_whatever_their_age_and_the_others_go_with_their_history(
    session: boto3.Session,
) -> None:
    s3 = session.client("s3")
    for number in range(1, 13):
        told = {
            "release_id": f"r{number:02}",
            "key": f"releases/a{number:02}",
            "sha256": "0",
            "at": number,
            "good": number != 12,
        }
        s3.put_object(Bucket="shop-artifacts", Key=f"deploys/history/r{number:02}.json", Body=json.dumps(told).encode())
        s3.put_object(Bucket="shop-artifacts", Key=f"releases/a{number:02}", Body=b"x")
    s3.put_object(Bucket="shop-artifacts", Key="deploys/current.json", Body=b"{}")
    gone = [key for key in found(session, 91) if not key.startswith("bundles/")]
    assert gone == [
        "releases/1",
        "releases/a01",
        "releases/a12",
        *(f"deploys/history/r{number}.json" for number in ("01", "12")),
    ]


def test_what_was_deleted_can_be_restored(session: boto3.Session) -> None:
    later = datetime.now(UTC) + timedelta(days=91)
    prune.delete(session, "shop-artifacts", prune.find(session, OUTPUTS, later))
    assert found(session, 91) == []
    versions = session.client("s3").list_object_versions(Bucket="shop-artifacts", Prefix="bundles/1")
    assert len(versions["Versions"]) == len(versions["DeleteMarkers"]) == 1


def test_in_another_region_everything_would_look_unused_and_is_refused(session: boto3.Session) -> None:
    elsewhere = boto3.Session(region_name="eu-west-1")
    with pytest.raises(PruneError, match=r"no group shop-app, shop-edge in eu-west-1"):
        prune.find(elsewhere, OUTPUTS, datetime.now(UTC))


@pytest.mark.usefixtures("session")
def test_the_command_only_shows_unless_told_to_delete(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(OUTPUTS))
    done = CliRunner().invoke(app, ["prune", str(outputs), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"bucket": "shop-artifacts", "deleted": False, "keys": []}
    outputs.write_text("{}")
    refused = CliRunner().invoke(app, ["prune", str(outputs)])
    assert refused.exit_code == 1
    assert "pulumi stack output --json" in refused.output
