"""The release's command, such as a migration of the database: run once for each deploy, before any machine starts it.

The machine that makes the object in the artifact bucket runs it, as the app's user and with the app's environment; the
others wait for its end. One whose run stops being renewed is dead: another machine runs the command again.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config

from . import environment, paths, pm2, programs, releases, report
from .artifact import Release
from .environment import SecretError
from .leases import LOST, NONE_YET

LIMIT = 420.0
"""Seconds that a command may take: with the boot, less than the ten minutes of the launch lifecycle hook."""
PERIOD = 10.0
"""Seconds between two signs of life of the machine that runs it."""
DEAD = 60.0
"""Seconds without one, after which another machine takes over."""
GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL of a command that takes too long."""
LINES = 40


Environment = Callable[[], tuple[Mapping[str, str], Iterable[str]]]
"""Gives the app's variables, and the secret values among them."""


class CommandError(Exception):
    """The command failed, or took too long; the message says how, and `log` has its last lines."""

    def __init__(self, message: str, log: list[str]) -> None:
        super().__init__(message)
        self.log = log


class Run:
    """One deploy's run of the command, as the fleet sees it: `deploys/commands/<id>.json` in the bucket."""

    def __init__(self, s3: Any, bucket: str, release: Release, instance_id: str, pause: float = 1.0) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._key = f"deploys/commands/{release.deploy or release.release_id}.json"
        # Nobody deploys a stack's first release again: the machines that replace the failed one try it anew.
        self._final = release.deploy is not None
        self._id = instance_id
        self._pause = pause
        self._tag = ""

    def claim(self, limit: float = LIMIT + DEAD) -> bool:
        """Whether this machine is the one to run the command; False once it is done. CommandError when it failed."""
        deadline = time.monotonic() + limit
        seen, since = "", time.monotonic()
        while time.monotonic() < deadline:
            found, tag = self._read()
            if found is None:
                if self._write("running", IfNoneMatch="*"):
                    return True
                continue
            if found["state"] == "done":
                return False
            if found["state"] == "failed" and (self._final or time.time() - found["at"] < DEAD):
                raise CommandError(f"the release command failed on {found['by']}", found["log"])
            if tag != seen:
                seen, since = tag, time.monotonic()
            # One of this machine's own that runs is of a program that was killed, and the command with it.
            over = found["state"] == "failed" or found["by"] == self._id or time.monotonic() - since > DEAD
            if over and self._write("running", IfMatch=tag):
                return True
            time.sleep(self._pause)
        raise CommandError(f"the release command did not end in {limit:.0f} s", [])

    def renew(self) -> bool:
        """Give a sign of life. False when another machine has taken over."""
        with contextlib.suppress(BotoCoreError, ClientError):
            return self._write("running", IfMatch=self._tag)
        return True  # not heard of otherwise

    def end(self, state: str, log: list[str]) -> None:
        """Tell the fleet how it ended."""
        self._write(state, log, IfMatch=self._tag)

    def _read(self) -> tuple[dict[str, Any] | None, str]:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key)
        except ClientError as error:
            if error.response["Error"]["Code"] in NONE_YET:
                return None, ""
            raise
        return json.loads(answer["Body"].read()), answer["ETag"]

    def _write(self, state: str, log: list[str] | None = None, **condition: str) -> bool:
        body = {"state": state, "by": self._id, "at": round(time.time(), 3), "log": log or []}
        try:
            answer = self._s3.put_object(
                Bucket=self._bucket,
                Key=self._key,
                Body=json.dumps(body).encode(),
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in LOST:
                return False
            raise
        self._tag = answer["ETag"]
        return True


def run_once(run: Run, command: str, folder: Path, runtime: Path, environ: Environment) -> None:
    """Return once the release's command has ended well, here or on another machine. CommandError otherwise."""
    if not run.claim():
        print("expressway: the release command has been run", flush=True)
        return
    print(f"expressway: the release command: {command}", flush=True)
    try:
        variables, secrets = environ()
        log = execute(command, folder, runtime, variables, report.hidden(secrets), run)
    except (CommandError, SecretError, OSError) as error:
        log = error.log if isinstance(error, CommandError) else [str(error)]
        run.end("failed", log)
        raise CommandError(str(error), log) from error
    run.end("done", log)


def before_start(
    machine: config.Machine,
    release: Release,
    folder: Path,
    instance_id: str,
    clients: tuple[Any, Any],
    begin: Callable[[], object],
) -> None:
    """Have the release's command run, if it has one, before this machine starts it; `begin` is called first.

    `clients` are S3's and those of Secrets Manager. CommandError when the command fails, or can't be run.
    """
    command = releases.manifest(folder).get("release")
    if not command:
        return
    begin()
    s3, manager = clients
    runtime = paths.RUNTIMES / machine["runtime"]["sha256"]

    def environ() -> tuple[Mapping[str, str], Iterable[str]]:
        known = {name: environment.fetch_known(manager, machine, name) for name in environment.needed_secrets(machine)}
        return environment.build(machine, release.release_id, instance_id, known), known.values()

    run_once(Run(s3, machine["bucket"], release, instance_id), command, folder, runtime, environ)


def execute(
    command: str,
    folder: Path,
    runtime: Path,
    variables: Mapping[str, str],
    hidden: list[str],
    run: Run,
    limit: float = LIMIT,
    period: float = PERIOD,
) -> list[str]:
    """Run a command in the release's app as the app's user; its last lines. CommandError when it fails."""
    process = programs.start(["/bin/sh", "-c", command], folder / "app", variables, pm2.search_path(folder, runtime))
    output: Any = process.stdout
    log: deque[str] = deque(maxlen=LINES)

    def read() -> None:
        with output:
            for line in output:
                shown = report.mask(line.rstrip("\n"), hidden)
                log.append(shown)
                print(shown, flush=True)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline, why = time.monotonic() + limit, ""
    while process.poll() is None and not why:
        try:
            process.wait(min(period, max(0.0, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                why = f"the release command took more than {limit:.0f} s"
            elif not run.renew():
                why = "another machine took this one for dead, and runs the release command now"
    if why:
        _kill(process)
    reader.join(GRACE)
    if why or process.returncode:
        raise CommandError(why or f"the release command ended with {process.returncode}: {command}", list(log))
    return list(log)


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a command and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
