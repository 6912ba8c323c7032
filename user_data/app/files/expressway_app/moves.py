"""Keys that move to a shard that was added. The tag holds what is to be done after the request's id.

The kit of the app that runs here does it (docs/database.md), as the app's user and with the databases' own addresses.
The databases know how far a move has come, so one that was cut off is only told of as such: whoever asks again has it
gone on with, here or on another machine.
"""

import contextlib
import json
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from expressway_machine import config
from expressway_machine.aws import Clients

from . import environment, paths, pm2, programs, requests
from .service import say

TAG = "expressway:move"
PROGRAM = "node_modules/@expressway/kit/move-shard.js"
TOLD_EVERY = 2.0
"""Seconds between two words on how far it is."""

Program = Callable[[str], Iterator[dict[str, Any]]]
"""Does an action, and gives what it says of each step."""


class MoveError(requests.RequestError):
    """Nothing moves; the message says why."""


def kind(program: Program, clock: Callable[[], float] = time.monotonic) -> requests.Kind:
    """What whoever asks for a move is told, and how often while it goes on."""

    def do(asked: re.Match[str], tell: requests.Tell) -> None:
        say(f"move {asked['id']}: {asked['action']}")
        tell("moving", progress={})
        last: dict[str, Any] = {}
        told = clock()
        for step in program(asked["action"]):
            last = step
            if clock() - told >= TOLD_EVERY or "done" not in step:
                told = clock()
                tell("moving", progress=step)
        if "state" not in last:
            raise MoveError(str(last.get("error") or "it ended without a word"))
        tell("done", result=last)
        say(f"move {asked['id']}: {json.dumps(last)}")

    return requests.Kind(TAG, "move-{}.json", paths.MOVED, do, " (?P<action>move|undo|finish)")


def run(app: Path, variables: Mapping[str, str], search_path: str, action: str) -> Iterator[dict[str, Any]]:
    """Have the kit of `app` do it; what it says, step by step. MoveError when the app has no kit that can."""
    if not (app / PROGRAM).is_file():
        raise MoveError(f"the app that runs has no {PROGRAM}: it needs the kit that has it")
    process = programs.start(["node", str(app / PROGRAM), action], app, variables, search_path)
    output: Any = process.stdout
    try:
        with output:
            yield from _steps(output)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def follow(machine: config.Machine, instance_id: str, tags: requests.Tags, answers: requests.Answers) -> None:
    """Answer requests for as long as this program runs."""
    manager = Clients(machine["region"], attempts=3, read_timeout=20).get("secretsmanager")

    def program(action: str) -> Iterator[dict[str, Any]]:
        release = (paths.RELEASES / "current").resolve()
        known = {name: environment.fetch_secret(manager, machine, name) for name in environment.needed_secrets(machine)}
        variables = environment.build(machine, release.name, instance_id, known)
        # The app's own are of no use to it, and the file of the addresses leads to PgBouncer.
        kept = {name: value for name, value in variables.items() if name.startswith(("DATABASE_", "NODE_EXTRA_"))}
        runtime = paths.RUNTIMES / machine["runtime"]["sha256"]
        yield from run(release / "app", kept, pm2.search_path(release, runtime), action)

    requests.follow(kind(program), tags, answers)


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
