"""One API for all tests here, and the real program applied to it once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab.aws import Aws
from lab.provider import server
from tests.plan.applied_stack import Applied
from tests.plan.built_artifacts import fill
from tests.plan.lab_api_server import ROOT, ApiServer, running_api
from tests.plan.provider_client import ProviderClient
from tests.plan.provider_world import World

NODE, ARCH = 24, "x64"
DEFAULT_TAGS = {"project": "contract", "stack": "lab"}


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The lab's API, prewarmed."""
    with running_api(tmp_path_factory.mktemp("lab-api")) as server:
        yield server


@pytest.fixture(scope="module")
def own_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API with nothing else in it: two networks of one range are more than one lab can be."""
    with running_api(tmp_path_factory.mktemp("own-api")) as server:
        yield server


@pytest.fixture(scope="session")
def applied(api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """The program with the lab's own configuration, on small stand-ins for the app and its runtime."""
    cache = tmp_path_factory.mktemp("cache")
    fill(cache, ROOT / "app", NODE, ARCH)
    command = [sys.executable, "-m", "lab.engine.mocks", "--endpoint", api.endpoint, "--json"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "EXPRESSWAY_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    applied = Applied(api, events[-1]["outputs"], events[-1]["seconds"])
    for event in events[:-1]:
        applied.ids[event["type"]][event["name"]] = event["id"]
    return applied


@pytest.fixture(scope="session")
def provider(api: ApiServer) -> Iterator[ProviderClient]:
    """A configured provider."""
    running, port = server.serve(api.endpoint)
    client = ProviderClient(port)
    client.configure(region="us-east-1", defaultTags={"tags": DEFAULT_TAGS})
    yield client
    running.stop(None)


@pytest.fixture(scope="session")
def world(api: ApiServer) -> World:
    """What the resources refer to."""
    return World(Aws(api.endpoint, "us-east-1"))
