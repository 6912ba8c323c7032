"""An open-loop load of requests whose every answer is checked.

Open loop: a request is sent when its time has come, whether those before it were answered or not, so that a stall shows
as what users would see. Connections are kept alive as browsers and proxies keep them, or are new for each request.
Nothing is sent again: an HTTP client that repeats what failed, as libraries do, would hide what this looks for.
"""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 15
SEEDED: Final = 20
"""Items that are there before the load begins, so that reads have something to read."""


@dataclass(frozen=True)
class Plan:
    """What is sent: requests a second, how many of a hundred are writes, and how many on a connection of their own."""

    rate: int = 200
    writes_percent: int = 20
    fresh_percent: int = 0


class Sample(NamedTuple):
    """One request."""

    at: float
    """When it was due, in seconds from the first one."""
    milliseconds: float
    """From then to the end of its answer."""
    method: str
    failure: str
    """What happened instead of the right answer: a status, or an error of the connection. Empty when nothing did."""


@dataclass
class Outcome:
    """What became of the requests."""

    samples: list[Sample] = field(default_factory=list[Sample])
    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    """The id of each item whose creation was answered with 201, by its name."""
    refused: set[str] = field(default_factory=set[str])
    """Names of items whose creation was not."""
    connections: int = 0

    def count(self, method: str) -> int:
        """Requests of a method."""
        return sum(sample.method == method for sample in self.samples)

    def failures(self, method: str | None = None) -> Counter[str]:
        """Requests, of a method or of all, that had another answer than the right one, by what they had."""
        return Counter(each.failure for each in self.samples if each.failure and method in (None, each.method))

    def slowest(self, share: float) -> float:
        """The time, in milliseconds, within which `share` of the requests were answered."""
        ordered = sorted(sample.milliseconds for sample in self.samples)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def gap(self) -> float:
        """The longest time, in milliseconds, in which no right answer came."""
        answered = sorted(each.at + each.milliseconds / 1000 for each in self.samples if not each.failure)
        return 1000 * max((later - sooner for sooner, later in pairwise(answered)), default=0.0)


class Client:
    """Connections to one address, of which idle ones are used again."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.connections = 0

    async def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        fresh: bool = False,
        cookies: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of one request, which is never repeated; `fresh` takes a new connection, and closes it.

        `cookies` go with it, and those of the answer are put there.
        """
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = (None if fresh else self._open()) or await self._connect()
            try:
                content = b"" if body is None else json.dumps(body).encode()
                head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(content)}\r\n"
                head += "Content-Type: application/json\r\n" if body is not None else ""
                head += "Connection: close\r\n" if fresh else ""
                if cookies:
                    head += f"Cookie: {'; '.join(f'{name}={value}' for name, value in cookies.items())}\r\n"
                writer.write(f"{head}\r\n".encode() + content)
                await writer.drain()
                status, answer, kept, given = await _answer(reader)
            except BaseException:
                writer.close()
                raise
            if kept and not fresh:
                self._idle.append((reader, writer))
            else:
                writer.close()
            if cookies is not None:
                cookies.update(given)
            return status, answer

    def close(self) -> None:
        """Close what is idle."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """An idle connection that the server has not closed meanwhile, as it does after its time, if there is one.

        Only what has arrived is known: a close that is still on its way meets the request, and that counts.
        """
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.connections += 1
        return await asyncio.open_connection(self._host, self._port)


class Requests(Protocol):
    """What a load sends."""

    async def begin(self, client: Client) -> None:
        """Send what has to be there before the load begins."""

    def next(self, number: int) -> tuple[str, Any]:
        """The method of the next request, and what `send` needs to know of it."""
        ...

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        """Send it and check the answer: what is wrong with it, or nothing."""
        ...


class Items:
    """Reads and writes of the sample app's items.

    Each write has a name of its own: what was acknowledged can be looked for afterwards, and so can what was not.
    """

    def __init__(self, writes_percent: int, outcome: Outcome) -> None:
        self._writes_percent = writes_percent
        self._outcome = outcome
        self._run = uuid.uuid4().hex[:8]
        self._random = random.Random(1)  # noqa: S311, the same mix each time
        self._readable: list[tuple[str, int]] = []

    async def begin(self, client: Client) -> None:
        """Write the items that the first reads read."""
        for number in range(SEEDED):
            if problem := await self._write(client, f"{self._run}-seed-{number}", fresh=False):
                raise ConnectionError(f"the app answers a first write with {problem}")

    def next(self, number: int) -> tuple[str, Any]:
        """A write of so many in a hundred; else a read of an item that was acknowledged."""
        if self._random.randrange(100) < self._writes_percent:
            return "POST", f"{self._run}-{number}"
        return "GET", self._random.choice(self._readable)

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        """Send it; the answer has the item that was written."""
        if isinstance(what, str):
            return await self._write(client, what, fresh=fresh)
        name, identifier = what
        status, body = await client.request("GET", f"/items/{identifier}", fresh=fresh)
        if status != 200:
            return f"HTTP {status}"
        return "" if json.loads(body)["name"] == name else "another item's answer"

    async def _write(self, client: Client, name: str, *, fresh: bool) -> str:
        self._outcome.refused.add(name)
        status, body = await client.request("POST", "/items", {"name": name}, fresh=fresh)
        if status != 201:
            return f"HTTP {status}"
        item = json.loads(body)
        if item["name"] != name:
            return "another item's answer"
        self._outcome.refused.discard(name)
        self._outcome.acknowledged[name] = item["id"]
        self._readable.append((name, item["id"]))
        return ""


class Load:
    """A load on the app at `url`, until it is stopped."""

    def __init__(self, url: str, plan: Plan, requests: Requests | None = None) -> None:
        """`requests` are what is sent; by default the sample app's items are read and written."""
        self._client = Client(url)
        self._plan = plan
        self.outcome = Outcome()
        self._requests = requests or Items(plan.writes_percent, self.outcome)
        self._random = random.Random(2)  # noqa: S311, the same mix each time
        self._begun = 0.0

    async def run(self, stopped: asyncio.Event) -> Outcome:
        """Send until `stopped`, then wait for the last answers."""
        await self._requests.begin(self._client)
        pending: set[asyncio.Task[None]] = set()
        self._begun, sent = time.monotonic(), 0
        try:
            while not stopped.is_set():
                due = sent / self._plan.rate
                await asyncio.sleep(max(0.0, due - self.elapsed()))
                task = asyncio.create_task(self._send(sent, due))
                pending.add(task)
                task.add_done_callback(pending.discard)
                sent += 1
            await asyncio.gather(*pending)
        finally:
            await _give_up(pending)
            self._client.close()
        self.outcome.connections = self._client.connections
        return self.outcome

    def elapsed(self) -> float:
        """Seconds since the first request was due; the samples' own clock."""
        return time.monotonic() - self._begun

    async def _send(self, number: int, due: float) -> None:
        method, what = self._requests.next(number)
        fresh = self._random.randrange(100) < self._plan.fresh_percent
        try:
            failure = await self._requests.send(self._client, what, fresh=fresh)
        except (OSError, EOFError, TimeoutError, ValueError, KeyError) as error:
            failure = type(error).__name__
        self.outcome.samples.append(Sample(due, 1000 * (self.elapsed() - due), method, failure))


def spread(samples: Sequence[Sample], after: float, before: float) -> Sequence[Sample]:
    """The samples that were due in a span of time, in seconds from the first one."""
    return [sample for sample in samples if after <= sample.at < before]


async def _give_up(pending: set[asyncio.Task[None]]) -> None:
    """End what is still waited for, when the load itself was."""
    left = list(pending)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool, dict[str, str]]:
    """Status, body, whether the connection is kept, and cookies. The edge and Express always say how long a body is."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    lines = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:])]
    headers, cookies = dict(lines), {}
    for name, value in lines:
        if name == "set-cookie":
            cookie, _, text = value.partition(";")[0].partition("=")
            cookies[cookie] = text
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), body, headers.get("connection", "").lower() != "close", cookies
