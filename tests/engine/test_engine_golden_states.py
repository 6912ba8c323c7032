"""A stack that an earlier release made is updated by this one, and nothing that holds data is made anew."""

from pathlib import Path

import pytest

from lab.engine.pulumi_cli import Cli
from tests.engine.golden_state import STATES, stack_of
from tests.plan.lab_api_server import ApiServer

REPLACED = ("replace", "create-replacement", "delete-replaced")
BY_CONTENT = {"aws:s3/bucketObjectv2:BucketObjectv2"}
"""An archive's key is its hash: another archive is another object, and the old one stays."""
HOLD_DATA = {
    "aws:ec2/eip:Eip",
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
    "aws:secretsmanager/secret:Secret",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:ssm/parameter:Parameter",
}


@pytest.mark.parametrize("state", sorted(STATES.glob("*.json")), ids=lambda path: path.stem)
def test_this_release_replaces_nothing_of_an_earlier_one(
    pulumi: Cli, api: ApiServer, artifacts: Path, tmp_path: Path, state: Path
) -> None:
    stack = stack_of(pulumi, api.endpoint, tmp_path)
    stack.cli("stack", "import", f"--file={state}")
    stack.preview()
    seen = stack.seen_types
    replaced = {kind for operation in REPLACED for kind in seen.get(operation, ())}
    assert replaced <= BY_CONTENT, stack.seen
    assert not seen.get("delete", set()) & HOLD_DATA, stack.seen
    assert not seen.get("create", set()) & HOLD_DATA, "made beside the one that is there"
