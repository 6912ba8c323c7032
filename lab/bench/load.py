"""An open-loop load of reads and writes on the sample app's items, in which every answer is checked.

Open loop: a request is sent when its time has come, whether those before it were answered or not, so that a stall shows
as what users would see. Connections are kept alive as browsers and proxies keep them. Each write has a name of
its own: what was acknowledged can be looked for afterwards, and so can what was not.
"""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 15
SEEDED: Final = 20
"""Items that are there before the load begins, so that reads have something to read."""


@dataclass(frozen=True)
class Plan:
    """What is sent: requests a second, and how many of a hundred are writes."""

    rate: int = 200
    writes_percent: int = 20


@dataclass
class Outcome:
    """What became of the requests."""

    reads: int = 0
    writes: int = 0
    failed_reads: Counter[str] = field(default_factory=Counter[str])
    """By what happened: a status, or an error of the connection."""
    failed_writes: Counter[str] = field(default_factory=Counter[str])
    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    """The id of each item whose creation was answered with 201, by its name."""
    refused: set[str] = field(default_factory=set[str])
    """Names of items whose creation was not."""
    milliseconds: list[float] = field(default_factory=list[float])
    """From the time at which a request was due to the end of its answer."""
    connections: int = 0

    def slowest(self, share: float) -> float:
        """The time, in milliseconds, within which `share` of the requests were answered."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Load:
    """A load on the app at `url`, until it is stopped."""

    def __init__(self, url: str, plan: Plan) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._plan = plan
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._run = uuid.uuid4().hex[:8]
        self._random = random.Random(1)  # noqa: S311, the same mix each time
        self.outcome = Outcome()

    async def run(self, stopped: asyncio.Event) -> Outcome:
        """Send until `stopped`, then wait for the last answers."""
        for number in range(SEEDED):
            await self._write(f"{self._run}-seed-{number}", time.monotonic())
        pending: set[asyncio.Task[None]] = set()
        begun, sent = time.monotonic(), 0
        while not stopped.is_set():
            due = begun + sent / self._plan.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            write = self._random.randrange(100) < self._plan.writes_percent
            task = asyncio.create_task(self._write(f"{self._run}-{sent}", due) if write else self._read(due))
            pending.add(task)
            task.add_done_callback(pending.discard)
            sent += 1
        await asyncio.gather(*pending)
        for _, writer in self._idle:
            writer.close()
        return self.outcome

    async def _read(self, due: float) -> None:
        name, identifier = self._random.choice(list(self.outcome.acknowledged.items()))
        self.outcome.reads += 1
        try:
            status, body = await self._request("GET", f"/items/{identifier}")
            if status != 200 or json.loads(body)["name"] != name:
                self.outcome.failed_reads[f"HTTP {status}"] += 1
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.outcome.failed_reads[type(error).__name__] += 1
        self._answered(due)

    async def _write(self, name: str, due: float) -> None:
        self.outcome.writes += 1
        try:
            status, body = await self._request("POST", "/items", {"name": name})
            if status == 201:
                self.outcome.acknowledged[name] = json.loads(body)["id"]
            else:
                self.outcome.failed_writes[f"HTTP {status}"] += 1
                self.outcome.refused.add(name)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.outcome.failed_writes[type(error).__name__] += 1
            self.outcome.refused.add(name)
        self._answered(due)

    def _answered(self, due: float) -> None:
        self.outcome.milliseconds.append(1000 * (time.monotonic() - due))

    async def _request(self, method: str, path: str, item: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Status and body of one request, which is never repeated."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = self._idle.pop() if self._idle else await self._connect()
            try:
                body = b"" if item is None else json.dumps(item).encode()
                kind = "Content-Type: application/json\r\n" if item is not None else ""
                head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
                status, answer, kept = await _answer(reader)
            except BaseException:
                writer.close()
                raise
            if kept:
                self._idle.append((reader, writer))
            else:
                writer.close()
            return status, answer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.outcome.connections += 1
        return await asyncio.open_connection(self._host, self._port)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status and body, and whether the connection is kept. The edge and Express always say how long a body is."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), body, headers.get("connection", "").lower() != "close"
