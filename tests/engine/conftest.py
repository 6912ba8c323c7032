"""Tests with a real Pulumi CLI, on the lab's API without machines."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engine import pulumi_cli
from lab.engine.pulumi_cli import Cli, NoCliError
from tests.engine.engine_stack import ARCH, NODE, OTHER_NODE, ROOT, EngineStack
from tests.plan.built_artifacts import fill
from tests.plan.lab_api_server import ApiServer, running_api

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need the engine."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("engine")


def pytest_xdist_auto_num_workers() -> int | None:
    """One process where all are left out: workers could not say so."""
    try:
        pulumi_cli.find()
    except NoCliError:
        return 0
    return None


@pytest.fixture(scope="session")
def pulumi() -> Cli:
    """The CLI."""
    return pulumi_cli.find()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with small stand-ins for the app and its runtime, for every program run by the module."""
    cache = tmp_path_factory.mktemp("cache")
    for node in (NODE, OTHER_NODE):
        fill(cache, ROOT / "app", node, ARCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPRESSWAY_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API that is this module's own, so that `destroy` can be seen to leave it empty."""
    with running_api(tmp_path_factory.mktemp("lab-api")) as server:
        yield server


@pytest.fixture
def stack(pulumi: Cli, api: ApiServer, artifacts: Path, tmp_path: Path) -> Iterator[EngineStack]:
    """A stack of this test's own; its resources are taken away afterwards."""
    made = EngineStack(pulumi, api.endpoint, tmp_path / "pulumi")
    yield made
    made.destroy()
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(scope="module")
def deployed(
    pulumi: Cli, api: ApiServer, artifacts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineStack]:
    """A stack that is up, for tests that only look, or preview a change."""
    made = EngineStack(pulumi, api.endpoint, tmp_path_factory.mktemp("deployed"))
    made.up()
    yield made
    made.destroy()
