"""The cloud-config of both tiers."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from components import _render
from tests.paths import ROOT

USER_DATA = ROOT / "user_data"
TIERS = ("app", "edge")
HALF = _render.LIMIT // 2


@pytest.mark.parametrize("tier", TIERS)
def test_the_user_data_is_what_was_agreed(
    tier: str, machines: dict[str, dict[str, Any]], golden: Callable[[str, str], None]
) -> None:
    golden(f"{tier}.cloud-config.yaml", _render.render(tier, machines[tier]))


@pytest.mark.parametrize("tier", TIERS)
def test_rendering_twice_gives_the_same_bytes(tier: str, machines: dict[str, dict[str, Any]]) -> None:
    backwards = dict(reversed(machines[tier].items()))
    assert _render.render(tier, machines[tier]) == _render.render(tier, backwards), "the order of keys shows"


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", ["machine", "packages", "bootstrap"])
def test_a_name_that_nobody_gives_is_an_error(tier: str, name: str, machines: dict[str, dict[str, Any]]) -> None:
    context = {"machine": machines[tier], "packages": ["nginx"], "bootstrap": "pass"}
    del context[name]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(USER_DATA),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701, YAML, not HTML
    )
    # tojson says it in its own words.
    with pytest.raises((jinja2.UndefinedError, TypeError), match=f"'{name}' is undefined|type StrictUndefined"):
        environment.get_template(f"{tier}/cloud-config.yaml.j2").render(**context)


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_written_on_the_machine_is_what_went_in(tier: str, machines: dict[str, dict[str, Any]]) -> None:
    text = _render.render(tier, machines[tier])
    assert text.startswith("#cloud-config\n"), "cloud-init tells by the first line what this is"
    files = {each["path"]: each["content"] for each in yaml.safe_load(text)["write_files"]}
    assert json.loads(files["/etc/expressway/machine.json"]) == machines[tier], "machine.json lost something"
    for name in ("bootstrap.py", "install-packages.sh"):
        original = (USER_DATA / "common" / name).read_text()
        assert files[f"/opt/expressway/{name}"].rstrip("\n") == original.rstrip("\n"), f"{name} was changed on its way"


@pytest.mark.parametrize("tier", TIERS)
def test_values_cannot_break_out_of_their_file(tier: str, machines: dict[str, dict[str, Any]]) -> None:
    nasty = "x\nruncmd:\n  - evil\n{{ bootstrap }} {% raw %} \u2028 \x00 # ' \" \\"
    machine = machines[tier] | {"name": nasty}
    document = yaml.safe_load(_render.render(tier, machine))
    assert len(document["runcmd"]) == 3, "a value became a command"
    assert json.loads(document["write_files"][0]["content"])["name"] == nasty, "the value was changed"


@pytest.mark.parametrize("tier", TIERS)
def test_the_first_failing_step_is_the_last_one(tier: str, machines: dict[str, dict[str, Any]]) -> None:
    commands = yaml.safe_load(_render.render(tier, machines[tier]))["runcmd"]
    assert commands[0] == "set -e", "a failure would be forgotten by the steps after it"
    packages = (USER_DATA / tier / "packages.txt").read_text().split()
    assert commands[1] == ["sh", "/opt/expressway/install-packages.sh", *packages], "packages come first"
    assert commands[2] == ["python3", "/opt/expressway/bootstrap.py"], "the rest is the bundle's"


def test_the_apps_own_packages_are_installed_too(machines: dict[str, dict[str, Any]]) -> None:
    text = _render.render("app", machines["app"], packages=["ffmpeg", "g++", "0ad", "1.5"])
    installed = yaml.safe_load(text)["runcmd"][1]
    assert installed[-4:] == ["ffmpeg", "g++", "0ad", "1.5"], "as text, whatever YAML would take them for"


@pytest.mark.parametrize("tier", TIERS)
def test_half_of_the_space_is_left_for_values(tier: str, machines: dict[str, dict[str, Any]]) -> None:
    size = len(_render.render(tier, machines[tier]).encode())
    assert size < HALF, f"{size} bytes of {_render.LIMIT}"


@pytest.mark.parametrize("tier", TIERS)
def test_packages_are_listed_once_each_and_in_order(tier: str) -> None:
    packages = (USER_DATA / tier / "packages.txt").read_text().splitlines()
    assert packages == sorted(set(packages)), "one a line, sorted"
    assert "python3-boto3" in packages, "bootstrap.py needs it"


def test_nothing_in_the_user_data_looks_like_a_secret(machines: dict[str, dict[str, Any]]) -> None:
    suspicious = re.compile(
        r"AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY|(password|token|secret)['\"]?\s*[:=]\s*['\"][^'\"]{8,}"
    )
    for tier in TIERS:
        lines = _render.render(tier, machines[tier]).splitlines()
        # machine.json names secrets, by ARN or name; it has no values.
        found = [line for line in lines if suspicious.search(line) and "arn:aws:secretsmanager:" not in line]
        assert found == [], f"{tier}: {found}"


def test_what_a_machine_starts_is_executable() -> None:
    for name in ("app/files/install", "app/files/write-environment", "app/files/follow-secrets", "edge/files/install"):
        path = USER_DATA / name
        assert path.stat().st_mode & 0o111, f"{name} can't be started"
        assert path.read_text().startswith("#!/usr/bin/python3\n"), f"{name} must run under the system's Python"


def test_what_dpkg_starts_on_the_edge_is_executable() -> None:
    hook = (USER_DATA / "edge/files/apt/53expressway-nginx").read_text()
    assert "/opt/expressway/bundle/renew-nginx" in hook
    assert (USER_DATA / "edge/files/renew-nginx").stat().st_mode & 0o111


def test_packages_that_are_there_are_not_asked_for(tmp_path: Path) -> None:
    asked = _install_packages(tmp_path, dpkg_query="printf 'installed\\ninstalled\\n'", apt_get="exit 0")
    assert asked == [], "even fresh lists take seconds"


def test_a_missing_package_is_installed_from_the_lists_at_hand(tmp_path: Path) -> None:
    asked = _install_packages(tmp_path, dpkg_query="echo installed; exit 1", apt_get="exit 0")
    assert len(asked) == 1, asked
    assert asked[0].endswith("install nginx python3-boto3"), asked


def test_stale_lists_are_renewed_before_the_second_try(tmp_path: Path) -> None:
    asked = _install_packages(tmp_path, dpkg_query="exit 1", apt_get="test -e tried || { touch tried; exit 100; }")
    assert [line.split()[-1] for line in asked] == ["python3-boto3", "update", "python3-boto3"], asked


def _install_packages(folder: Path, dpkg_query: str, apt_get: str) -> list[str]:
    """Run install-packages.sh with programs that stand in for Debian's; what apt-get was asked."""
    (folder / "asked").touch()
    for name, body in {"dpkg-query": dpkg_query, "apt-get": f'echo "$*" >> asked\n{apt_get}'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    command = ["sh", str(USER_DATA / "common/install-packages.sh"), "nginx", "python3-boto3"]
    subprocess.run(command, check=True, cwd=folder, env={"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True)
    return (folder / "asked").read_text().splitlines()
