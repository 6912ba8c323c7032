"""A small HTTP server of which it is known how much it can answer: so many requests at a time, each for so long."""

import asyncio
import threading
from collections import Counter
from types import TracebackType
from typing import Self


class LoadServer:
    """Answers while the body runs. Requests beyond `slots` wait, in the order in which they came."""

    def __init__(self, slots: int = 2, service: float = 0.02, status: int = 200) -> None:
        self.slots = slots
        self.service = service
        self.status = status
        self.stalled = 0.0
        """Once, so many seconds without an answer, from half a second after the first request."""
        self.asked: Counter[str] = Counter()
        """By method and path."""
        self.cookies: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._began = 0.0
        self.url = ""

    @property
    def capacity(self) -> float:
        """Answers a second."""
        return self.slots / self.service

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping, self._free, self._going = asyncio.Event(), asyncio.Semaphore(self.slots), asyncio.Event()
        self._going.set()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stopping.wait()
        server.close()
        mine = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in mine:
            each.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._answer(line.decode(), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers: dict[str, str] = {}
        while header := (await reader.readline()).decode().strip():
            name, _, value = header.partition(": ")
            headers[name.lower()] = value
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        method, path, _ = line.split(" ")
        self.asked[f"{method} {path}"] += 1
        self.cookies[headers.get("cookie", "")] += 1
        self.bodies[body] += 1
        now = self._loop.time()
        self._began = self._began or now
        if self.stalled and now > self._began + 0.5 and self._going.is_set():
            self._going.clear()
            self._loop.call_later(self.stalled, self._going.set)
            self.stalled = 0.0
        await self._going.wait()
        async with self._free:
            await asyncio.sleep(self.service)
        login = f"Set-Cookie: id={body or 'x'}; Path=/\r\n" if path == "/login" else ""
        writer.write(f"HTTP/1.1 {self.status} X\r\n{login}Content-Length: 2\r\n\r\nok".encode())
        await writer.drain()
