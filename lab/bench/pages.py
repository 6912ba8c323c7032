"""What the pages of measurements in docs/ share: on what machine they were taken, and text in their tables."""

import os
import platform
from typing import Any

import psutil


def machine() -> dict[str, Any]:
    """This one, for programs."""
    memory = psutil.virtual_memory().total / 2**30
    return {"cpus": os.cpu_count(), "memory_gib": round(memory, 1), "kernel": platform.release()}


def measured_on() -> str:
    """This one, for people."""
    found = machine()
    return (
        f"Measured on {found['cpus']} cores and {found['memory_gib']:.0f} GiB,"
        " which the load, the API and all machines share."
    )


def escaped(text: str) -> str:
    """As it may be in a cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def replaced(page: str, begin: str, block: str, end: str) -> str:
    """The page with another block between two marks of it. ValueError where it has none."""
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the page lacks its marks: {begin.strip()} and {end.strip()}")
    return f"{before}{begin}{block}{end}{after}"
