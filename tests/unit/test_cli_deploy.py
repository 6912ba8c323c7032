"""What people get wrong: each is one line that names the mend, and changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from artifact_apps import write_app
from moto import mock_aws
from typer.testing import CliRunner, Result

import artifact
from artifact import Artifact, Start
from cli.main import app
from lab import status as lab_status
from operate import releases
from operate.stack import Stack

POINTER = {"release_id": "r1", "key": "releases/r1.tar.gz", "sha256": "0" * 64}


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The exported outputs of a stack that stands in us-east-1: two groups of no machines, and a first release."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        session.client("s3").create_bucket(Bucket="shop")
        session.client("ssm").put_parameter(Name="pointer", Type="String", Value=json.dumps(POINTER))
        scaling, ec2 = session.client("autoscaling"), session.client("ec2")
        data = {"ImageId": "ami-12345678"}
        ec2.create_launch_template(LaunchTemplateName="shop", LaunchTemplateData=data)
        for name in ("shop-app", "shop-edge"):
            scaling.create_auto_scaling_group(
                AutoScalingGroupName=name,
                MinSize=0,
                MaxSize=4,
                DesiredCapacity=0,
                AvailabilityZones=["us-east-1a"],
                LaunchTemplate={"LaunchTemplateName": "shop", "Version": "1"},
            )
        file = tmp_path / "outputs.json"
        file.write_text(
            json.dumps(
                {
                    "artifactBucket": "shop",
                    "releaseParameter": "pointer",
                    "appGroupName": "shop-app",
                    "edgeGroupName": "shop-edge",
                    "region": "us-east-1",
                    "nodeVersion": 24,
                    "architecture": "x64",
                }
            )
        )
        yield file
        assert releases.pointer(stack(file)) == POINTER, "nothing was deployed"


def stack(file: Path) -> Stack:
    return Stack.of(json.loads(file.read_text()), boto3.Session())


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def refused(done: Result, status: int, *texts: str) -> None:
    assert done.exit_code == status, done.output
    assert not done.stdout, "programs read that"
    said = " ".join(done.stderr.split())
    assert all(text in said for text in texts), said
    assert "Traceback" not in said


def test_a_folder_that_is_no_app_is_named(outputs: Path, tmp_path: Path) -> None:
    refused(run("deploy", "--app", str(tmp_path / "nothing"), "--outputs", str(outputs)), 2, "nothing", "package.json")
    refused(run("deploy", "--outputs", str(outputs)), 2, "--app DIR")


def test_an_artifact_that_is_not_what_was_built_is_not_stored(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_app(tmp_path / "app", {"name": "shop", "main": "server.js"}, "server.js")
    archive = tmp_path / "app.tar.gz"
    archive.write_bytes(b"half of")
    built = Artifact(archive, "1" * 64, Start("cluster", "server.js"))
    monkeypatch.setattr(artifact, "build", lambda *_: built)
    done = run("deploy", "--app", str(tmp_path / "app"), "--outputs", str(outputs))
    refused(done, 1, str(archive), "SHA-256", "build again")
    assert "Contents" not in boto3.client("s3", "us-east-1").list_objects_v2(Bucket="shop")


def test_a_rollback_with_nothing_to_go_back_to_says_so(outputs: Path) -> None:
    refused(run("rollback", "--outputs", str(outputs)), 2, "no release before r1", "expressway releases")
    refused(run("rollback", "r0", "--outputs", str(outputs)), 2, "'r0' names no release")


def test_a_rollback_to_a_release_whose_archive_is_another_one_is_not_begun(outputs: Path) -> None:
    there = stack(outputs)
    releases.remember(there, {**POINTER, "release_id": "r0", "key": "releases/r0"}, "me", good=True, at=1)
    done = run("rollback", "r0", "--outputs", str(outputs))
    refused(done, 1, "release r0 isn't in the bucket any more", "deploy it from its source")
    boto3.client("s3", "us-east-1").put_object(Bucket="shop", Key="releases/r0", Body=b"something else")
    refused(run("rollback", "--outputs", str(outputs), "r0"), 1, "or not as it was built")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e9"])
@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_a_bake_that_would_never_end_is_not_begun(outputs: Path, command: str, seconds: str) -> None:
    refused(run(command, "--bake", seconds, "--outputs", str(outputs)), 2, "--bake", "0 to 86400 seconds")


def test_more_machines_than_the_group_takes_are_refused_with_the_setting(outputs: Path) -> None:
    refused(run("scale", "5", "--outputs", str(outputs)), 2, "at most 4 machines, not 5", "app.maxSize", "pulumi up")


def test_without_credentials_the_mend_is_to_log_in(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            without.delenv(name)
        refused(run("status", "--outputs", str(outputs)), 1, "there are no credentials", "aws sso login")
    with monkeypatch.context() as other:
        other.setenv("AWS_PROFILE", "nowhere")
        refused(run("status", "--outputs", str(outputs)), 1, "nowhere", "AWS_PROFILE")


def test_the_wrong_region_is_named(outputs: Path) -> None:
    change(outputs, region="eu-west-1")
    refused(run("status", "--outputs", str(outputs)), 1, "no Auto Scaling group shop-app, shop-edge in eu-west-1")
    change(outputs, region="us-east-1")


def test_a_stack_that_does_not_exist_is_named(outputs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\necho \"error: no stack named 'shop' found\" >&2\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(run("status", "--stack", "shop"), 2, "no outputs of a stack shop", "no stack named 'shop' found")
    program.write_text("#!/bin/sh\necho 'a new version of Pulumi is available'\n")
    refused(run("status", "--stack", "shop"), 2, "did not answer with outputs in JSON", "pulumi stack output --json")
    program.unlink()
    refused(run("status", "--stack", "shop"), 2, "takes a Pulumi CLI on PATH", "--outputs FILE")


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"id": "d1"}'])
def test_a_record_that_is_none_of_a_deploy_is_named(outputs: Path, text: str) -> None:
    boto3.client("s3", region_name="us-east-1").put_object(Bucket="shop", Key="deploys/current.json", Body=text)
    for command in (["status"], ["rollback", "r0"]):
        refused(run(*command, "--outputs", str(outputs)), 1, "s3://shop/deploys/current.json is no record of a deploy")


def test_a_file_that_holds_no_outputs_is_named(outputs: Path, tmp_path: Path) -> None:
    refused(run("status", "--outputs", str(tmp_path / "missing.json")), 2, "missing.json: No such file")
    for text in ("nonsense", "[]"):
        (tmp_path / "other.json").write_text(text)
        refused(run("status", "--outputs", str(tmp_path / "other.json")), 2, "these are no stack's outputs")
    (tmp_path / "other.json").write_text("{}")
    refused(run("status", "--outputs", str(tmp_path / "other.json")), 1, "artifactBucket is missing")
    assert outputs.is_file()


def test_without_a_lab_and_without_a_stack_both_mends_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_status, "read", lambda: None)
    refused(run("status"), 2, "make up", "--stack NAME")


def test_status_and_releases_tell_programs_what_there_is(outputs: Path) -> None:
    told = json.loads(run("status", "--outputs", str(outputs), "--json").stdout)
    assert {"release": "r1", "deploy": None, "machines": [], "under_way": None}.items() <= told.items()
    assert json.loads(run("releases", "--outputs", str(outputs), "--json").stdout) == {"current": "r1", "releases": []}


def test_a_watch_looks_until_it_is_interrupted_and_outlives_an_answer_that_fails(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter([None, None, KeyboardInterrupt()])
    looked: list[float] = []

    def pause(seconds: float) -> None:
        looked.append(seconds)
        value = "nonsense" if len(looked) == 1 else json.dumps(POINTER)
        ssm = boto3.Session(region_name="us-east-1").client("ssm")
        ssm.put_parameter(Name="pointer", Type="String", Value=value, Overwrite=True)
        if (end := next(pauses)) is not None:
            raise end

    monkeypatch.setattr("cli.status.time.sleep", pause)
    done = run("status", "--outputs", str(outputs), "--watch", "--json")
    assert done.exit_code == 0, done.output
    first, second, third = (json.loads(line) for line in done.stdout.splitlines())
    assert first["release"] == third["release"] == "r1"
    assert "doesn't name a release" in second["error"], "and it went on"
    assert looked == [2.0, 2.0, 2.0]
