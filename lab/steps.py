"""The long steps of `lab up`: shown while they run, timed for the table at the end."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


@dataclass(frozen=True)
class Step:
    """One finished step: `name`, and when it began and ended, in seconds since the first one began."""

    name: str
    began: float
    ended: float


@dataclass
class Steps:
    """A timeline of steps, some of which run side by side.

    On a terminal each step is a line with a spinner and a clock; elsewhere (CI, a pipe) a line is printed when it ends.
    """

    console: Console
    done: list[Step] = field(default_factory=list[Step])

    def __post_init__(self) -> None:
        self._zero = time.monotonic()
        self._lock = threading.Lock()
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}", markup=True),
            console=self.console,
            transient=False,
        )

    @contextlib.contextmanager
    def live(self) -> Generator[None, None, None]:
        """Show the steps while the body runs."""
        if not self.console.is_terminal:
            yield
            return
        with self._progress:
            yield

    @contextlib.contextmanager
    def step(self, name: str) -> Generator[Callable[[str], None], None, None]:
        """Time the body as `name`. Yields a function that shows what it is at right now."""
        began = time.monotonic() - self._zero
        with self._lock:
            task = self._progress.add_task(name, total=1, detail="")
        try:
            yield lambda detail: self._progress.update(task, detail=detail)
        except BaseException:
            self._progress.update(task, description=f"[red]{name}", detail="")
            raise
        ended = time.monotonic() - self._zero
        with self._lock:
            self.done.append(Step(name, began, ended))
        self._progress.update(task, completed=1, detail="")
        if not self.console.is_terminal:
            self.console.print(f"{name}: {ended - began:.1f} s", highlight=False)

    def note(self, text: str) -> None:
        """Print a line above the steps that run."""
        self.console.print(text, markup=False, highlight=False)

    def elapsed(self) -> float:
        """Seconds since the first step began."""
        return time.monotonic() - self._zero

    def table(self) -> Table:
        """Where the seconds went; steps that overlap ran side by side."""
        table = Table("step", title="Where the seconds went", title_justify="left")
        for column in ("from", "to", "seconds"):
            table.add_column(column, justify="right")
        for step in sorted(self.done, key=lambda step: step.began):
            table.add_row(step.name, f"{step.began:.1f}", f"{step.ended:.1f}", f"{step.ended - step.began:.1f}")
        return table
