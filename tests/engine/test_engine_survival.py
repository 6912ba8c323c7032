"""An engine that is killed half-way leaves a state from which the next operation ends where it should."""

import time
from contextlib import suppress
from pathlib import Path

import psutil

from lab.engine.pulumi_cli import Cli
from tests.engine.engine_stack import EngineStack, end, kill
from tests.engine.inventory import inventory
from tests.engine.unanswered import unanswered
from tests.plan.lab_api_server import ApiServer

SECONDS = 60


def test_what_was_killed_again_and_again_is_finished_in_the_end(
    pulumi: Cli, api: ApiServer, artifacts: Path, tmp_path: Path
) -> None:
    before, planned = inventory(api), EngineStack(pulumi, api.endpoint, tmp_path).plan()

    def killed_at(call: str, operation: str) -> EngineStack:
        """When the API has done `call`, and nobody knows it yet."""
        with unanswered(api, call) as proxy:
            stack = EngineStack(pulumi, proxy.endpoint, tmp_path)
            stack.recover()
            engine = stack.begin(operation, "--yes", "--skip-preview")
            try:
                assert proxy.reached.wait(SECONDS), f"{call} is part of it"
            finally:
                kill(engine)
        return EngineStack(pulumi, api.endpoint, tmp_path)

    # It can be made twice; AWS takes no two of it; it holds data.
    for call in ("Action=CreateVpc&", "Action=AuthorizeSecurityGroupEgress&", "Action=CreateDBInstance&"):
        stack = killed_at(call, "up")
    finished = stack.up()
    assert sum(finished.changes.values()) == planned["create"], "all, and none twice"
    there = inventory(api)
    made = {kind: len(there[kind] - before[kind]) for kind in ("vpcs", "databases", "caches", "buckets", "groups")}
    assert made == {"vpcs": 1, "databases": 1, "caches": 1, "buckets": 1, "groups": 2}

    killed_at("Action=DeleteDBInstance&", "destroy").destroy()
    assert inventory(api) == before, "nothing is left that nobody knows of"


def test_a_provider_does_not_outlive_its_engine(stack: EngineStack) -> None:
    engine = stack.begin("preview")
    process = psutil.Process(engine.pid)
    try:
        provider = _await_provider(process)
    finally:
        others = process.children(recursive=True)
        engine.kill()
        engine.wait()
    try:
        provider.wait(10)
    finally:
        # The CLI's own language host outlives it by minutes.
        end(others)


def _await_provider(engine: psutil.Process) -> psutil.Process:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for child in engine.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it may end between two looks
                if "lab.provider.server" in child.cmdline() and _is_asked(child):
                    return child
        time.sleep(0.05)
    raise AssertionError("the engine started no provider")


def _is_asked(provider: psutil.Process) -> bool:
    return any(each.status == psutil.CONN_ESTABLISHED for each in provider.net_connections("tcp"))
