"""The APM agents' locks, and what of them goes into an artifact."""

import json
from pathlib import Path, PurePosixPath

import pytest

import artifact
from artifact import BuildError, agents
from components import planning
from tests.paths import ROOT
from tests.unit.artifact_apps import FIXTURES

LOCKS = ROOT / "artifact/agents"


def test_there_is_an_agent_for_each_vendor_that_the_settings_have() -> None:
    assert set(agents.AGENTS) == set(planning.APM_VENDORS)
    assert {each.name for each in LOCKS.iterdir()} == set(agents.AGENTS.values()), "and none that nobody asks for"


@pytest.mark.parametrize("agent", sorted(set(agents.AGENTS.values())))
def test_every_package_of_an_agent_is_pinned_by_its_hash(agent: str) -> None:
    wanted = json.loads((LOCKS / agent / "package.json").read_text())["dependencies"]
    lock = json.loads((LOCKS / agent / "package-lock.json").read_text())["packages"]
    assert lock[""]["dependencies"] == wanted, "the lock is of this package.json"
    assert all(version[0].isdigit() for version in wanted.values()), "no range"
    packages = {name: each for name, each in lock.items() if name}
    assert not [name for name, each in packages.items() if not each.get("integrity", "").startswith("sha512-")]
    assert not [name for name, each in packages.items() if "resolved" in each], "whatever registry has it"


def test_an_app_without_apm_is_the_same_artifact_as_ever_and_each_agent_makes_another() -> None:
    def identity(apm: str | None = None) -> str:
        return artifact.source_hash(FIXTURES / "commonjs", 24, "x64", apm)

    assert identity() == artifact.source_hash(FIXTURES / "commonjs", 24, "x64")
    assert len({identity(), identity("newrelic"), identity("datadog"), identity("opentelemetry")}) == 4
    assert identity("appdynamics") == identity("opentelemetry"), "one agent, told otherwise"


def test_an_unknown_vendor_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no APM agent for dynatrace\. Choose newrelic, appdynamics, datadog"):
        artifact.build(FIXTURES / "commonjs", 24, "x64", tmp_path, lambda _message: None, "dynatrace")


def test_what_is_there_to_read_or_for_other_machines_stays_behind() -> None:
    skip = agents.left_out("arm64")
    modules = PurePosixPath("apm/node_modules")
    behind = [
        *("a/index.js.map", "a/index.d.ts", "a/README.md", "@opentelemetry/api/build/esm"),
        *("@datadog/pprof/prebuilds/linux-x64", "@datadog/pprof/prebuilds/darwin-arm64"),
        "@datadog/pprof/prebuilds/linuxmusl-arm64",
    ]
    assert all(skip(modules / each) for each in behind)
    there = [
        *("a/index.js", "a/package.json", "a/LICENSE", "@opentelemetry/api/build/src", "b/build/esm.js"),
        *("@datadog/pprof/prebuilds", "@datadog/pprof/prebuilds/linux-arm64/node-127.node"),
    ]
    assert not any(skip(modules / each) for each in there)
