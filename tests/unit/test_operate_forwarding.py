"""A way into the stack's network by Session Manager, whose programs the tests play."""

import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from operate.forwarding import LOCAL, ForwardingError, forwarded
from operate.stack import Stack

OUTPUTS = dict.fromkeys(("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName"), "any")
SESSION = """
import re, socket, sys
print("Starting session with SessionId: someone-0a1b", flush=True)
open({seen!r}, "w").write(" ".join(sys.argv[1:]))
port = int(re.search(r"localPortNumber=(\\d+)", " ".join(sys.argv))[1])
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        server.accept()[0].close()
"""
REFUSAL = """
import sys
sys.exit("An error occurred (TargetNotConnected) when calling the StartSession operation: i-2 is not connected.")
"""


class Group:
    """Auto Scaling, that has these machines."""

    def __init__(self, *machines: tuple[str, str]) -> None:
        self._machines = machines

    def describe_auto_scaling_groups(self, **_: Any) -> dict[str, Any]:
        instances = [{"InstanceId": name, "LifecycleState": state} for name, state in self._machines]
        return {"AutoScalingGroups": [{"Instances": instances}]}


def stack(*machines: tuple[str, str]) -> Stack:
    made = Stack.of({**OUTPUTS, "region": "eu-central-1"}, boto3.Session("test", "test", region_name="us-east-1"))
    return replace(made, client=lambda _: Group(*machines))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!{sys.executable}\n{text}")
    (folder / name).chmod(0o755)


def test_a_port_leads_through_an_app_server_in_service_for_as_long_as_it_is_needed(programs: Path) -> None:
    put(programs, "session-manager-plugin", "")
    put(programs, "aws", SESSION.format(seen=str(programs / "seen")))
    with forwarded(stack(("i-1", "Pending:Wait"), ("i-2", "InService")), "db.example", 5432) as port:
        socket.create_connection((LOCAL, port), 1).close()
        assert (programs / "seen").read_text() == (
            "ssm start-session --target i-2 --region eu-central-1 "
            "--document-name AWS-StartPortForwardingSessionToRemoteHost "
            f"--parameters host=db.example,portNumber=5432,localPortNumber={port}"
        )
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOCAL, port), 1)


def test_a_session_that_is_refused_is_told_at_once_with_the_mend(programs: Path) -> None:
    put(programs, "session-manager-plugin", "")
    put(programs, "aws", REFUSAL)
    began = time.monotonic()
    with (
        pytest.raises(ForwardingError, match=r"TargetNotConnected.*i-2 is not connected.*sessionManager\.agentKey"),
        forwarded(stack(("i-2", "InService")), "db.example", 5432),
    ):
        pass
    assert time.monotonic() - began < 20


def test_what_is_missing_is_named_before_anything_is_asked_for(programs: Path) -> None:
    with (
        pytest.raises(ForwardingError, match="aws and session-manager-plugin must be on PATH"),
        forwarded(stack(("i-2", "InService")), "db.example", 5432),
    ):
        pass
    put(programs, "aws", REFUSAL)
    put(programs, "session-manager-plugin", "")
    with (
        pytest.raises(ForwardingError, match="no app server is in service"),
        forwarded(stack(("i-1", "Terminating:Wait")), "db.example", 5432),
    ):
        pass
