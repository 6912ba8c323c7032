"""The policy pack under the real engine: this project's stack passes, and one that breaks rules is stopped."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.engine import stack_config
from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from tests.engine.engine_stack import ROOT
from tests.plan.lab_api_server import ApiServer

BREAKING = """
import pulumi_aws as aws

aws.rds.Instance(
    "open", instance_class="db.t4g.micro", engine="postgres", storage_encrypted=True, publicly_accessible=True
)
group = aws.ec2.SecurityGroup("app")
aws.vpc.SecurityGroupIngressRule(
    "web", security_group_id=group.id, cidr_ipv4="0.0.0.0/0", ip_protocol="tcp", from_port=80, to_port=80
)
bucket = aws.s3.Bucket("bucket")
aws.s3.BucketPublicAccessBlock(
    "closed",
    bucket=bucket.bucket,
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
)
"""

BROKEN = [
    ("closed-buckets", "aws:s3:Bucket", "bucket"),  # its encryption; that it is closed is seen
    ("data-protection", "aws:rds:Instance", "open"),
    ("data-protection", "aws:rds:Instance", "open"),
    ("edge-only", "aws:vpc:SecurityGroupIngressRule", "web"),
    ("no-public-database", "aws:rds:Instance", "open"),
]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """The pack as a user has it, but for its environment: this checkout's, so that nothing is installed."""
    made = tmp_path / "policy"
    shutil.copytree(ROOT / "policy", made, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    manifest = made / "PulumiPolicy.yaml"
    content = yaml.safe_load(manifest.read_text())
    content["runtime"]["options"]["virtualenv"] = sys.prefix
    manifest.write_text(yaml.safe_dump(content))
    return made


@pytest.fixture
def home(api: ApiServer, tmp_path: Path) -> Home:
    """The lab's provider, and this project."""
    made = Home(tmp_path / "pulumi")
    made.prepare(api.endpoint)
    return made


def preview(cli: Cli, home: Home, folder: Path, stack: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`pulumi preview` of the project in `folder`, on a new stack."""
    environment = {**os.environ, **home.environment(cli)}

    def pulumi(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [cli.path, *command, "--non-interactive", "--color=never"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    made = pulumi("stack", "init", stack)
    assert made.returncode == 0, made.stderr
    return pulumi("preview", "--stack", stack, *options)


@pytest.mark.usefixtures("artifacts")
def test_this_projects_stack_keeps_every_rule(pulumi: Cli, home: Home, pack: Path) -> None:
    home.configure("lab", stack_config.load(ROOT, ROOT / "Pulumi.lab.yaml", ()))
    done = preview(pulumi, home, home.project, "lab", "--policy-pack", str(pack))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "expressway-aws" in done.stdout, "the rules were looked at"
    assert "mandatory" not in done.stdout
    assert "can't run policy" not in done.stdout, "what isn't known yet stops no rule"


def test_a_stack_that_breaks_rules_is_stopped_with_what_to_mend(
    pulumi: Cli, home: Home, pack: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "breaking"
    folder.mkdir()
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}}
    (folder / "Pulumi.yaml").write_text(json.dumps({"name": "breaking", "runtime": runtime}))
    (folder / "__main__.py").write_text(BREAKING)
    configured = tmp_path / "policy.json"
    configured.write_text(json.dumps({"required-tags": "disabled", "data-protection": {"production": True}}))
    done = preview(pulumi, home, folder, "shop", "--policy-pack", str(pack), "--policy-pack-config", str(configured))
    assert done.returncode != 0, done.stdout
    found = re.findall(r"\[mandatory\]  (\S+)  \((\S+): (\S+)\)\n.*\n +(.*)", done.stdout)
    assert [each[:3] for each in sorted(found)] == BROKEN, done.stdout
    said = {rule: violation for rule, _, _, violation in found}
    assert said["no-public-database"].startswith("publiclyAccessible is true. Set it to false")
    assert said["edge-only"].startswith("It opens tcp 80 to the internet"), "members are known before their ids are"
    assert "shop is a production stack" in done.stdout, "the options are heeded"
