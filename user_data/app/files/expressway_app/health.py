"""Whether the app that was ready goes on to be: what is reported of it between two deploys."""

import time
from collections.abc import Callable
from typing import Any

from expressway_machine import config, readiness

from . import journal, paths, pm2, report
from .report import Reporter
from .start import CRASHES

WINDOW = 60.0
"""Seconds in which so many ends of one process make a crash loop."""
WELL_AFTER = 20.0
"""Seconds without another end until the app counts as well again; longer than PM2's longest pause of 15."""
PERIOD = 6.0
"""Seconds between two looks."""


class Watch:
    """Reports an app that PM2 has to start again and again, and that it is well once it is."""

    def __init__(
        self,
        app: config.Machine,
        reporter: Reporter,
        read: Callable[[float], list[str]] = journal.read,
        probe: Callable[..., Any] = readiness.probe,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._reporter = reporter
        self._read = read
        self._probe = probe
        self._clock = clock
        self._looked = float("-inf")
        self._failed_since: float | None = None

    def look(self) -> None:
        """Report what has changed since the last look, at most every few seconds."""
        now = self._clock()
        if 0 <= now - self._looked < PERIOD:
            return
        self._looked = now
        told = report.last()
        if told.get("state") not in ("ready", "failed", "starting"):
            return
        lines = self._read(now - WINDOW)
        name = pm2.web(paths.ECOSYSTEM.read_text())
        crashes = journal.crashes(lines, name)
        ready = self._probe("127.0.0.1", self._app["port"], self._app["readiness_path"]).ready
        deploy = told.get("deploy")
        if told["state"] != "failed":
            self._failed_since = None
        elif self._failed_since is None:
            self._failed_since = now
        # Whoever waits for a deploy has to see that it failed, though the release before it is well at once.
        settled = self._failed_since is None or now - self._failed_since >= WELL_AFTER
        if told["state"] != "failed" and crashes >= CRASHES and not ready:
            self._reporter.write(
                "failed",
                deploy=deploy,
                reason=f"the app exits again and again: {crashes} times in {WINDOW:.0f} s",
                log=journal.last_words(lines),
            )
        elif told["state"] != "ready" and ready and settled and not journal.crashes(self._read(now - WELL_AFTER), name):
            # What a deploy failed of stays to be read: the release before it runs again, and is well.
            self._reporter.write("ready", deploy=deploy, reason=told.get("reason"), log=told.get("log", ()))
