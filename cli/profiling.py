"""A profile of a worker, for people: which functions took its time."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.console import fail, refuse

if TYPE_CHECKING:
    from operate.profile.model import Origin, Profile

SHOWN: "tuple[tuple[Origin, str, int], ...]" = (
    ("app", "the app's own", 10),
    ("module", "node_modules", 6),
    ("node", "Node and V8", 4),
)
"""Whose functions, under which head, and how many of them at most."""
RAW = ".cpuprofile"
"""The ending by which Chrome's DevTools know V8's profile."""


def check_seconds(option: str, seconds: int) -> None:
    """Refuse what is no length of a profile."""
    from operate.profile.request import LEAST_SECONDS, MOST_SECONDS

    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        refuse(f"{option} {seconds}: it must be {LEAST_SECONDS} to {MOST_SECONDS} seconds")


def check_file(option: str, page: Path) -> Path:
    """Refuse a page that can't be written, before anything is done for it; where V8's profile goes, beside it."""
    if page.is_dir() or not page.absolute().parent.is_dir():
        refuse(f"{option} {page}: there is no such folder to write a file into")
    raw = page.with_suffix(RAW)
    if raw == page:
        refuse(f"{option} {page}: it must have another ending, as V8's profile gets that name")
    return raw


def write(option: str, path: Path, text: str) -> None:
    """Write a file; one line where that isn't possible."""
    try:
        path.write_text(text)
    except OSError as error:
        fail(f"{option} {path}: {error.strerror}")


def report(console: Console, profile: "Profile") -> None:
    """Where the time went, the app's own functions apart from the others'."""
    console.print(f"{profile.machine}, {said(profile)}:", markup=False, soft_wrap=True)
    console.print(table(profile))


def said(profile: "Profile") -> str:
    """Which worker it is, and how busy it was."""
    idle = 100 * profile.idle_ms / profile.ms if profile.ms else 0.0
    rate = f" at {profile.offered_rps:g} requests/s" if profile.offered_rps else ""
    return f"{profile.process}, {profile.ms / 1000:.1f} s{rate}, {idle:.0f} % of them idle, {profile.samples} samples"


def table(profile: "Profile") -> Table:
    """By time of its own, which is what a function would save at most if it did nothing."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("self ms", "self %", "total %"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("function", overflow="fold")
    shown.add_column("where", overflow="fold")
    whole = profile.busy_ms or 1.0
    for origin, head, most in SHOWN:
        of_it = sum(each.self_ms for each in profile.functions if each.origin == origin)
        shown.add_row(f"{of_it:.0f}", f"{100 * of_it / whole:.1f}", "", Text(head, "bold"), "")
        for each in profile.top(origin, most):
            shares = (f"{100 * each.self_ms / whole:.1f}", f"{100 * each.total_ms / whole:.1f}")
            shown.add_row(f"{each.self_ms:.0f}", *shares, Text(f"  {each.name}"), Text(each.where, "dim"))
        shown.add_section()
    return shown
