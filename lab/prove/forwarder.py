"""A way to a port of this machine on which what is sent takes longer; runs on a lab machine, with nothing but Python.

`python3 forwarder.py PORT TO SECONDS`: with SIGUSR1 what clients send takes so many seconds, with SIGUSR2 none again.
Answers take none. Bytes keep their order. systemd is told when it serves: a signal before would end it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys


class Way:
    """All connections, and how long they take now."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.seconds = 0.0

    async def lead(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            far, on = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            back.close()
            return
        ways = [asyncio.create_task(self._late(near, on)), asyncio.create_task(_pass(far, back))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in (on, back):
            writer.close()

    async def _late(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        writing = asyncio.create_task(_write(due, writer))
        try:
            while data := await reader.read(65536):
                due.put_nowait((asyncio.get_running_loop().time() + self.seconds, data))
        finally:
            writing.cancel()


async def _write(due: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
    while True:
        at, data = await due.get()
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        writer.write(data)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


async def main(port: int, to: int, seconds: float) -> None:
    """Serve for ever."""
    way, loop = Way(to), asyncio.get_running_loop()
    for number, taken in ((signal.SIGUSR1, seconds), (signal.SIGUSR2, 0.0)):
        loop.add_signal_handler(number, setattr, way, "seconds", taken)
    server = await asyncio.start_server(way.lead, "0.0.0.0", port)  # noqa: S104, the machine's own rules guard it
    async with server:
        _tell_systemd("READY=1")
        await server.serve_forever()


def _tell_systemd(state: str) -> None:
    """Of a unit of `Type=notify` (https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html)."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as near:
            near.sendto(state.encode(), address.replace("@", "\0", 1))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
