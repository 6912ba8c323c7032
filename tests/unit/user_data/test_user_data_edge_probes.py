"""Probes of real sockets on this host: what counts as ready, and what as no answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from expressway_machine.readiness import Answer
from reconciler import probes
from reconciler.probes import Probes, Target, probe

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def asked(talk: Talk, timeout: float = 20.0) -> Answer | None:
    """What a probe makes of a server that talks like this."""

    async def ask() -> Answer | None:
        over = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                await talk(reader, writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            over.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            answer = await probe("127.0.0.1", server.sockets[0].getsockname()[1], "/readyz", timeout)
            await over.wait()
            return answer

    return asyncio.run(ask())


def saying(*parts: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readline()).startswith(b"GET /readyz HTTP/1.1"), "another question"
        for each in parts:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0.02)

    return talk


@pytest.mark.parametrize(("status", "ready"), [(200, True), (302, True), (404, True), (500, False), (503, False)])
def test_any_answer_below_500_is_ready(status: int, ready: bool) -> None:
    assert asked(saying(f"HTTP/1.1 {status} Whatever\r\n\r\n".encode())) == Answer(ready, f"HTTP {status}")


def test_an_answer_may_come_in_pieces() -> None:
    assert asked(saying(b"HT", b"TP/1.1 2", b"00 OK\r\n\r\n")) == Answer(True, "HTTP 200")


@pytest.mark.parametrize("said", [b"", b"HTTP", b"SSH-2.0-OpenSSH_10.0\r\n"])
def test_what_is_no_http_is_not_ready(said: bytes) -> None:
    assert asked(saying(said)) == Answer(False, "no answer in HTTP")


def test_a_server_that_says_nothing_times_out() -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    answers = (asked(hang, timeout=0.2) for _ in range(5))  # none where this host was late itself
    assert next(filter(None, answers)) == Answer(False, "timed out")


def test_a_port_that_nobody_listens_on_is_named_so() -> None:
    async def ask() -> Answer | None:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
        return await probe("127.0.0.1", port, "/readyz")

    assert asyncio.run(ask()) == Answer(False, "Connection refused")


def test_whose_fault_a_silence_is_cannot_be_told_by_a_machine_that_is_late_itself() -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        time.sleep(0.5)
        await reader.read()

    assert asked(hang, timeout=0.2) is None


def test_only_those_that_are_named_are_asked_and_others_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def answer(address: str, *_: Any) -> Answer:
        seen.append(address)
        return Answer(True, "HTTP 200")

    monkeypatch.setattr(probes, "probe", answer)
    monkeypatch.setattr(probes, "INTERVAL", 0.01)

    async def scenario() -> None:
        changes: list[int] = []
        asking = Probes(lambda: changes.append(1))
        one, two = (Target(f"10.0.0.{each}", 3000, "/") for each in (1, 2))
        asking.ask({"i-1": one, "i-2": two})
        await _until(asking.all_asked)
        assert len(changes) == 2, "each came up"
        asking.ask({"i-2": two})
        assert set(asking.health) == {"i-2"}
        seen.clear()
        await _until(lambda: len(seen) > 3)
        assert set(seen) == {"10.0.0.2"}
        asking.ask({"i-2": Target("10.0.0.3", 3000, "/")})
        assert not asking.all_asked(), "elsewhere, it is another"

    asyncio.run(scenario())


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)
