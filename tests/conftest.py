"""Where there is no Pulumi CLI, tests marked `engine` are left out, and one line says how many and why."""

from typing import Any

import pytest

from lab.engine import pulumi_cli
from lab.engine.pulumi_cli import NoCliError

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
