"""Deploys in place: the tag by which this machine hears of one, and what it then does.

Whoever deploys moves the release pointer, has the machine taken out of the edge's list, and sets the tag. All or
nothing: a release that doesn't get ready here gives way to the one that did, and the report says why. Killed at any
point and run again, that ends in the same state: what is compared is what should run with what does.
"""

import contextlib
import functools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expressway_machine import config, files, host
from expressway_machine.aws import Clients

from . import (
    command,
    current,
    flush,
    health,
    journal,
    leases,
    moves,
    paths,
    pm2,
    profiles,
    releases,
    reload,
    requests,
    start,
)
from .artifact import read_pointer
from .command import CommandError
from .report import Reporter
from .service import identify, say

TAG = "expressway:deploy"
DRAIN, DEPLOYING = "expressway:drain", "deploy"
"""The tag by which this machine is taken out of the edges' lists, and its value where a deploy does that."""
REQUESTS = {each.TAG: each.follow for each in (profiles, moves, flush)}
"""What else this machine is asked for by tags, and what answers, in a thread of its own: a deploy takes minutes."""
PERIOD = 1.0
"""Seconds between two looks at how the app is."""
PARALLEL = 2
"""Workers that are reloaded at a time, as by `pm2 reload`: no edge sends requests here meanwhile."""
REPORT_AGAIN = 6 * 3600
"""Seconds: the bucket clears reports away that nobody renews for two days."""


@dataclass(frozen=True)
class State:
    """What this machine remembers of its deploys."""

    followed: str | None = None
    """The deploy that it is through with."""
    good: str | None = None
    """The release that was ready last."""


def state() -> State:
    """What was remembered; nothing at first."""
    try:
        found = json.loads(paths.STATE.read_text())
        return State(found["followed"], found["good"])
    except (OSError, ValueError, KeyError, TypeError):
        return State()


def followed(deploy: str | None, good: str | None) -> None:
    """Remember that this machine is through with a deploy, and which release to go back to from the next one."""
    files.write(paths.STATE, json.dumps({"followed": deploy, "good": good}), 0o600)


class Follower:
    """Installs what is deployed in place."""

    def __init__(self, machine: config.Machine, instance_id: str, reporter: Reporter, clients: Clients) -> None:
        self._machine = machine
        self._id = instance_id
        self._reporter = reporter
        self._s3, self._ssm = clients.get("s3"), clients.get("ssm")
        self._secrets = clients.get("secretsmanager")

    def prepare(self) -> None:
        """Fetch the release that comes, while requests are still answered. What fails is told by the deploy."""
        with contextlib.suppress(Exception):
            releases.fetch(self._s3, self._machine, read_pointer(self._ssm, self._machine["release_parameter"]))

    def follow(self, deploy: str) -> bool:
        """Do what deploy `deploy` says, and report it. Whether the release that the pointer names runs now."""
        good, began = state().good, time.time()
        say(f"deploy {deploy}")
        self._reporter.write("installing", deploy=deploy)
        changed = False
        try:
            release = read_pointer(self._ssm, self._machine["release_parameter"])
            folder = releases.fetch(self._s3, self._machine, release)
            releases.check_runtime(folder, self._runtime)
            command.before_start(
                *(self._machine, release, folder, self._id, (self._s3, self._secrets)),
                lambda: self._reporter.write("release-command", deploy=deploy),
            )
            self._reporter.write("starting", deploy=deploy)
            changed = True
            self._run(folder)
        except Exception as error:  # whatever it is, this machine ends with one release or the other, and says so
            words = error.log if isinstance(error, CommandError) else journal.last_words(journal.read(began))
            why = (
                str(error)
                if isinstance(error, (start.StartError, CommandError))
                else f"{type(error).__name__}: {error}"
            )
            why += self._go_back(good) if changed else ""
            followed(deploy, good)
            say(f"deploy {deploy} failed: {why}")
            self._reporter.write("failed", deploy=deploy, reason=why, log=words)
            return False
        followed(deploy, release.release_id)
        releases.prune(folder)
        say(f"deploy {deploy}: release {release.release_id} is ready, after {time.time() - began:.1f} s")
        self._reporter.write("ready", deploy=deploy)
        return True

    @property
    def _runtime(self) -> Path:
        return paths.RUNTIMES / self._machine["runtime"]["sha256"]

    def _go_back(self, good: str | None) -> str:
        """Have the release run that was good last; what to say of it, after the reason."""
        if good is None:
            return ""
        folder = paths.RELEASES / good
        try:
            try:
                self._run(folder)
            except (reload.ReloadError, start.StartError):
                # A PM2 that can't be talked to, or a worker that hangs in between: from the ground up.
                host.run("systemctl", "restart", journal.UNIT)
                start.wait_until_ready(self._machine["app"])
        except Exception as error:
            return f"; and release {good}, which ran before, doesn't run again: {type(error).__name__}: {error}"
        return f"; release {good} runs again"

    def _run(self, folder: Path) -> None:
        """Have every worker run the release in `folder`, and wait until it is ready."""
        ecosystem = releases.ecosystem(folder, self._runtime)
        with reload.alone():
            files.write(paths.ECOSYSTEM, ecosystem)
            releases.make_current(folder)
            refreshed = current.refresh(self._machine, self._secrets, self._id)
            if not current.pm2_runs(ecosystem):
                host.run("systemctl", "restart", journal.UNIT)
            elif current.workers_have() != refreshed.digest:
                reload.workers(refreshed.variables, self._machine["app"], parallel=PARALLEL)
                current.workers_run_with(refreshed.digest)
        start.wait_until_ready(self._machine["app"])


def run(
    tags: requests.Tags,
    prepare: Callable[[], None],
    follow: Callable[[str], Any],
    look: Callable[[], None],
    again: Callable[[], None],
    rounds: int | None = None,
) -> None:
    """Follow deploys, and look at how the app is every second; report `again` from time to time. For ever."""
    due = time.monotonic() + REPORT_AGAIN
    drain: str | None = None
    while rounds is None or (rounds := rounds - 1) >= 0:
        deploy, before, drain = tags.get(TAG), drain, tags.get(DRAIN)
        if deploy and deploy != state().followed:
            follow(deploy)
        elif drain == DEPLOYING != before:
            prepare()
        look()
        if time.monotonic() >= due:
            again()
            due = time.monotonic() + REPORT_AGAIN
        tags.wait(TAG, deploy, PERIOD)


def fleet_wide() -> list[str]:
    """The processes of the current release of which the fleet has one."""
    return pm2.fleet_wide(releases.manifest(paths.RELEASES / "current")) if paths.release() else []


def main() -> int:
    """Follow deploys until told to stop; 1 when this machine doesn't know who it is."""
    if (known := identify("deploys")) is None:
        return 1
    machine, instance_id = known
    reporter = Reporter(machine, instance_id)
    follower = Follower(machine, instance_id, reporter, Clients(machine["region"]))
    watch = health.Watch(machine["app"], reporter)
    holder = leases.Leases(
        Clients(machine["region"], attempts=1, read_timeout=4).get("s3"), machine["bucket"], instance_id, leases.end
    )
    # By itself: a deploy takes longer than a lease lasts.
    threading.Thread(target=leases.keep, args=(holder, fleet_wide), daemon=True).start()
    tags = requests.Tags([TAG, DRAIN, *REQUESTS], announces=(DRAIN, DEPLOYING))
    answers = requests.Answers(
        Clients(machine["region"], attempts=3, read_timeout=20).get("s3"), machine["bucket"], instance_id
    )
    for tag, asked in REQUESTS.items():
        following = functools.partial(asked, machine, instance_id, tags, answers)
        threading.Thread(target=requests.keep, args=(tag, following), daemon=True).start()
    threading.Thread(target=tags.follow, daemon=True).start()
    run(tags, follower.prepare, follower.follow, watch.look, reporter.again)
    return 0
