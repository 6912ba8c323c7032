"""Profiles on demand: the app's busiest worker here, and V8's profile of it as the rest of the answer.

The tag holds the seconds after the request's id.
"""

import contextlib
import functools
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expressway_machine import config

from . import paths, releases, report, requests
from .profiling import ProfileError, Worker, Workers
from .service import say

TAG = "expressway:profile"
LONGEST = 60
"""Seconds."""
_TEXT = re.compile(r'"(functionName|url)":"((?:[^"\\]|\\.)*)"')
"""All of a profile that the app has named."""


def kind(workers: Workers) -> requests.Kind:
    """What whoever asks for a profile is told."""
    return requests.Kind(
        TAG, "profile-{}.gz", paths.PROFILED, functools.partial(take, workers), r" (?P<seconds>[1-9]\d{0,3})"
    )


def take(workers: Workers, asked: re.Match[str], tell: requests.Tell) -> None:
    """Take the profile that a request asks for. ProfileError."""
    seconds, began = int(asked["seconds"]), time.time()
    if seconds > LONGEST:
        raise ProfileError(f"{seconds} seconds are more than {LONGEST}")
    worker = workers.busiest(_name())
    about: dict[str, Any] = {"worker": _described(worker), "seconds": seconds, "app": _app()}
    tell("profiling", **about)
    told = workers.take(worker, seconds)
    tell("done", masked(told, report.secrets()), **about)
    say(f"profile {asked['id']}: {len(told)} bytes of process {worker.pid}, after {time.time() - began:.1f} s")


def masked(profile: str, hidden: Sequence[str]) -> str:
    """A profile in whose names nothing is `hidden`: an app may call a function by what is secret."""
    return _TEXT.sub(lambda found: f'"{found[1]}":"{report.mask(found[2], hidden)}"', profile) if hidden else profile


def follow(_machine: config.Machine, _instance_id: str, tags: requests.Tags, answers: requests.Answers) -> None:
    """Answer requests for as long as this program runs, and have workers come and go meanwhile."""
    with contextlib.closing(Workers()) as workers:
        requests.follow(kind(workers), tags, answers, workers.wait)


def _name() -> str:
    return releases.manifest(paths.RELEASES / "current")["name"]


def _app() -> str:
    return str(Path(paths.RELEASES / "current").resolve() / "app")


def _described(worker: Worker) -> dict[str, Any]:
    return {"name": worker.name, "id": worker.id, "pid": worker.pid}
