"""Health checks: one thread a target, which asks, and asks again after the interval."""

import contextlib
import http.client
import queue
import threading
from collections.abc import Mapping
from typing import Any

from .health import Result, matches

TIMED_OUT = Result("Target.Timeout", "Request timed out")
BROKEN = Result("Target.FailedHealthChecks", "Health checks failed")


class Probe:
    """Probes one target until it is told to stop. Results go to `results`, each with the probe that has it."""

    def __init__(self, address: str, port: int, check: Mapping[str, Any], results: "queue.Queue[Any]") -> None:
        self.settings = (address, port, dict(check))
        self.check = check
        self._results = results
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """A probe that is under way still has its result; it counts for nobody."""
        self._stopped.set()

    def _run(self) -> None:
        address, port, check = self.settings
        while True:
            self._results.put((self, probe(address, port, check)))
            if self._stopped.wait(check["interval"]):
                return


def probe(address: str, port: int, check: Mapping[str, Any]) -> Result:
    """Ask once, on a connection of its own."""
    connection = http.client.HTTPConnection(address, port, timeout=check["timeout"])
    with contextlib.closing(connection):
        try:
            headers = {"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"}
            connection.request("GET", check["path"], headers=headers)
            status = connection.getresponse().status
        except TimeoutError:
            return TIMED_OUT
        except (OSError, http.client.HTTPException):
            return BROKEN
    if matches(status, check["codes"]):
        return Result()
    return Result("Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")
