"""An update leaves in the artifact bucket what machines of before it run, start from, or are rolled back to."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.engine.engine_stack import ARCH, ROOT, EngineStack
from tests.plan.built_artifacts import fill
from tests.plan.lab_api_server import ApiServer

PROGRAM = ("__main__.py", "app", "artifact", "components", "settings", "stack.py", "user_data")


@pytest.fixture
def checkout(stack: EngineStack, artifacts: Path, tmp_path: Path) -> Path:
    """The program as `stack` runs it: a copy, whose files a test may change as an upgrade of this project does."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in PROGRAM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, copy / name)
    project = stack.home.project / "Pulumi.yaml"
    project.write_text(yaml.safe_dump({**yaml.safe_load(project.read_text()), "main": str(copy)}))
    fill(artifacts, ROOT / "app", 26, ARCH)
    return copy


def keys(api: ApiServer, bucket: str) -> set[str]:
    """What a machine can fetch."""
    return {each["Key"] for each in api.client("s3").list_objects_v2(Bucket=bucket)["Contents"]}


def test_an_update_leaves_the_bundles_the_runtime_and_the_release_that_it_goes_past(
    stack: EngineStack, api: ApiServer, checkout: Path
) -> None:
    bucket = str(stack.up().outputs["artifactBucket"])
    before = keys(api, bucket)
    assert sorted(each.partition("/")[0] for each in before) == ["bundles", "bundles", "releases", "runtime"]
    (checkout / "user_data" / "common" / "files" / "added").write_text("by an upgrade")
    stack.up("expressway:app.nodeVersion=26")
    assert {"lab-app-bundle", "lab-edge-bundle", "lab-release-runtime"} <= stack.seen["create-replacement"]
    after = keys(api, bucket)
    assert before < after, "machines that start late, or are rolled back, fetch what they were told of"
    assert len(after) == len(before) + 3, "two bundles and a runtime are new"
    assert set(stack.up("expressway:app.nodeVersion=26").changes) == {"same"}
