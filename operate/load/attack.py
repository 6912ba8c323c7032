"""One attack of vegeta: a rate of requests for some seconds, and what became of each, as it comes."""

import csv
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final, NamedTuple

TIMEOUT_SECONDS: Final = 15
"""A request that isn't answered by then has failed."""
MAX_WORKERS: Final = 5000
"""Requests at a time. vegeta starts a worker where all are waiting, up to so many; further requests are sent late."""
TICK_SECONDS: Final = 0.25

NO_TARGETS: Final = "no targets to attack"


class AttackError(Exception):
    """vegeta did not run."""


class Sent(NamedTuple):
    """One request."""

    number: int
    """In the order in which they were due, from 0."""
    sent: float
    """Seconds since the epoch."""
    ended: float
    """When its answer was complete, or was given up; seconds since the epoch."""
    failure: str
    """What it had instead of a right answer: a status, or an error of the connection. Empty when nothing did."""


class Attack:
    """Runs from the moment it is made. `sent` grows in the order in which requests ended.

    It has a process group of its own: Ctrl-C is for whoever runs it, so that what was measured isn't lost.
    """

    def __init__(
        self,
        program: Path,
        targets: Iterable[bytes],
        rate: int,
        seconds: float,
        *,
        workers: int | None = None,
        insecure: bool = False,
    ) -> None:
        """`targets` are lines as vegeta's JSON, at least as many as are sent.

        `rate` is requests a second; with 0, as many as `workers` get through. `insecure`: any certificate will do.
        """
        self.rate = rate
        self.seconds = seconds
        self.sent: list[Sent] = []
        self.cpu = 0.0
        """Seconds of CPU, of both processes and of this one meanwhile; once they have ended."""
        self._own = time.process_time()
        words = [str(program), "attack", "-format=json", "-lazy", f"-rate={rate}", f"-duration={seconds:.3f}s"]
        words += [f"-timeout={TIMEOUT_SECONDS}s", f"-max-workers={workers or MAX_WORKERS}", "-max-body=0"]
        words += [f"-workers={workers}"] if workers else []
        words += ["-redirects=-1", *(["-insecure"] if insecure else [])]
        # Without a name, since there may be cookies in it: it is gone when the attack has ended.
        with tempfile.TemporaryFile() as file:
            file.writelines(targets)
            file.seek(0)
            self._said = tempfile.TemporaryFile()  # noqa: SIM115, closed by `_end`
            self._attack = subprocess.Popen(
                words, stdin=file, stdout=subprocess.PIPE, stderr=self._said, start_new_session=True
            )
        self._encode = subprocess.Popen(
            [str(program), "encode", "-to=csv"],
            stdin=self._attack.stdout,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        if self._attack.stdout:
            self._attack.stdout.close()
        self._reader = threading.Thread(target=self._read, args=(self._encode.stdout,), daemon=True)
        self._reader.start()

    def wait(self, tick: Callable[[], None] = lambda: None) -> None:
        """Until all were sent, and answered or given up. `tick` is called four times a second. AttackError."""
        while self._reader.is_alive():
            tick()
            self._reader.join(TICK_SECONDS)
        self._end()

    def stop(self, patience: float = 2.0) -> None:
        """Send nothing more, and wait `patience` seconds for what is under way."""
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            # The first stops the sending, the second the waiting. Not Popen.send_signal, which would wait for one that
            # has ended; until `_end` does, its number is nobody else's.
            if self._attack.returncode is None:
                os.kill(self._attack.pid, number)
            self._reader.join(patience)
            if not self._reader.is_alive():
                break
        else:
            self._encode.kill()
        self._end(killed=True)

    def _end(self, *, killed: bool = False) -> None:
        if self._said.closed:
            return
        self._reader.join()
        for process in (self._attack, self._encode):
            if process.returncode is not None:
                continue
            # Not Popen.wait: only this tells the CPU of one process.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu += usage.ru_utime + usage.ru_stime
        self.cpu += time.process_time() - self._own
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        self._said.close()
        if self._attack.returncode and not killed:
            raise AttackError(f"vegeta ended with {self._attack.returncode}: {said or 'it does not say why'}")

    def _read(self, rows: IO[str]) -> None:
        with rows:
            for row in csv.reader(rows):
                at, status, took, _, _, error, _, _, number, *_ = row
                if error != NO_TARGETS:
                    sent = int(at) / 1e9
                    self.sent.append(Sent(int(number), sent, sent + int(took) / 1e9, failure(int(status), error)))


def failure(status: int, error: str) -> str:
    """In few words, without what differs from one request to the next, such as ports."""
    if status:
        return "" if 200 <= status < 400 else f"HTTP {status}"
    if "Client.Timeout" in error or "context deadline exceeded" in error:
        return f"no answer in {TIMEOUT_SECONDS} s"
    return error.rpartition(": ")[2] or "no answer"
