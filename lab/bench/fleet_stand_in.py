"""All machines of a fleet that nobody boots, and the balancer before them: each is ready, and every list is taken."""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any, Final

PORT: Final = 13000
_READY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_servers: list[dict[str, Any]] = []


async def _machine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_READY)
        await writer.drain()
    writer.close()


async def _balancer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if head.startswith("PUT"):
        length = next(
            int(each.split(":")[1]) for each in head.splitlines() if each.lower().startswith("content-length")
        )
        _servers[:] = json.loads(await reader.readexactly(length))["servers"]
    counters = {
        "in_flight": 3,
        "requests": 123456,
        "connect_failures": 0,
        "aside_for": 0,
        "statuses": {"2xx": 123000, "3xx": 0, "4xx": 456, "5xx": 0},
        "seconds": 1234.5,
        "buckets": {str(bound): 123456 for bound in (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, "+Inf")},
    }
    body = json.dumps({"servers": [each | counters for each in _servers], "leaving": []}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def _serve(path: str) -> None:
    machines = await asyncio.start_server(_machine, "0.0.0.0", PORT, backlog=1024)  # noqa: S104, every loopback address
    balancer = await asyncio.start_unix_server(_balancer, path, limit=2**22)
    await asyncio.gather(machines.serve_forever(), balancer.serve_forever())


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
