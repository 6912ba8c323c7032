"""What changes while something goes on: in place on a terminal, and not at all elsewhere."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from rich.live import Live

from cli.console import err

Watch = TypeVar("Watch")


@contextmanager
def watching(watch: Callable[[Live | None], Watch]) -> Generator[Watch]:
    """What `watch` makes of the terminal for as long as the body runs; of None where there is none."""
    if not err.is_terminal:
        yield watch(None)
        return
    with Live(console=err, transient=True, auto_refresh=False) as live:
        yield watch(live)
