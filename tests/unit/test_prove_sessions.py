"""Sessions of the proof: what they do is in the history as it was, and cookies are each session's own."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.bench.load import Client
from lab.prove import history
from lab.prove.history import End, Kind, Verdict
from lab.prove.sessions import Sessions

CLEAN = Verdict((), (), (), ())


class App:
    """As much of the sample app as answers for items; `spoil` makes another answer, or an error, of it."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.cookies: list[str] = []
        self.spoil: Callable[[str, int, int, Any], tuple[int, Any]] = lambda *told: told[2:]

    async def request(
        self, method: str, path: str, body: Any = None, *, fresh: bool = False, cookies: dict[str, str]
    ) -> tuple[int, bytes]:
        assert not fresh
        self.cookies.append(cookies.get("lsn", ""))
        identifier = len(self.rows) + 1 if method == "POST" else int(path.rpartition("/")[2])
        if method == "POST":
            self.rows.append(body["name"])
        if method == "PUT":
            self.rows[identifier - 1] = body["name"]
        if method != "GET":
            cookies["lsn"] = f"{len(self.cookies)}"
        answer = {"id": identifier, "name": self.rows[identifier - 1]}
        status, told = self.spoil(method, identifier, 201 if method == "POST" else 200, answer)
        return status, json.dumps(told).encode()


async def _asked(app: App, spoiled: Callable[[App], None] | None = None, count: int = 400) -> Sessions:
    """What so many requests make of it, of which up to five are under way at once."""
    sessions, client = Sessions(40), Client("http://127.0.0.1")
    client.request = app.request  # type: ignore[method-assign]
    await sessions.begin(client)
    for number in range(0, count, 5):
        if spoiled and number == count // 2:
            spoiled(app)
        chosen = [sessions.next(number + each)[1] for each in range(5)]
        await asyncio.gather(*(sessions.send(client, what, fresh=False) for what in chosen), return_exceptions=True)
    return sessions


def _verdict(app: App, sessions: Sessions) -> Verdict:
    return history.check(sessions.history, history.by_key(app.rows))


def test_an_app_that_loses_nothing_has_a_clean_history_of_all_kinds() -> None:
    app = App()
    sessions = asyncio.run(_asked(app))
    assert _verdict(app, sessions) == CLEAN
    assert {each.kind for each in sessions.history} == set(Kind)
    changed = [each for each in sessions.history if each.kind is Kind.WRITE and each.value]
    own = {(each.session, each.key) for each in sessions.history if each.kind is Kind.WRITE}
    reads = [each for each in sessions.history if each.kind is Kind.READ]
    assert len(changed) > 30
    assert sum((each.session, each.key) in own for each in reads) > len(reads) / 2
    assert 5 <= len({each.session for each in sessions.history}) < 10


def test_a_session_keeps_the_cookies_that_it_was_given_and_no_others_has_them() -> None:
    app = App()
    sessions = asyncio.run(_asked(app))
    assert len(sessions.history) == len(app.cookies)
    last: dict[str, str] = {}
    for number, (each, cookie) in enumerate(zip(sessions.history, app.cookies, strict=True), 1):
        assert cookie == last.get(each.session, "")
        if each.kind is Kind.WRITE:
            last[each.session] = f"{number}"


def losing(app: App) -> None:
    def spoil(method: str, identifier: int, status: int, body: Any) -> tuple[int, Any]:
        if method == "POST":
            app.rows[identifier - 1] = ""
        return status, body

    app.spoil = spoil


def doubling(app: App) -> None:
    def spoil(method: str, _: int, status: int, body: Any) -> tuple[int, Any]:
        if method == "POST":
            app.rows.append(app.rows[-1])
        return status, body

    app.spoil = spoil


def forgetful(app: App) -> None:
    def spoil(method: str, identifier: int, status: int, body: Any) -> tuple[int, Any]:
        return (404, {}) if method == "GET" and identifier > 20 else (status, body)

    app.spoil = spoil


def inventing(app: App) -> None:
    def spoil(method: str, _: int, status: int, body: Any) -> tuple[int, Any]:
        return status, {**body, "name": f"{body['name']}99"} if method == "GET" else body

    app.spoil = spoil


@pytest.mark.parametrize(
    ("spoiled", "fault"),
    [(losing, "lost"), (doubling, "twice"), (forgetful, "stale"), (inventing, "unwritten")],
)
def test_an_app_that_is_spoiled_half_way_is_found_out(spoiled: Callable[[App], None], fault: str) -> None:
    app = App()
    sessions = asyncio.run(_asked(app, spoiled))
    assert getattr(_verdict(app, sessions), fault)


@pytest.mark.parametrize(
    ("status", "end"), [(503, End.UNKNOWN), (502, End.UNKNOWN), (404, End.FAILED), (201, End.ACKNOWLEDGED)]
)
def test_a_write_is_done_where_that_was_said_refused_by_a_4xx_and_else_nobody_knows(status: int, end: End) -> None:
    def spoiled(app: App) -> None:
        app.spoil = lambda method, _, right, body: (status if method != "GET" else right, body)

    sessions = asyncio.run(_asked(App(), spoiled, 40))
    assert [each.end for each in sessions.history if each.kind is Kind.WRITE][-1] is end


@pytest.mark.parametrize(("error", "end"), [(ConnectionRefusedError, End.FAILED), (ConnectionResetError, End.UNKNOWN)])
def test_a_write_that_never_left_was_not_done_and_one_that_was_cut_off_may_have_been(
    error: type[OSError], end: End
) -> None:
    def spoiled(app: App) -> None:
        def cut(*_: Any) -> Any:
            raise error

        app.spoil = cut

    sessions = asyncio.run(_asked(App(), spoiled, 40))
    assert [each.end for each in sessions.history if each.kind is Kind.WRITE][-1] is end
    assert [each.end for each in sessions.history if each.kind is Kind.READ][-1] is End.FAILED


def test_a_client_sends_the_cookies_that_it_has_and_keeps_those_of_the_answer() -> None:
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        given = "Set-Cookie: lsn=main.2; Path=/; HttpOnly\r\nSet-Cookie: other=a=b\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{given}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def run() -> dict[str, str]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            client, cookies = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), {"lsn": "main.1"}
            await client.request("GET", "/", cookies=cookies)
            await client.request("GET", "/", cookies=cookies)
            await client.request("GET", "/")
            return cookies

    assert asyncio.run(run()) == {"lsn": "main.2", "other": "a=b"}
    assert "Cookie: lsn=main.1\r\n" in heads[0]
    assert "Cookie: lsn=main.2; other=a=b\r\n" in heads[1]
    assert "Cookie" not in heads[2]
