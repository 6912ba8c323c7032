"""Waiting for an app that starts: until it is ready, or it is clear that it won't be."""

import time

from expressway_machine import config, readiness

from . import journal, listeners, paths, pm2

PATIENCE = 90
"""Seconds from the start of the service until its process is up, and once more from then until the app is ready."""
CRASHES = 3
"""How often one process has to end by itself ..."""
CRASHING = 6.0
"""... and for how many seconds, until an app that never was up counts as one that doesn't start."""
LISTENING = 2.0
"""Seconds that an app may listen for this machine alone, before it opens the port to others."""
_LOOK = 0.5
"""Seconds between two looks at the journal and at who listens."""


class StartError(Exception):
    """The app doesn't get ready; the message says why, and how to mend it where that is known."""


def wait_until_ready(app: config.Machine, patience: float = PATIENCE) -> None:
    """Return once the app is ready, and others can reach it. StartError when that takes too long, or can't be any more.

    An app that warms up for long isn't one that doesn't start: once its process is up, by its liveness path, it has
    `patience` seconds more.
    """
    port, liveness, path = app["port"], app["liveness_path"], app["readiness_path"]
    since, began = time.time(), time.monotonic()
    deadline = began + patience
    state = f"the app isn't up (no good answer to {liveness})"
    up = False
    looked = closed_since = float("-inf")
    name = pm2.web(paths.ECOSYSTEM.read_text())
    while True:
        answer = readiness.probe("127.0.0.1", port, path)
        now = time.monotonic()
        if answer.ready or now - looked >= _LOOK:
            looked = now
            closed = listeners.only_local(port)
            closed_since = (closed_since if closed_since > 0 else now) if closed else float("-inf")
            if closed and now - closed_since >= LISTENING:
                raise StartError(listeners.mend(closed, port))
            if answer.ready and not closed:
                break
            crashes = 0 if up or now - began < CRASHING else journal.crashes(journal.read(since), name)
            if crashes >= CRASHES:
                times = f"{crashes} times in {time.time() - since:.0f} s"
                raise StartError(f"the app exits each time that it is started: {times}")
        if not up and (alive := readiness.probe("127.0.0.1", port, liveness)).ready:
            up, state = True, f"the app is up ({liveness}: {alive.detail})"
            deadline = time.monotonic() + patience
        if time.monotonic() > deadline:
            raise StartError(f"{state}; no ready answer on port {port}, {path}, in {patience:.0f} s: {answer.detail}")
        time.sleep(0.1)
    print(f"expressway: the app is ready ({answer.detail})", flush=True)
