"""Follow the secrets while the app runs: notice a new version within a minute, and bring it to the app's workers.

One look a minute, in a second of it that the machine's id decides, so that a fleet neither asks nor reloads all at
once. A new version reaches the app in two ways. The file that `EXPRESSWAY_ENVIRONMENT` names has it at once, for apps
that read it when they open a connection. Then the workers are reloaded one after the other, in that second, for apps
that only know what they were started with. An app whose password was refused needn't wait for the minute: it connects
to a socket, and is hung up on when the secrets have been looked at.

Level-triggered: what the workers have is compared with what the secrets hold, so whatever was killed, and when, the
next look finishes it.
"""

import hashlib
import select
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from expressway_machine.aws import Clients

from . import current, environment, paths, reload
from .current import Refreshed
from .environment import SecretError
from .service import identify, say

PERIOD = 60
"""Seconds between two looks that nobody asked for."""
SHORTEST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
"""Seconds between two looks that an app asked for: doubled while there is nothing new, so that an app that is refused
for another reason costs two calls a minute for each secret, and not four a second."""


def slot(instance_id: str) -> int:
    """The second of the minute in which this machine looks and reloads. Spread evenly; two machines may share one."""
    return int.from_bytes(hashlib.sha256(instance_id.encode()).digest()[:8]) % PERIOD


def until(second: int, now: float) -> float:
    """Seconds from `now` (since the epoch) to the next time that the clock shows `second`; never 0."""
    return (second - now) % PERIOD or PERIOD


@dataclass
class Pace:
    """How soon the next look may be that an app asked for. Times are in seconds of a clock that never goes back."""

    pause: float = SHORTEST_PAUSE
    last: float = field(default=float("-inf"))

    def wait(self, now: float) -> float:
        """Seconds until the next look may be."""
        return max(0.0, self.last + self.pause - now)

    def looked(self, now: float, *, news: bool) -> None:
        """A look that was asked for has ended."""
        self.last = now
        self.pause = SHORTEST_PAUSE if news else min(2 * self.pause, LONGEST_PAUSE)

    def relax(self) -> None:
        """A minute has passed: the next one who asks is answered at once."""
        self.pause = SHORTEST_PAUSE


class Follower:
    """Keeps the app's environment, and then its workers, as the secrets are."""

    def __init__(self, refresh: Callable[[], Refreshed], reload_workers: Callable[[Mapping[str, str]], None]) -> None:
        self._refresh = refresh
        self._reload_workers = reload_workers
        self._latest: Refreshed | None = None
        self._problems: set[str] = set()
        self._reloading: threading.Thread | None = None

    def look(self) -> bool:
        """Read the secrets and hand the app their values. Whether any of them is new."""
        try:
            self._latest = self._refresh()
        except (OSError, ValueError, SecretError) as error:
            self._complain({str(error)})
            return False
        self._complain(set(self._latest.unreadable))
        if self._latest.changed:
            say(f"new for the app: {', '.join(self._latest.changed)}")
        return bool(self._latest.changed)

    def catch_up(self) -> None:
        """Begin to reload the workers if they have another environment, unless that is under way. Not waited for."""
        latest = self._latest
        if latest is None or current.workers_have() == latest.digest:
            return
        if self._reloading is None or not self._reloading.is_alive():
            self._reloading = threading.Thread(target=self._reload, args=(latest,), daemon=True)
            self._reloading.start()

    def wait(self) -> None:
        """Return when no reload is under way."""
        if self._reloading is not None:
            self._reloading.join()

    def _reload(self, wanted: Refreshed) -> None:
        with reload.alone():
            if paths.release() != wanted.variables["RELEASE_ID"] or current.workers_have() == wanted.digest:
                return  # a deploy came first; the next look sees what is left to do
            began = time.monotonic()
            try:
                self._reload_workers(wanted.variables)
            except reload.ReloadError as error:
                say(f"the workers keep the environment that they have for now: {error}")
                return
            current.workers_run_with(wanted.digest)
        say(f"all workers have the new environment, after {time.monotonic() - began:.1f} s")

    def _complain(self, problems: set[str]) -> None:
        """Name what is wrong when it begins and when it ends, and not each minute in between."""
        for problem in sorted(problems - self._problems):
            say(f"the app keeps what it has, because of {problem}")
        if self._problems and not problems:
            say("every secret can be read again")
        self._problems = problems


def run(follower: Follower, listener: socket.socket, second: int) -> None:
    """Look once a minute at `second`, and when an app asks. For ever."""
    pace, asking = Pace(), list[socket.socket]()
    # By the clock that never goes back: a corrected wall clock must not make the next look wait for hours.
    due = time.monotonic()
    while True:
        timeout = max(0.0, due - time.monotonic())
        if asking:
            timeout = min(timeout, pace.wait(time.monotonic()))
        if select.select([listener], [], [], timeout)[0]:
            asking.append(listener.accept()[0])
        regular = time.monotonic() >= due
        if not regular and not (asking and pace.wait(time.monotonic()) == 0):
            continue
        news = follower.look()
        if regular:
            pace.relax()
            follower.catch_up()
            due = time.monotonic() + until(second, time.time())
        else:
            pace.looked(time.monotonic(), news=news)
        for client in asking:
            client.close()
        asking.clear()


def listen() -> socket.socket:
    """The socket on which the app asks."""
    paths.REFRESH.parent.mkdir(mode=0o755, exist_ok=True)
    paths.REFRESH.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(paths.REFRESH))
    shutil.chown(paths.REFRESH, group=paths.USER)
    paths.REFRESH.chmod(0o660)
    listener.listen(128)
    return listener


def main() -> int:
    """Follow the secrets until told to stop; 1 when this machine doesn't know who it is."""
    if (known := identify("the app's secrets")) is None:
        return 1
    machine, instance_id = known
    # Impatient: the next look is never far, and whoever asks is waiting.
    client = Clients(machine["region"], attempts=2, read_timeout=5).get("secretsmanager")
    names = environment.wanted_secrets(machine)
    say(f"following {len(names)} secrets, at second {slot(instance_id)} of each minute")
    follower = Follower(
        lambda: current.refresh(machine, client, instance_id),
        lambda variables: reload.workers(variables, machine["app"]),
    )
    run(follower, listen(), slot(instance_id))
    return 0
