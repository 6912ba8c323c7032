"""The items that the sample app has while it is measured."""

import asyncio
import json
from typing import Final

from lab.prove.stand import StandError

from .bed import Bed
from .load import Client

LIST: Final = "/items"
COUNT: Final = 100
"""As many as the list has at most."""
DESCRIPTION: Final = "x" * 200


def fill(bed: Bed) -> tuple[int, int]:
    """Write the items; the ids of the first and of the last one."""
    return asyncio.run(_fill(bed.stand.url))


async def _fill(url: str) -> tuple[int, int]:
    client, ids = Client(url), list[int]()
    for number in range(COUNT):
        status, body = await client.request("POST", LIST, {"name": f"bench-{number}", "description": DESCRIPTION})
        if status != 201:
            raise StandError(f"the app answers a write with {status}")
        ids.append(json.loads(body)["id"])
    client.close()
    return ids[0], ids[-1]
