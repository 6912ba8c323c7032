"""The APM agents as on an app server: in a built artifact, under real PM2, telling a stand-in of each vendor's."""

import getpass
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from app_metrics import reports
from app_metrics.listener import Listener
from app_metrics.reports import Worker
from expressway_app import environment, paths

import artifact
from artifact import cache, npm
from artifact.runtime import tools
from tests.build.apm_backends import Backend
from tests.build.pm2_app import App
from tests.paths import ROOT
from tests.unit.artifact_apps import FIXTURES

FILES = ROOT / "user_data/app/files"
KEY = "0123456789abcdef0123456789abcdef0123NRAL"
# As anybody writes them: no line is for an agent.
COMMONJS = """
const app = require("express")();
app.get("/products/:id", (request, response) => response.json({ id: request.params.id }));
app.get(["/healthz", "/readyz"], (_request, response) => response.send("{}"));
module.exports = app;
"""
ES_MODULES = """
import express from "express";
const app = express();
app.get("/products/:id", (request, response) => response.json({ id: request.params.id }));
app.get(["/healthz", "/readyz"], (_request, response) => response.send("{}"));
app.listen(process.env.PORT);
"""
KINDS = {"commonjs": ("app.js", COMMONJS), "es-modules": ("src/server.js", ES_MODULES)}


REQUESTS = 600
SLOWER = 0.5
"""Seconds: a test's machine has other work to do, and whoever waited for a backend would take 2 s at least."""
MOST_MEMORY = 400e6
"""Bytes of a worker, with all that waits to be told."""


class Watched(App):
    """A built artifact under PM2, with the environment that a machine gives it."""

    agent: str | None = None
    """What the agent's program is to be in place of its own."""

    def __init__(self, folder: Path, runtime: Path, kind: str, machine: dict[str, Any], *, agent: bool = True) -> None:
        apm = machine["apm"]
        source = copytree(FIXTURES / kind, folder / "source")
        name, program = KINDS[kind]
        (source / name).write_text(program)
        vendor = apm["vendor"] if agent else None
        built = artifact.build(source, 24, npm.host_arch(), cache.root(), lambda _message: None, vendor)
        release = folder / "release"
        with tarfile.open(built.path) as tar:
            tar.extractall(release, filter="data")
        if self.agent is not None:
            (release / "apm/start.cjs").write_text(self.agent)
        secrets = {"shop/apm": f"{KEY}\n"}
        self.variables = environment.build(machine, "release-1", "i-1", secrets)
        self.variables["EXPRESSWAY_APM_AGENT"] = str(release / "apm/start.cjs")
        self.variables["EXPRESSWAY_METRICS_SOCKET"] = str(folder / "workers.sock")
        del self.variables["PORT"]  # a free one
        self.listener = Listener(folder / "workers.sock")
        manifest = json.loads((release / "expressway.json").read_text())
        self.begin = lambda: self.run(folder, runtime, manifest, self.variables)

    def workers(self, seconds: float, good: Callable[[list[Worker]], bool] = lambda _workers: False) -> list[Worker]:
        """What its workers tell, once that is good or the seconds are over."""
        deadline = time.time() + seconds
        while True:
            self.listener.wait(time.time() + 1)
            found = reports.workers(self.listener.processes())
            if good(found) or time.time() > deadline:
                return found

    def dropped(self, seconds: float) -> float:
        """What its workers say that their agents have dropped, so many seconds from now."""
        return sum(each.together("apm_dropped") for each in self.workers(seconds))

    def stop(self) -> None:
        if hasattr(self, "process"):
            super().stop()
        self.listener.close()


@pytest.fixture(scope="module")
def runtime() -> Path:
    """Node and PM2, unpacked; the user's cache keeps them."""
    return tools(24, cache.root(), lambda _message: None).root


@pytest.fixture(params=["http", "https"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, runtime: Path) -> Iterator[Backend]:
    backend = Backend(tmp_path, runtime, tls=request.param == "https")
    yield backend
    backend.close()


Start = Callable[..., Watched]


@pytest.fixture
def start(tmp_path: Path, runtime: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts an app, whose agent is told of `backend`."""
    for name, value in {
        "USER": getpass.getuser(),
        "PM2_HOME": tmp_path / "pm2",
        "HOME": tmp_path,
        "MEASURE": FILES / "measure.cjs",
        "APM": FILES / "apm.cjs",
        "CA_BUNDLE": backend.authority,
    }.items():
        monkeypatch.setattr(paths, name, value)
    started: list[Watched] = []

    def start(vendor: str, kind: str, *, agent: bool = True, **apm: Any) -> Watched:
        told = {
            "vendor": vendor,
            "service": "shop",
            "environment": "dev",
            "secret": "shop/apm",
            "endpoint": backend.url,
            "controller": "acme.saas.example.com" if vendor == "appdynamics" else None,
        }
        app = {"port": 0, "liveness_path": "/healthz", "readiness_path": "/readyz", "environment": {}, "secrets": {}}
        machine = {"app": app, "apm": told | apm, "database": None, "cache": None, "metrics": True}
        started.append(Watched(tmp_path / "app", runtime, kind, machine, agent=agent))
        started[-1].begin()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vendor", ["opentelemetry", "appdynamics"])
@pytest.mark.parametrize("backend", ["http"], indirect=True)
def test_traces_of_an_unmodified_app_arrive_over_otlp(start: Start, backend: Backend, vendor: str, kind: str) -> None:
    app = start(vendor, kind)
    assert [app.ask(f"/products/{n}")[0] for n in range(8)] == [200] * 8

    def served() -> list[tuple[dict[str, str], str, dict[str, str]]]:
        return [each for each in backend.spans() if each[2].get("http.route") == "/products/:id"]

    backend.wait(lambda _sent: len(served()) >= 8)
    about, name, _ = served()[0]
    assert (about["service.name"], about["service.version"], about["host.id"]) == ("shop", "release-1", "i-1")
    assert about["deployment.environment.name"] == "dev"
    assert name == "GET /products/:id"
    assert not [each for each in backend.spans() if "readyz" in str(each)], "the machine's own questions are none"
    if vendor == "appdynamics":
        told = {name: about[f"appdynamics.controller.{name}"] for name in ("account", "host", "port")}
        assert told == {"account": "acme", "host": "acme.saas.example.com", "port": "443"}
        assert about["service.namespace"] == "shop"
        assert {each.headers["x-api-key"] for each in backend.sent} == {KEY}
    assert_the_key_is_nowhere_else(app, backend)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["https"], indirect=True)
def test_new_relic_is_told_of_an_unmodified_app(start: Start, backend: Backend, kind: str) -> None:
    app = start("newrelic", kind)
    for n in range(8):
        app.ask(f"/products/{n}")

    def told(method: str) -> list[Any]:
        return [json.loads(each.body) for each in backend.sent if each.query.get("method") == method]

    backend.wait(lambda _sent: "Expressjs/GET//products/:id" in json.dumps(told("analytic_event_data")))
    (about, *_) = told("connect")[0]
    assert (about["app_name"], about["display_host"]) == (["shop"], "i-1")
    labels = {each["label_type"]: each["label_value"] for each in about["labels"]}
    assert labels == {"environment": "dev", "release": "release-1"}
    assert "readyz" not in json.dumps(told("analytic_event_data"))
    assert {each.query["license_key"] for each in backend.sent} == {KEY}
    assert KEY not in app.log.read_text()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["https", "http"], indirect=True)
def test_datadog_is_told_of_an_unmodified_app(start: Start, backend: Backend, kind: str) -> None:
    """Over HTTPS its intake, with the key; over HTTP an agent of Datadog's, which has a key of its own."""
    app = start("datadog", kind)
    for n in range(8):
        app.ask(f"/products/{n}")
    intake = backend.url.startswith("https")
    path = "/api/v2/spans" if intake else "/v0.4/traces"
    backend.wait(lambda sent: any(each.path == path and b"GET /products/:id" in each.body for each in sent))
    told = [each for each in backend.sent if each.path == path]
    body = b"".join(each.body for each in told)
    assert all(word in body for word in (b"shop", b"release-1", b"i-1", b"express.request"))
    assert b"readyz" not in body
    assert {each.headers.get("dd-api-key") for each in told} == ({KEY} if intake else {None})
    assert_the_key_is_nowhere_else(app, backend)


TROUBLE = {"refuses": 503, "never answers": None}


@pytest.mark.parametrize(
    ("vendor", "backend"),
    [("opentelemetry", "http"), ("newrelic", "https"), ("datadog", "https"), ("datadog", "http")],
    indirect=["backend"],
)
def test_no_request_notices_a_backend_in_trouble_and_what_it_was_not_told_is_counted(
    start: Start, backend: Backend, vendor: str
) -> None:
    app = start(vendor, "commonjs")
    load(app, 200)
    backend.wait(lambda sent: len(sent) > 1)
    well = load(app, REQUESTS)
    assert app.dropped(6) == 0, "nothing, as long as it takes everything"
    for status in TROUBLE.values():
        backend.status = status
        assert load(app, REQUESTS) < well + SLOWER
    backend.close()
    assert load(app, REQUESTS) < well + SLOWER, "nor one that is gone"
    found = app.workers(30, lambda workers: sum(each.together("apm_dropped") for each in workers) > 100)
    assert max(each.together("rss") for each in found) < MOST_MEMORY
    assert [each.restarts for each in found] == [0, 0]


def test_the_app_starts_and_says_so_without_its_agent(start: Start, backend: Backend) -> None:
    app = start("opentelemetry", "commonjs", agent=False)
    app.await_log("APM: opentelemetry isn't told anything: this release was built without its agent")
    found = app.workers(60, lambda workers: len(workers) == 2)
    assert [each.together("apm_missing") for each in found] == [1, 1]


def test_the_app_starts_and_says_so_without_its_key(start: Start, backend: Backend) -> None:
    app = start("newrelic", "es-modules", secret="shop/another")
    app.await_log("APM: newrelic isn't told anything: its secret can't be read")
    found = app.workers(60, lambda workers: len(workers) == 2)
    assert [each.together("apm_missing") for each in found] == [1, 1]
    assert backend.sent == []


def test_the_app_starts_and_says_so_when_the_agent_is_broken(
    start: Start, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watched, "agent", 'throw new Error("out of order");')
    app = start("datadog", "es-modules")
    app.await_log("APM: the agent doesn't start: out of order")
    assert app.ask("/products/1") == (200, {"id": "1"})


def load(app: App, requests: int) -> float:
    """The time in which 99 in 100 requests are answered, in seconds; each has to be."""

    def ask(number: int) -> float:
        began = time.monotonic()
        assert app.ask(f"/products/{number}")[0] == 200
        return time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        times = sorted(pool.map(ask, range(requests)))
    return times[int(len(times) * 0.99)]


def assert_the_key_is_nowhere_else(app: Watched, backend: Backend) -> None:
    assert KEY not in app.log.read_text()
    assert not [each for each in backend.sent if KEY.encode() in each.body]
