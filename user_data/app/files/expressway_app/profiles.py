"""Profiles on demand: the tag by which this machine is asked for one, and the object in the bucket that answers.

Only who may tag the stack's machines, which is who may deploy, can ask. The tag holds the request's id and the seconds;
the answer is `reports/app/<instance>/profile-<id>.gz`: a line of JSON that says how it went, and V8's profile after it.
One at a time, each once: a request that a restart of this program cut off is answered with that, and not begun again.
"""

import contextlib
import functools
import gzip
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config, files, metadata
from expressway_machine.aws import Clients

from . import paths, releases, report
from .profiling import ProfileError, Worker, Workers
from .service import say

TAG = "expressway:profile"
PERIOD = 1.0
"""Seconds between two looks at the tag."""
LONGEST = 60
"""Seconds."""
_REQUEST = re.compile(r"(?P<id>[0-9a-z]{8,40}) (?P<seconds>[1-9]\d{0,3})")
_TEXT = re.compile(r'"(functionName|url)":"((?:[^"\\]|\\.)*)"')
"""All of a profile that the app has named."""


class Answers:
    """What this machine tells of one request after the other."""

    def __init__(self, s3: Any, bucket: str, instance_id: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._id = instance_id

    def write(self, request: str, state: str, profile: str = "", **told: Any) -> None:
        """Store how it is with a request. One that can't be stored is one that whoever asked waits for in vain."""
        head = {"id": self._id, "request": request, "state": state, "at": round(time.time(), 3), **told}
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=f"reports/app/{self._id}/profile-{request}.gz",
                Body=gzip.compress(f"{json.dumps(head)}\n{profile}".encode(), 5),
                ContentType="application/gzip",
            )
        except (BotoCoreError, ClientError) as error:
            say(f"profile {request}: the answer can't be stored: {error}")


def answer(workers: Workers, answers: Answers, request: str) -> None:
    """Take the profile that a request asks for, if it can be, and tell of it."""
    asked = _REQUEST.fullmatch(request)
    if not asked:
        say(f"the tag {TAG} holds no request for a profile")
        return
    identity, seconds = asked["id"], int(asked["seconds"])
    if state() == {"request": identity, "over": False}:
        answers.write(identity, "failed", reason="the machine's expressway-deploys.service was restarted meanwhile")
        _remember(identity, over=True)
    if state().get("request") == identity:
        return
    _remember(identity, over=False)
    began = time.time()
    try:
        if seconds > LONGEST:
            raise ProfileError(f"{seconds} seconds are more than {LONGEST}")
        worker = workers.busiest(_name())
        about: dict[str, Any] = {"worker": _described(worker), "seconds": seconds, "app": _app()}
        answers.write(identity, "profiling", **about)
        told = workers.take(worker, seconds)
        answers.write(identity, "done", masked(told, report.secrets()), **about)
        say(f"profile {identity}: {len(told)} bytes of process {worker.pid}, after {time.time() - began:.1f} s")
    except Exception as error:  # whatever it is, whoever asked hears of it
        why = str(error) if isinstance(error, ProfileError) else f"{type(error).__name__}: {error}"
        say(f"profile {identity}: {why}")
        answers.write(identity, "failed", reason=" ".join(report.mask(why, report.secrets()).split()))
    _remember(identity, over=True)


def masked(profile: str, hidden: Sequence[str]) -> str:
    """A profile in whose names nothing is `hidden`: an app may call a function by what is secret."""
    return _TEXT.sub(lambda found: f'"{found[1]}":"{report.mask(found[2], hidden)}"', profile) if hidden else profile


def state() -> dict[str, Any]:
    """The last request, and whether this machine is through with it; empty before the first."""
    return report.last(paths.PROFILED)


def run(
    look: Callable[[], str | None], ask: Callable[[str], None], wait: Callable[[float], None], rounds: int | None = None
) -> None:
    """`look` at the tag every second, and have it answered when it is another one. For ever."""
    seen = None
    while rounds is None or (rounds := rounds - 1) >= 0:
        try:
            request = look()
        except OSError:
            request = None  # which is said where deploys are followed
        if request and request != seen:
            ask(request)
            seen = request
        wait(PERIOD)


def follow(machine: config.Machine, instance_id: str) -> None:
    """Answer requests for as long as this program runs."""
    clients = Clients(machine["region"], attempts=3, read_timeout=20)
    answers = Answers(clients.get("s3"), machine["bucket"], instance_id)
    while True:
        try:
            with contextlib.closing(Workers()) as workers:
                run(lambda: metadata.tag(TAG), functools.partial(answer, workers, answers), workers.wait)
        except Exception as error:
            # Profiles are no reason for this program, which follows deploys, to be in trouble.
            say(f"profiles can't be taken: {type(error).__name__}: {error}")
            time.sleep(30)


def _remember(request: str, *, over: bool) -> None:
    files.write(paths.PROFILED, json.dumps({"request": request, "over": over}), 0o600)


def _name() -> str:
    return releases.manifest(paths.RELEASES / "current")["name"]


def _app() -> str:
    return str(Path(paths.RELEASES / "current").resolve() / "app")


def _described(worker: Worker) -> dict[str, Any]:
    return {"name": worker.name, "id": worker.id, "pid": worker.pid}
