"""`expressway load`, asked for what it can't or mustn't do: one clear line, and nothing is sent."""

import socket
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from cli import load, targets
from cli.main import app
from cli.targets import Target
from operate.load import vegeta
from operate.stack import Stack

LAB = "http://198.51.100.3"


def stack_at(url: str | None) -> Target:
    stack = Stack("b", "p", "a", "e", "us-east-1", url, 24, "x64", lambda _: None)
    return Target("lab", stack, None, apps={})


@pytest.fixture(autouse=True)
def nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lab is up here, whatever this machine does beside; and whoever gets as far as the generator went too far."""

    def ensure(*_: Any) -> Path:
        raise AssertionError("it was about to load something")

    monkeypatch.setattr(targets, "find_lab", lambda: None)
    monkeypatch.setattr(vegeta, "ensure", ensure)


def closed() -> str:
    """A URL where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rate", "0"], "--rate 0: it must be 1 request a second at least"),
        (["--start-rps", "-5"], "--start-rps -5: it must be 1 request a second at least"),
        (["--max-rps", "0"], "--max-rps 0: it must be 1"),
        (["--start-rps", "9", "--max-rps", "8"], "--start-rps is higher than --max-rps"),
        (["--rate", "9", "--max-rps", "8"], "--rate is one rate"),
        (["--step", "0"], "--step 0: it must be 1 to 600 seconds"),
        (["--json", "/nowhere/out.json"], "--json /nowhere/out.json: there is no such folder"),
        (["--json", "/"], "--json /: there is no such folder"),
        (["--mix", "/nowhere/mix.yaml"], "/nowhere/mix.yaml: No such file or directory"),
        (["--access-log", "/nowhere/log"], "--access-log /nowhere/log: No such file or directory"),
        (["--url", "shop.example.com"], "--url shop.example.com: it must be a site's address"),
        (["--url", "ftp://shop.example.com"], "--url ftp://shop.example.com: it must be a site's address"),
        (["--profile", "--profile-seconds", "0"], "--profile-seconds 0: it must be 1 to 60 seconds"),
        (["--profile", "--profile-seconds", "10000"], "--profile-seconds 10000: it must be 1 to 60 seconds"),
        (["--profile-machine", "i-1"], "--profile-machine goes with --profile"),
        (
            ["--profile", "--url", "https://shop.example.com", "--i-own-this-target"],
            "--profile needs a stack, whose machines are asked for it: https://shop.example.com is none that is known",
        ),
        (["--url", LAB], f"--url {LAB} is neither the lab nor the stack: with --i-own-this-target"),
        ([], "there is no lab here: start one with make up, or name a stack"),
    ],
)
def test_what_makes_no_load_is_refused_with_one_line(words: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["load", *words])
    assert done.exit_code == 2, done.stderr
    assert done.stderr.startswith(f"error: {told}")
    assert done.stderr.count("\n") == 1


def test_who_is_not_there_can_not_be_loaded() -> None:
    url = closed()
    done = CliRunner().invoke(app, ["load", "--url", url, "--i-own-this-target"])
    assert (done.exit_code, done.stderr) == (2, f"error: {url} can't be reached: Connection refused\n")


def test_a_mix_with_a_mistake_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mix.yaml"
    file.write_text("routes:\n  - {path: /, weight: -1}\n")
    done = CliRunner().invoke(app, ["load", "--mix", str(file)])
    assert done.exit_code == 2
    assert done.stderr == f"error: {file}:2:15: routes[0].weight = -1: it must be more than 0\n"


@pytest.mark.parametrize("url", [LAB, f"{LAB}/", f"{LAB}:80"])
def test_the_labs_own_address_needs_no_leave(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(targets, "find_lab", lambda: stack_at(LAB))
    target, site = cast(Any, load)._target(url, None, None, mine=False)
    assert target is not None
    assert (target.name, site) == ("lab", LAB)


@pytest.mark.parametrize(
    "url", ["https://198.51.100.3", "https://198.51.100.3:80", f"{LAB}:8080", "http://198.51.100.4", f"{LAB}/admin"]
)
def test_what_only_looks_like_the_lab_needs_leave_and_has_no_readings_of_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(targets, "find_lab", lambda: stack_at(LAB))
    done = CliRunner().invoke(app, ["load", "--url", url])
    assert done.exit_code == 2
    assert "is neither the lab nor the stack" in done.stderr
    assert cast(Any, load)._target(url, None, None, mine=True) == (None, url)
