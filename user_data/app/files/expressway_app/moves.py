"""Keys that move to a shard that was added: the tag by which this machine is asked to, and the object that tells of it.

The tag holds the request's id and what is to be done; `reports/app/<instance>/move-<id>.json` in the bucket says how it
goes and how it ended. The kit of the app that runs here does it (docs/database.md), as the app's user and with the
databases' own addresses. The databases know how far a move has come, so one that was cut off is only told of as such:
whoever asks again has it gone on with, here or on another machine.
"""

import contextlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config, files, metadata
from expressway_machine.aws import Clients

from . import environment, paths, pm2, profiles, report
from .service import say

TAG = "expressway:move"
PROGRAM = "node_modules/@expressway/kit/move-shard.js"
TOLD_EVERY = 2.0
"""Seconds between two words on how far it is."""
_REQUEST = re.compile(r"(?P<id>[0-9a-z]{8,40}) (?P<action>move|undo|finish)")

Program = Callable[[str], Iterator[dict[str, Any]]]
"""Does an action, and gives what it says of each step."""


class MoveError(Exception):
    """Nothing moves; the message says why."""


class Answers:
    """What this machine tells of one request after the other."""

    def __init__(self, s3: Any, bucket: str, instance_id: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._id = instance_id

    def write(self, request: str, state: str, **told: Any) -> None:
        """Store how it is with a request. One word that can't be stored is followed by another."""
        body = {"id": self._id, "request": request, "state": state, "at": round(time.time(), 3), **told}
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=f"reports/app/{self._id}/move-{request}.json",
                Body=json.dumps(body).encode(),
                ContentType="application/json",
            )
        except (BotoCoreError, ClientError) as error:
            say(f"move {request}: the answer can't be stored: {error}")


def answer(program: Program, answers: Answers, request: str, clock: Callable[[], float] = time.monotonic) -> None:
    """Do what a request asks for, once, and tell of it."""
    asked = _REQUEST.fullmatch(request)
    if not asked:
        say(f"the tag {TAG} holds no request to move keys")
        return
    identity, action = asked["id"], asked["action"]
    known = report.last(paths.MOVED)
    if known == {"request": identity, "over": False}:
        answers.write(identity, "failed", reason="the machine's expressway-deploys.service was restarted meanwhile")
        _remember(identity, over=True)
    if known.get("request") == identity:
        return
    _remember(identity, over=False)
    say(f"move {identity}: {action}")
    answers.write(identity, "moving", progress={})
    try:
        last: dict[str, Any] = {}
        told = clock()
        for step in program(action):
            last = step
            if clock() - told >= TOLD_EVERY or "done" not in step:
                told = clock()
                answers.write(identity, "moving", progress=step)
        if "state" not in last:
            raise MoveError(str(last.get("error") or "it ended without a word"))
        answers.write(identity, "done", result=last)
        say(f"move {identity}: {json.dumps(last)}")
    except Exception as error:  # whatever it is, whoever asked hears of it
        why = str(error) if isinstance(error, MoveError) else f"{type(error).__name__}: {error}"
        why = report.mask(why, report.secrets())
        say(f"move {identity}: {why}")
        answers.write(identity, "failed", reason=why)
    _remember(identity, over=True)


def run(app: Path, variables: Mapping[str, str], search_path: str, action: str) -> Iterator[dict[str, Any]]:
    """Have the kit of `app` do it; what it says, step by step. MoveError when the app has no kit that can."""
    if not (app / PROGRAM).is_file():
        raise MoveError(f"the app that runs has no {PROGRAM}: it needs the kit that has it")
    process = subprocess.Popen(
        ["node", str(app / PROGRAM), action],
        cwd=app,
        env={**variables, "HOME": str(paths.HOME), "PATH": search_path},
        user=paths.USER,
        group=paths.USER,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Among the lines, for whatever Node says when it can't even begin.
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    output: Any = process.stdout
    try:
        with output:
            yield from _steps(output)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def follow(machine: config.Machine, instance_id: str) -> None:
    """Answer requests for as long as this program runs."""
    clients = Clients(machine["region"], attempts=3, read_timeout=20)
    manager = clients.get("secretsmanager")
    answers = Answers(clients.get("s3"), machine["bucket"], instance_id)

    def program(action: str) -> Iterator[dict[str, Any]]:
        release = (paths.RELEASES / "current").resolve()
        known = {name: environment.fetch_secret(manager, machine, name) for name in environment.needed_secrets(machine)}
        variables = environment.build(machine, release.name, instance_id, known)
        # The app's own are of no use to it, and the file of the addresses leads to PgBouncer.
        kept = {name: value for name, value in variables.items() if name.startswith(("DATABASE_", "NODE_EXTRA_"))}
        runtime = paths.RUNTIMES / machine["runtime"]["sha256"]
        yield from run(release / "app", kept, pm2.search_path(release, runtime), action)

    while True:
        try:
            profiles.run(lambda: metadata.tag(TAG), lambda request: answer(program, answers, request), time.sleep)
        except Exception as error:
            # Moves are no reason for this program, which follows deploys, to be in trouble.
            say(f"keys can't be moved: {type(error).__name__}: {error}")
            time.sleep(30)


def _steps(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    words: list[str] = []
    for line in lines:
        said: Any = None
        with contextlib.suppress(ValueError):
            said = json.loads(line)
        if isinstance(said, dict):
            yield said
        else:
            words = [*words, line.rstrip()][-5:]
    if words:
        yield {"error": _joined(words)}


def _joined(words: Sequence[str]) -> str:
    return " ".join(each.strip() for each in words if each.strip())


def _remember(request: str, *, over: bool) -> None:
    files.write(paths.MOVED, json.dumps({"request": request, "over": over}), 0o600)
