"""Items that are changed and read, where every answer tells how old it is."""

import json
import random
import uuid
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lab.bench.load import Client

ITEMS: Final = 100
RECENT: Final = 5
"""Half of the reads are of those that were changed last, where an old value would be found."""


@dataclass
class Item:
    """One that is there. Its name is its `key` and how often it was changed."""

    key: str
    id: int
    begun: int = 0
    """Changes that were sent."""
    acknowledged: int = 0
    """The last of them that was acknowledged."""
    changing: bool = False
    """For good, once a change had no right answer: it may come true at any time."""


class Edits:
    """Reads and changes of the sample app's items.

    A read must have the change that was acknowledged last before it was sent, or one that was sent later.
    """

    def __init__(self, writes_percent: int) -> None:
        """`writes_percent` of the requests are changes."""
        self._writes_percent = writes_percent
        self._random = random.Random(1)  # noqa: S311, the same mix each time
        self._items: list[Item] = []
        self._recent: deque[Item] = deque(maxlen=RECENT)

    async def begin(self, client: Client) -> None:
        """Write the items."""
        run = uuid.uuid4().hex[:8]
        for number in range(ITEMS):
            key = f"{run}-{number}"
            status, body = await client.request("POST", "/items", {"name": f"{key}-0"})
            if status != 201:
                raise ConnectionError(f"the app answers a first write with HTTP {status}")
            self._items.append(Item(key, json.loads(body)["id"]))

    def next(self, number: int) -> tuple[str, Any]:
        """A change of so many in a hundred, of an item of which none is under way; else a read."""
        item = self._random.choice(self._items)
        if self._random.randrange(100) < self._writes_percent and not item.changing:
            item.changing = True
            return "PUT", partial(self._change, item)
        if self._recent and number % 2:
            item = self._random.choice(self._recent)
        return "GET", partial(self._read, item)

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        """Send it, and look how old the answer is."""
        return await what(client, fresh=fresh)

    async def _change(self, item: Item, client: Client, *, fresh: bool) -> str:
        item.begun += 1
        version, name = item.begun, f"{item.key}-{item.begun}"
        status, body = await client.request("PUT", f"/items/{item.id}", {"name": name}, fresh=fresh)
        if status != 200:
            return f"HTTP {status}"
        if json.loads(body)["name"] != name:
            return "another item's answer"
        item.acknowledged, item.changing = version, False
        self._recent.append(item)
        return ""

    async def _read(self, item: Item, client: Client, *, fresh: bool) -> str:
        least = item.acknowledged
        status, body = await client.request("GET", f"/items/{item.id}", fresh=fresh)
        if status != 200:
            return f"HTTP {status}"
        key, _, version = json.loads(body)["name"].rpartition("-")
        if key != item.key or int(version) > item.begun:
            return "another item's answer"
        return "" if int(version) >= least else "an older value"
