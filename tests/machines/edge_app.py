"""An app server as the edge meets it, well or ill: `edge_app.py ADDRESS PORT`. Standard library only.

`/` says who it is; `/500`, `/503`, `/late/SECONDS`, `/big/BYTES` (of header) and `/half` misbehave; `/upgrade` becomes
another protocol, which echoes. `/sent` counts requests to other paths, by `METHOD path`.
"""

import asyncio
import json
import re
import sys
from collections import Counter

SEEN: Counter[str] = Counter()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked = re.match(r"(\S+) (\S+) HTTP/1\.1\r\n", head)
            if not asked:
                writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            if length := re.search(r"content-length: (\d+)", head, re.IGNORECASE):
                await reader.readexactly(int(length[1]))
            if not await answer(asked[1], asked[2], reader, writer):
                return
    except (OSError, EOFError):
        pass
    finally:
        writer.close()


async def answer(method: str, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection goes on."""
    status, body, more = 200, f"{ADDRESS} {method}", ""
    fault, _, amount = path.lstrip("/").partition("/")
    if path == "/sent":
        body = json.dumps(SEEN)
    elif path != "/":
        SEEN[f"{method} {path}"] += 1
    match fault:
        case "500" | "503":
            status = int(fault)
        case "late":
            await asyncio.sleep(float(amount))
        case "big":
            more = f"X-Big: {'a' * int(amount)}\r\n"
        case "half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
            return False
        case "upgrade":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            while line := await reader.readline():
                writer.write(line)
            return False
        case _:
            pass
    writer.write(f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode())
    await writer.drain()
    return True


async def main() -> None:
    server = await asyncio.start_server(serve, ADDRESS, int(sys.argv[2]))
    print("ready", flush=True)
    await server.serve_forever()


ADDRESS = sys.argv[1]

if __name__ == "__main__":
    asyncio.run(main())
