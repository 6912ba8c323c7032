"""Users who write items and read back what they wrote, each with the app's cookies; what they do makes a history."""

import json
import random
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lab.bench.load import SEEDED, Client

from .history import End, Kind, Operation, name_of

OWN: Final = 5
"""Items that a session knows as its own: the last that it wrote."""
SHARED: Final = 200
"""The newest, which all sessions read and change."""
OWN_PERCENT: Final = 70
"""Of the reads, and of the changes, those of an item that the session wrote."""


ANOTHERS: Final = "another item's answer"


@dataclass(frozen=True, eq=False)
class Item:
    """One that is there. Each value of it is a number that was never used for it before."""

    key: str
    id: int
    values: list[int] = field(default_factory=lambda: [0])
    """All that were sent."""


@dataclass
class Session:
    """A user, who does one thing after the other."""

    name: str
    cookies: dict[str, str] = field(default_factory=dict[str, str])
    own: deque[Item] = field(default_factory=lambda: deque[Item](maxlen=OWN))


class Sessions:
    """Writes and reads of the sample app's items: half of the writes make an item, and half change one.

    As many sessions as have something to do at once. Half of the time it is the one that has just been answered, who
    meets a copy that is a little behind.
    """

    def __init__(self, writes_percent: int) -> None:
        """`writes_percent` of the requests are writes."""
        self._writes_percent = writes_percent
        self._random = random.Random(1)  # noqa: S311, the same mix each time
        self._run = uuid.uuid4().hex[:8]
        self._idle: list[Session] = []
        self._sessions = self._made = 0
        self._items: deque[Item] = deque(maxlen=SHARED)
        self.history: list[Operation] = []

    async def begin(self, client: Client) -> None:
        """Make the items that are read first."""
        for _ in range(SEEDED):
            if problem := await self.send(client, partial(self._make, self._session(), self._key()), fresh=False):
                raise ConnectionError(f"the app answers a first write with {problem}")

    def next(self, number: int) -> tuple[str, Any]:
        """What a session does next. Whoever has it does it: it is busy until then."""
        session = self._session(latest=number % 2 == 0)
        own = session.own and self._random.randrange(100) < OWN_PERCENT
        item = self._random.choice(session.own if own else self._items)
        if self._random.randrange(100) >= self._writes_percent:
            return "GET", partial(self._read, session, item)
        if self._random.randrange(2):
            return "POST", partial(self._make, session, self._key())
        return "PUT", partial(self._change, session, item)

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        """Do it: what is wrong with the answer, or nothing."""
        try:
            return await what(client, fresh=fresh)
        finally:
            self._idle.append(what.args[0])

    def _session(self, *, latest: bool = True) -> Session:
        if self._idle:
            return self._idle.pop(-1 if latest else self._random.randrange(len(self._idle)))
        self._sessions += 1
        return Session(f"{self._sessions}")

    def _key(self) -> str:
        self._made += 1
        return f"{self._run}-{self._made}"

    async def _make(self, session: Session, key: str, client: Client, *, fresh: bool) -> str:
        answer = await self._write(session, client, ("POST", "/items"), (key, 0), fresh=fresh)
        if isinstance(answer, str):
            return answer
        item = Item(key, answer["id"])
        self._items.append(item)
        session.own.append(item)
        return ""

    async def _change(self, session: Session, item: Item, client: Client, *, fresh: bool) -> str:
        item.values.append(value := len(item.values))
        answer = await self._write(session, client, ("PUT", f"/items/{item.id}"), (item.key, value), fresh=fresh)
        if isinstance(answer, str):
            return answer
        if item not in session.own:
            session.own.append(item)
        return ""

    async def _write(
        self, session: Session, client: Client, where: tuple[str, str], what: tuple[str, int], *, fresh: bool
    ) -> dict[str, Any] | str:
        began, name, end = time.monotonic(), name_of(*what), End.UNKNOWN
        try:
            status, body = await client.request(*where, {"name": name}, fresh=fresh, cookies=session.cookies)
            if status not in (200, 201):
                # Of what a server says that is in trouble, nobody knows when the trouble began.
                end = End.FAILED if 400 <= status < 500 else End.UNKNOWN
                return f"HTTP {status}"
            answer = json.loads(body)
            if answer["name"] != name:
                return ANOTHERS
            end = End.ACKNOWLEDGED
            return answer
        except ConnectionRefusedError:
            end = End.FAILED
            raise
        finally:
            self._note(session, Kind.WRITE, what, began, end)

    async def _read(self, session: Session, item: Item, client: Client, *, fresh: bool) -> str:
        began, end, value = time.monotonic(), End.FAILED, None
        try:
            status, body = await client.request("GET", f"/items/{item.id}", fresh=fresh, cookies=session.cookies)
            if status == 404:
                end = End.ACKNOWLEDGED
            if status != 200:
                return f"HTTP {status}"
            key, _, number = json.loads(body)["name"].rpartition("-")
            if key != item.key:
                return ANOTHERS
            end, value = End.ACKNOWLEDGED, int(number)
            return ""
        finally:
            self._note(session, Kind.READ, (item.key, value), began, end)

    def _note(self, session: Session, kind: Kind, what: tuple[str, int | None], began: float, end: End) -> None:
        self.history.append(Operation(session.name, what[0], kind, what[1], began, time.monotonic(), end))
