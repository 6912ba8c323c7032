"""An edit of the settings is an update of the lab that is up: real machines stay, come and go as the engine says."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.stack import ROOT, Stack, expressway, up

pytestmark = [pytest.mark.lab, pytest.mark.engine]


@pytest.fixture
def no_lab() -> Iterator[None]:
    """None before, none after."""
    expressway("lab", "down")
    yield
    expressway("lab", "down")


def ids(stack: Stack) -> set[str]:
    return {machine["id"] for machine in stack.status["machines"]}


@pytest.mark.usefixtures("no_lab")
def test_a_second_up_after_an_edit_is_an_update(tmp_path: Path) -> None:
    first = up(engine="pulumi")
    assert first.request("POST", "/items", json={"name": "kept"}).status_code == 201

    second = up("-c", "expressway:app.minSize=3", engine="pulumi")
    assert "update lab-app-group: minSize" in second.said, "the diff is told"
    assert ids(first) < ids(second), "the machines that were there are there still"
    assert len(second.machines("app")) == 3
    assert second.url == first.url
    assert second.get("/items/1").json()["name"] == "kept", "the database is the same"

    refused = expressway("lab", "up", "--engine", "mocks")
    assert refused.returncode == 1
    assert "the Pulumi engine made it" in refused.stderr

    preview = expressway("lab", "pulumi", "preview")
    assert preview.returncode == 0, preview.stderr
    assert "74 unchanged" in preview.stdout

    secret = expressway("lab", "pulumi", "config", "get", "expressway:environment")
    assert secret.stdout.strip() == "dev", "the lab's stack is the one that is asked"

    changed = tmp_path / "app"
    shutil.copytree(ROOT / "app", changed, ignore=shutil.ignore_patterns("node_modules"))
    (changed / "package.json").write_text((changed / "package.json").read_text().replace('"0.1.0"', '"0.1.1"'))
    third = up("--app", str(changed), "-c", "expressway:app.minSize=3", engine="pulumi")
    assert third.status["app"]["version"] == "0.1.1"
    now, before = third.status["app"]["release"], second.status["app"]["release"]
    assert {third.get("/").json()["release"] for _ in range(20)} == {now} != {before}, "an edit of the app is deployed"
