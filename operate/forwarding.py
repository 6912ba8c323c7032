"""A port of this machine that leads through one of the stack's into its network, by AWS's Session Manager.

Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import IO, Final

from operate.fleet import IN_SERVICE
from operate.stack import Stack

DOCUMENT: Final = "AWS-StartPortForwardingSessionToRemoteHost"
PROGRAMS: Final = ("aws", "session-manager-plugin")
SECONDS: Final = 60.0
"""In which a session is there."""
LOCAL: Final = "127.0.0.1"


class ForwardingError(Exception):
    """No way could be opened; the message says why, and how to mend it."""


@contextmanager
def forwarded(stack: Stack, host: str, port: int) -> Generator[int]:
    """A port of 127.0.0.1 for as long as the body runs. ForwardingError; botocore's errors."""
    if missing := [each for each in PROGRAMS if shutil.which(each) is None]:
        raise ForwardingError(f"{' and '.join(missing)} must be on PATH: docs/aws.md, step 10, says where to get them")
    machine = _app_server(stack)
    own = _free_port()
    parameters = f"host={host},portNumber={port},localPortNumber={own}"
    command = ["aws", "ssm", "start-session", "--target", machine, "--region", stack.region]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, "--document-name", DOCUMENT, "--parameters", parameters],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that a Ctrl-C in the client ends a query there, and not the way
        )
        try:
            _await(process, own, machine, said)
            yield own
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _app_server(stack: Stack) -> str:
    (group,) = stack.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[stack.app_group])[
        "AutoScalingGroups"
    ]
    serving = sorted(each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] == IN_SERVICE)
    if not serving:
        raise ForwardingError("no app server is in service, and only they reach the database: expressway status")
    return serving[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


def _await(process: "subprocess.Popen[bytes]", port: int, machine: str, said: IO[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((LOCAL, port), 1):
            return
        time.sleep(0.1)
    said.seek(0)
    lines = [line for line in said.read().splitlines() if line.strip()]
    raise ForwardingError(
        f"no session with {machine}: {lines[-1] if lines else 'aws ssm start-session does not say why'}. It takes "
        "sessionManager.agentKey in the stack's settings, and ssm:StartSession: docs/aws.md, step 10"
    )
