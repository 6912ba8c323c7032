"""The open-loop load as a program: one path at a rate, for some seconds; what became of it, as JSON."""

import asyncio
import json
import select
import selectors
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from .load import Client, Load, Outcome, Plan


class Punctual(selectors.EpollSelector):
    """Wakes up when it should. epoll waits for whole milliseconds, by up to one of which each request would be late."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the class above."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


class Page:
    """Reads of one path, each to be answered with 200."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.milliseconds: list[float] = []
        """From the sending of each request to the end of its answer."""

    async def begin(self, client: Client) -> None:
        """One request, so that what follows finds everything awake."""
        await client.request("GET", self._path)

    def next(self, number: int) -> tuple[str, Any]:
        """Always the same."""
        return "GET", None

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        """What is wrong with the answer, or nothing."""
        began = time.monotonic()
        status, _ = await client.request("GET", self._path, fresh=fresh)
        self.milliseconds.append(1000 * (time.monotonic() - began))
        return "" if status == 200 else f"HTTP {status}"


def said(outcome: Outcome, seconds: float, sent: Sequence[float]) -> dict[str, float]:
    """The fields of `generators.Said`; `sent` are the times from the sending of requests, in milliseconds."""
    return {
        "requests": len(outcome.samples),
        "failed": outcome.failures().total(),
        "seconds": seconds,
        "p50": outcome.slowest(0.5),
        "p90": outcome.slowest(0.9),
        "p99": outcome.slowest(0.99),
        "p99_sent": sorted(sent)[int(len(sent) * 0.99)] if sent else 0.0,
    }


async def _run(url: str, rate: int, seconds: int) -> dict[str, float]:
    page, stopped = Page(urlsplit(url).path or "/"), asyncio.Event()
    load = Load(url, Plan(rate), page)
    task = asyncio.create_task(load.run(stopped))
    await asyncio.sleep(seconds)
    stopped.set()
    # Before the last answers are waited for.
    took = load.elapsed()
    return said(await task, took, page.milliseconds)


if __name__ == "__main__":
    address, per_second, how_long = sys.argv[1:]
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Punctual())) as runner:
        print(json.dumps(runner.run(_run(address, int(per_second), int(how_long)))))
