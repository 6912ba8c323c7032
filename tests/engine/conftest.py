"""Tests with a real Pulumi CLI, on the lab's API without machines. Without a CLI they are left out and counted."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.engine import cli
from lab.engine.cli import Cli, NoCliError
from tests.engine.engine_stack import ROOT, EngineStack
from tests.plan.built_artifacts import fill
from tests.plan.lab_api_server import ApiServer, running_api

NODE, ARCH = 24, "x64"
HERE = Path(__file__).parent
_left_out: dict[str, Any] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a CLI none of these can run."""
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    try:
        cli.find()
    except NoCliError as error:
        _left_out.update(count=len(mine), why=error)
        config.hook.pytest_deselected(items=mine)
        items[:] = [item for item in items if item not in mine]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line on what was left out."""
    if _left_out:
        terminalreporter.write_line(
            f"{_left_out['count']} tests of the Pulumi engine were not run: {_left_out['why']}. Try: make pulumi"
        )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """That all were left out is no failure."""
    if _left_out and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session")
def pulumi() -> Cli:
    """The CLI."""
    return cli.find()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with small stand-ins for the app and its runtime, for every program run by the module."""
    cache = tmp_path_factory.mktemp("cache")
    fill(cache, ROOT / "app", NODE, ARCH)
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
