"""The stack `lab` under the real engine: previewed, updated, refreshed, destroyed."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pulumi import automation
from pulumi.automation.events import EngineEvent

from lab.aws import Aws
from lab.engine.home import Home
from lab.engine.interrupted import remove_begun
from lab.engine.pulumi_cli import Cli
from lab.provider.errors import ProviderError

STACK = "lab"
PARALLEL = 16
"""Resources at once, as under the mock monitor."""
REDACTED = "[secret]"


@dataclass(frozen=True)
class Change:
    """What was done to one resource."""

    operation: str
    """Such as create, update, replace, delete."""
    urn: str
    properties: Sequence[str] = ()
    """The inputs that differ, for an update or a replacement."""

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]

    def __str__(self) -> str:
        return f"{self.operation} {self.name}" + (f": {', '.join(self.properties)}" if self.properties else "")


Report = Callable[[Change], None]
"""Hears of each resource that is changed."""


class EngineError(Exception):
    """The engine gave up: what it said."""


@dataclass(frozen=True)
class Result:
    """What an operation did: how many resources of each kind of change, which ones, and the stack's outputs then."""

    changes: Mapping[str, int]
    diff: Sequence[Change]
    outputs: Mapping[str, Any]


def _ignore(_change: Change) -> None:
    pass


class LabStack:
    """The stack in the lab's home, with `values` for its configuration by full key. Made when there is none."""

    def __init__(self, cli: Cli, home: Home, values: Mapping[str, Any], aws: Aws) -> None:
        self._aws = aws
        home.configure(STACK, values)
        workspace = automation.LocalWorkspace(
            work_dir=str(home.project),
            pulumi_home=str(home.pulumi_home),
            env_vars=home.environment(cli),
            pulumi_command=automation.PulumiCommand(root=cli.root),
        )
        with _engine_errors([]):
            self._stack = automation.Stack.create_or_select(STACK, workspace)

    def recover(self) -> None:
        """Undo what an operation that was killed had begun. Only one runs at a time, so none is at work now."""
        with _engine_errors([]):
            self._stack.cancel()  # it has left its lock
            state = self._stack.export_stack().deployment or {}
            if state.get("pending_operations"):
                remove_begun(self._aws, state)
                self._stack.refresh(clear_pending_creates=True, parallel=PARALLEL, color="never")

    def up(self, report: Report = _ignore) -> Result:
        """Make the lab what the program says."""
        self.recover()
        diff: list[Change] = []

        def heard(change: Change) -> None:
            diff.append(change)
            report(change)

        done = self._run(self._stack.up, heard)
        return Result(_counts(done.summary.resource_changes), diff, _plain(done.outputs))

    def preview(self, report: Report = _ignore) -> Mapping[str, int]:
        """What `up` would do."""
        return _counts(self._run(self._stack.preview, report).change_summary)

    def refresh(self, report: Report = _ignore) -> Mapping[str, int]:
        """Make the state what the API says."""
        return _counts(self._run(self._stack.refresh, report).summary.resource_changes)

    def destroy(self, report: Report = _ignore) -> Mapping[str, int]:
        """Take everything away."""
        self.recover()
        return _counts(self._run(self._stack.destroy, report).summary.resource_changes)

    def _run(self, operation: Callable[..., Any], report: Report) -> Any:
        errors: list[str] = []

        def heard(event: EngineEvent) -> None:
            if event.res_outputs_event and (about := event.res_outputs_event.metadata).op != "same":
                report(Change(str(about.op.value), about.urn, tuple(about.diffs or ())))
            if event.diagnostic_event and event.diagnostic_event.severity == "error":
                errors.append(event.diagnostic_event.message.strip())

        with _engine_errors(errors):
            return operation(on_event=heard, parallel=PARALLEL, color="never")


@contextmanager
def _engine_errors(errors: list[str]) -> Generator[None]:
    """What the engine reported as errors, or else all that the command printed, as an EngineError."""
    try:
        yield
    except automation.CommandError as error:
        raise EngineError("\n".join(dict.fromkeys(errors)) or str(error)) from None
    except ProviderError as error:
        raise EngineError(f"an operation was killed while it created this, and it can't be undone: {error}") from error


def _counts(changes: Mapping[Any, int] | None) -> Mapping[str, int]:
    """By the change's plain name: the Automation API has text in one place and an enumeration in another."""
    counts: Counter[str] = Counter()
    for kind, count in (changes or {}).items():
        counts[str(getattr(kind, "value", kind))] += count
    return counts


def _plain(outputs: automation.OutputMap) -> Mapping[str, Any]:
    return {name: REDACTED if output.secret else output.value for name, output in sorted(outputs.items())}
