"""No secret is in any log that Pulumi calls safe to read."""

from pathlib import Path

import pytest

from tests.engine.engine_stack import EngineStack
from tests.engine.inventory import secret_values
from tests.plan.lab_api_server import ApiServer

VERBOSE = ("--logtostderr", "--logflow", "-v=8", "--debug")
"""All that the engine and its plugins say. From -v=9 on Pulumi itself logs each property, secret or not."""


def test_no_secret_is_in_any_log(
    stack: EngineStack, api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_DEBUG_COMMANDS", "true")  # for --event-log
    events = tmp_path / "events.json"
    stack.configure()
    logs = {
        "up": stack.cli("up", "--yes", "--skip-preview", *VERBOSE, f"--event-log={events}"),
        "the events": events.read_text(),
    }
    stack.configure("expressway:cache.nodeType=cache.t4g.small", "expressway:database.storageGb=40")
    logs["preview"] = stack.cli("preview", "--diff", "--show-secrets=false", *VERBOSE)
    logs["the API's log"] = (api.tls_dir.parent / "api.log").read_text()

    assert "lab-cache-redis" in logs["up"], "the log tells what is done"
    assert "lab-cache-token" in logs["the events"], "and so do the events"
    assert "cache.t4g.small" in logs["preview"], "and the diff"
    secrets = {**secret_values(api), "passphrase": stack.home.passphrase.read_text()}
    assert len(secrets) == 3
    found = [f"{name} in {log}" for name, value in secrets.items() for log, text in logs.items() if value in text]
    assert not found
