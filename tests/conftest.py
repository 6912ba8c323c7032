"""For all tests: no time limits that a busy host would break; and without a Pulumi CLI, none that are marked `engine`.

One line says how many were left out and why.
"""

from typing import Any

import pytest
from hypothesis import settings

from lab.engine import pulumi_cli
from lab.engine.pulumi_cli import NoCliError

# By default a property fails when one example takes 200 ms, which says more about the host than about the code.
settings.register_profile("any host", deadline=None)
settings.load_profile("any host")

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
