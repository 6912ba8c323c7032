"""What PM2 is told to run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from expressway_app import pm2

GIB = 2**30
RELEASE = Path("/srv/releases/0123456789ab")
RUNTIME = Path("/opt/expressway/runtime/feedc0de")
CLUSTER: dict[str, Any] = {
    "name": "shop",
    "version": "1.2.3",
    "start": {
        "mode": "cluster",
        "script": "src/server.js",
        "args": ["--color", "a b"],
        "npm_script": None,
        "reason": "",
    },
    "wait_ready": True,
    "node": 24,
}
FORK = CLUSTER | {"start": {"mode": "fork", "script": None, "args": [], "npm_script": "start", "reason": "next start"}}


def process(manifest: dict[str, Any], cpus: int = 2, memory: int = 2 * GIB) -> dict[str, Any]:
    apps = json.loads(pm2.ecosystem(manifest, RELEASE, RUNTIME, cpus, memory))["apps"]
    assert len(apps) == 1, "one app a machine"
    return apps[0]


@pytest.mark.parametrize(("name", "manifest"), [("cluster", CLUSTER), ("fork", FORK)])
def test_the_ecosystem_is_what_was_agreed(
    name: str, manifest: dict[str, Any], golden: Callable[[str, str], None]
) -> None:
    text = pm2.ecosystem(manifest, RELEASE, RUNTIME, 2, 2 * GIB)
    assert text == pm2.ecosystem(dict(reversed(manifest.items())), RELEASE, RUNTIME, 2, 2 * GIB), "not the same bytes"
    golden(f"ecosystem.{name}.json", text)


@pytest.mark.parametrize(("cpus", "workers"), [(1, 2), (2, 2), (8, 8)])
def test_there_is_a_worker_per_cpu_and_always_a_second_one(cpus: int, workers: int) -> None:
    assert process(CLUSTER, cpus=cpus)["instances"] == workers


@pytest.mark.parametrize("cpus", [1, 2, 16])
def test_workers_share_most_of_the_memory_and_not_all_of_it(cpus: int) -> None:
    found = process(CLUSTER, cpus=cpus, memory=4 * GIB)
    share = found["max_memory_restart"] * found["instances"] / (4 * GIB)
    assert 0.6 < share <= 0.7, f"{share:.0%} of the memory"


def test_only_an_app_that_says_so_is_waited_for() -> None:
    assert process(CLUSTER)["wait_ready"] is True
    assert process(CLUSTER | {"wait_ready": False})["wait_ready"] is False, "it would time out at each start"


def test_what_a_cluster_cannot_take_runs_once_through_npm() -> None:
    found = process(FORK)
    assert (found["exec_mode"], found["instances"]) == ("fork", 1)
    assert found["script"] == "/opt/expressway/runtime/feedc0de/bin/npm", "the runtime's own, not the system's"
    assert found["args"] == ["run", "start"]
    assert "wait_ready" not in found, "npm never says that it is ready"


def test_a_crashing_app_is_never_given_up() -> None:
    for manifest in (CLUSTER, FORK):
        found = process(manifest)
        assert found["exp_backoff_restart_delay"] > 0, "PM2 stops for good after 16 quick crashes otherwise"


def test_systemd_waits_longer_than_pm2_which_waits_longer_than_a_drain() -> None:
    unit = (Path(pm2.__file__).parent.parent / "units/expressway-app.service").read_text()
    stop = next(int(line.split("=")[1]) for line in unit.splitlines() if line.startswith("TimeoutStopSec="))
    assert stop * 1000 > 2 * pm2.KILL_TIMEOUT_MS, "PM2 stops ten workers at a time"


def test_an_unknown_start_mode_is_an_error() -> None:
    with pytest.raises(ValueError, match="'spawn'"):
        process(CLUSTER | {"start": CLUSTER["start"] | {"mode": "spawn"}})


BESIDE = CLUSTER | {
    "processes": {
        "worker": {"command": "npm run worker", "on": "every"},
        "clock": {"command": "node clock.js --utc", "on": "one"},
    }
}


def test_processes_beside_the_web_one_are_what_was_agreed(golden: Callable[[str, str], None]) -> None:
    golden("ecosystem.processes.json", pm2.ecosystem(BESIDE, RELEASE, RUNTIME, 2, 2 * GIB))


def test_a_process_beside_the_web_one_runs_once_and_comes_back_and_gives_way_like_it() -> None:
    web, clock, worker = json.loads(pm2.ecosystem(BESIDE, RELEASE, RUNTIME, 2, 2 * GIB))["apps"]
    assert [each["name"] for each in (web, clock, worker)] == ["shop", "clock", "worker"]
    for each in (clock, worker):
        assert (each["exec_mode"], each["instances"]) == ("fork", 1)
        for key in ("cwd", "kill_timeout", "exp_backoff_restart_delay"):
            assert each[key] == web[key], key
        assert each["max_memory_restart"] == web["max_memory_restart"]
    total = 2 * web["max_memory_restart"] + clock["max_memory_restart"] + worker["max_memory_restart"]
    assert total <= 0.7 * 2 * GIB, "all together leave something to the system"
    assert worker["args"] == ["--identifier=worker", "--", "/bin/bash", "-c", "npm run worker"], (
        "its name in the journal"
    )
    assert clock["args"][2:4] == ["/opt/expressway/bundle/run-on-one", "clock"], "it waits for its lease"
    assert worker["env"]["PATH"].startswith(f"{RELEASE}/app/node_modules/.bin:{RUNTIME}/bin:")


def test_only_processes_that_the_fleet_has_once_need_a_lease() -> None:
    assert pm2.fleet_wide(BESIDE) == ["clock"]
    assert pm2.fleet_wide(CLUSTER) == [], "the manifest of an older build"
