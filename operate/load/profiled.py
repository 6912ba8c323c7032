"""A profile that is taken while a load goes on: in a thread of its own, so that nothing that is sent waits for it."""

import threading

from botocore.exceptions import BotoCoreError, ClientError

from operate.profile import request
from operate.profile.request import ProfileError, Taken
from operate.stack import Stack, explain


class _StoppedError(Exception):
    """Nobody wants it any more."""


class Profiling:
    """One profile, of the busiest worker of one machine."""

    def __init__(self, stack: Stack, machine: str, seconds: int) -> None:
        self.seconds = seconds
        self.taken: Taken | None = None
        """Once there is one."""
        self.problem = "the load was over before its time"
        """Why there is none."""
        self._stack = stack
        self._machine = machine
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take, name="the profile", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.problem = "it isn't over yet"
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still awaited."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Wait for it no longer; the tag that asked for it is taken off the machine."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _take(self) -> None:
        try:
            self.taken = request.take(self._stack, self._machine, self.seconds, pause=self._pause)
        except ProfileError as error:
            self.problem = str(error)
        except (ClientError, BotoCoreError) as error:
            self.problem = explain(error)
        except _StoppedError:
            self.problem = "interrupted"

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _StoppedError
