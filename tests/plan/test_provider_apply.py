"""`python -m lab.engine.mocks` on small programs: what it says, what it writes, and how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.plan.built_artifacts import fill
from tests.plan.lab_api_server import ApiServer

HEAD = "import pulumi\nimport pulumi_aws as aws\n"


def _apply(api: ApiServer, folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "Pulumi.yaml").write_text("name: trial\nruntime: python\n")
    (folder / "Pulumi.lab.yaml").write_text("config:\n  aws:defaultTags: {tags: {project: trial}}\n  port: 3000\n")
    (folder / "__main__.py").write_text(HEAD + program)
    command = [sys.executable, "-m", "lab.engine.mocks", "--endpoint", api.endpoint, "--directory", str(folder)]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_resources_are_created_and_outputs_written(api: ApiServer, tmp_path: Path) -> None:
    program = """
secret = aws.secretsmanager.Secret("token")
version = aws.secretsmanager.SecretVersion("token", secret_id=secret.id, secret_string="hush")
vpc = aws.ec2.Vpc("main", cidr_block="10.9.0.0/16", tags={"Name": "main"})
pulumi.export("vpc", vpc.id)
pulumi.export("port", pulumi.Config().require_int("port"))
pulumi.export("token", version.secret_string)
"""
    outputs = tmp_path / "outputs.json"
    done = _apply(api, tmp_path, program, "--json", "--outputs", str(outputs), "--set", "port=8080")
    assert done.returncode == 0, done.stderr
    written = json.loads(outputs.read_text())
    assert written["port"] == 8080, "an override reached the program"
    assert written["token"] == "[secret]", "a secret is not written"
    assert "hush" not in done.stdout + done.stderr, "nor shown"
    vpc = api.client("ec2").describe_vpcs(VpcIds=[written["vpc"]])["Vpcs"][0]
    assert {tag["Key"]: tag["Value"] for tag in vpc["Tags"]} == {"project": "trial", "Name": "main"}
    events = [json.loads(line) for line in done.stdout.splitlines()]
    created = {event["name"]: event for event in events if event["event"] == "resource"}
    assert created["main"]["id"] == written["vpc"]
    assert created["main"]["urn"] == "urn:pulumi:lab::trial::pulumi:pulumi:Stack$aws:ec2/vpc:Vpc::main"
    assert events[-1]["event"] == "done"
    assert events[-1]["resources"] == 3


def test_secrets_are_written_when_asked_for(api: ApiServer, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    done = _apply(
        api, tmp_path, 'pulumi.export("t", pulumi.Output.secret("hush"))', "--outputs", str(outputs), "--show-secrets"
    )
    assert json.loads(outputs.read_text()) == {"t": "hush"}, done.stderr


def test_a_preview_checks_and_creates_nothing(api: ApiServer, tmp_path: Path) -> None:
    before = api.control("version")
    good = _apply(
        api,
        tmp_path,
        'v = aws.ec2.Vpc("a", cidr_block="10.9.0.0/16")\naws.ec2.InternetGateway("b", vpc_id=v.id)',
        "--preview",
    )
    assert good.returncode == 0, good.stderr
    bad = _apply(api, tmp_path, 'aws.ec2.Vpc("a", cidr_block="10.9.0.0/16", instance_tenancy="default")', "--preview")
    assert bad.returncode == 1
    assert api.control("version") == before, "the API was not changed"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            'aws.ec2.Subnet("a", vpc_id="vpc-1", cidr_block="10.0.0.0/24")',
            'aws:ec2/subnet:Subnet "a": An error occurred (InvalidVpcID.NotFound) when calling',
        ),
        (
            'aws.ec2.Vpc("a", cidr_block="10.0.0.0/99")',
            'aws:ec2/vpc:Vpc "a": cidrBlock must be an IPv4 network whose host bits are 0, such as 10.0.0.0/16',
        ),
        (
            'aws.ec2.Vpc("a", cidr_block="10.0.0.0/16", instance_tenancy="default")',
            'aws:ec2/vpc:Vpc "a": the lab does not know the input instanceTenancy',
        ),
        ('aws.ecs.Cluster("t")', 'aws:ecs/cluster:Cluster "t": the lab does not know aws:ecs/cluster:Cluster'),
        (
            'aws.ec2.Eip("a")\naws.ec2.Eip("a")',
            'aws:ec2/eip:Eip "a": duplicate resource URN urn:pulumi:lab::trial::pulumi:pulumi:Stack$aws:ec2/eip:Eip::a',
        ),
        ('aws.ec2.get_ami(owners=["123"])', "aws:ec2/getAmi:getAmi: your query returned no results"),
        ('aws.ec2.Vpc.get("a", "vpc-1")', 'aws:ec2/vpc:Vpc "a": the lab can\'t read vpc-1'),
        ('raise pulumi.RunError("mistake one\\nmistake two")', "mistake one\nmistake two\n"),
        ('pulumi.Config().require("nope")', "Missing required configuration variable 'trial:nope'"),
    ],
)  # fmt: skip
def test_a_failure_starts_with_the_resource_and_the_cause(
    api: ApiServer, tmp_path: Path, program: str, message: str
) -> None:
    done = _apply(api, tmp_path, program)
    assert done.returncode == 1
    assert done.stderr.startswith(message), done.stderr
    assert "Traceback" not in done.stderr, "and has no noise"


def test_a_mistake_in_the_program_is_shown_with_its_line(api: ApiServer, tmp_path: Path) -> None:
    done = _apply(api, tmp_path, 'aws.ec2.Eip("a").id.apply(lambda i: 1 / 0)')
    assert done.returncode == 1
    assert done.stderr.startswith(f'  File "{tmp_path / "__main__.py"}", line 3'), done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n"), done.stderr


def test_an_api_that_is_not_there_is_a_clear_error(api: ApiServer, tmp_path: Path) -> None:
    done = _apply(api, tmp_path, 'aws.ec2.Eip("a")', "--endpoint", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith('aws:ec2/eip:Eip "a": Could not connect to the endpoint URL'), done.stderr


def test_secrets_that_are_not_there_are_all_named_with_the_mend(api: ApiServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    fill(cache, ROOT / "app", 24, "x64")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lab.engine.mocks", "--endpoint", api.endpoint, "--preview"),
            *("--set", "expressway:app.secrets.STRIPE=shop/stripe", "--set", "expressway:app.secrets.MAIL=shop/mail"),
        ],
        cwd=ROOT,
        env={**os.environ, "EXPRESSWAY_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    for variable in ("STRIPE", "MAIL"):
        (line,) = [each for each in done.stderr.splitlines() if each.startswith(f"secrets.{variable}: ")]
        assert "can't find the specified secret" in line, "AWS's own words"
        assert "create-secret" in line, "and how to mend it"
    assert "Traceback" not in done.stderr
