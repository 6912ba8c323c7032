"""`expressway load`, asked for what it can't or mustn't do: one clear line, and nothing is sent."""

import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from load_runs import computing
from typer.testing import CliRunner

from cli import load, targets
from cli.main import app
from cli.targets import Target
from operate.fleet import Group
from operate.load import reach, vegeta
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
        (["--plan", "fast", "--p95", "100ms"], "--plan fast: it must be requests a second"),
        (["--plan", "0rps", "--p95", "100ms"], "--plan 0rps: it must be requests a second"),
        (["--plan", "-5", "--p95", "100ms"], "--plan -5: it must be requests a second"),
        (["--plan", "2000rpm", "--p95", "100ms"], "--plan 2000rpm: it must be requests a second"),
        (["--plan", "2000rps"], "--plan 2000rps: say within which time, such as --p95 100ms"),
        (["--plan", "2000rps", "--p95", "100"], "--p95 100: it must be a time with its unit"),
        (["--plan", "2000rps", "--p95", "0s"], "--p95 0s: it must be a time with its unit"),
        (["--plan", "2000rps", "--p95", "2m"], "--p95 2m: it must be a time with its unit"),
        (["--p95", "100ms"], "--p95 100ms is a plan's: say for which rate"),
        (["--pool", "5"], "--pool 5 is a plan's"),
        (["--plan", "2000rps", "--p95", "100ms", "--pool", "0"], "--pool 0: it must be 1 to 1000"),
        (["--from", "/nowhere/out.json"], "--from /nowhere/out.json is to plan from"),
        (["--from", "/nowhere/out.json", "--plan", "9", "--p95", "1s"], "--from /nowhere/out.json: No such file"),
        (["--from", __file__, "--plan", "9", "--p95", "1s"], f"--from {__file__}: this is no run"),
        (["--check", "1,two"], "--check 1,two: it must be numbers of app servers"),
        (["--check", "0"], "--check 0: it must be numbers of app servers"),
        (["--check", "1,1"], "--check 1,1: it must be numbers of app servers, each once"),
        (["--check", ""], "--check : it must be numbers of app servers"),
        ([], "there is no lab here: start one with make up, or name a stack"),
    ],
)
def test_what_makes_no_load_is_refused_with_one_line(words: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["load", *words])
    assert done.exit_code == 2, done.stderr
    assert done.stderr.startswith(f"error: {told}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("rate", ["2000rps", "2000/s", "2000"])
@pytest.mark.parametrize("time", ["100ms", "0.1s"])
def test_a_plan_from_a_run_needs_no_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: str, time: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.json").write_text(json.dumps(computing().as_json()))
    asked = ["--from", "run.json", "--plan", rate, "--p95", time, "--json", "out.json"]
    done = CliRunner().invoke(app, ["load", *asked])
    assert done.exit_code == 0, done.stderr
    told = json.loads(Path("out.json").read_text())
    assert (told["plan"]["rate"], told["plan"]["p95"]) == (2000, 100)
    assert told["plan"]["cost"]["month"] > 0
    assert told["knee_rps"] == 320, "the run itself, too"
    assert "plan for 2,000 requests/s with a p95 of 100 ms" in done.stdout
    assert "A plan for 2000 requests/s" in Path("load.html").read_text()


def test_a_run_that_can_not_tell_is_told_in_one_line_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.json").write_text(json.dumps(computing().as_json()))
    done = CliRunner().invoke(app, ["load", "--from", "run.json", "--plan", "2000rps", "--p95", "1ms"])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: --plan: no number of servers has a p95 of 1 ms")


def test_numbers_of_servers_that_the_group_does_not_take_are_refused_before_the_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets, "find", lambda *_: stack_at(LAB))
    fleet = SimpleNamespace(app=Group("app", 2, 2, 4, None, ()))
    monkeypatch.setattr("operate.fleet.Observer", lambda _: SimpleNamespace(look=lambda: fleet))
    done = CliRunner().invoke(app, ["load", "--check", "2,5"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: --check 2,5: app takes 2 to 4 machines, not 5: raise expressway:app.maxSize")
    assert done.stderr.count("\n") == 1


def test_a_run_of_another_mix_is_nothing_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = SimpleNamespace(app=Group("app", 2, 1, 4, None, ()))
    monkeypatch.setattr(targets, "find", lambda *_: stack_at(LAB))
    monkeypatch.setattr("operate.fleet.Observer", lambda _: SimpleNamespace(look=lambda: fleet))
    monkeypatch.setattr(reach, "ask", lambda *_, **__: 200)
    monkeypatch.setattr(vegeta, "ensure", lambda *_: Path("/bin/false"))
    run, mix = tmp_path / "run.json", tmp_path / "mix.yaml"
    run.write_text(json.dumps(computing().as_json()))
    mix.write_text("routes:\n  - {path: /other}\n")
    done = CliRunner().invoke(app, ["load", "--check", "1", "--from", str(run), "--mix", str(mix)])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(f"error: --from {run}: that run asked for something else")


def test_another_site_has_no_servers_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["load", "--url", LAB, "--i-own-this-target", "--check", "1"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: --check changes the number of app servers: name the stack")


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
