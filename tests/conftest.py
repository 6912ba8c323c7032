"""For all tests: no time limits that a busy host would break, and boto3's models are parsed once.

Without a Pulumi CLI, none are run that are marked `engine`: one line says how many were left out and why.
"""

import functools
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from hypothesis import settings

from lab.engine import pulumi_cli
from lab.engine.pulumi_cli import NoCliError

# By default a property fails when one example takes 200 ms, which says more about the host than about the code.
settings.register_profile("any host", deadline=None)
settings.load_profile("any host")


@pytest.fixture(scope="session", autouse=True)
def aws_models() -> Iterator[None]:
    """Most of what a mocked AWS costs: each session parses the services' models anew, each start makes 600 images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        yield


_left_out: dict[str, Any] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what can't run."""
    mine = [item for item in items if item.get_closest_marker("engine")]
    if not mine:
        return
    try:
        pulumi_cli.find()
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
