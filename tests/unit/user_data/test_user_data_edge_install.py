"""The edge's boot: in which order it takes up its work, and what becomes of a machine that can't."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from expressway_edge import install


class Boot:
    """A boot whose steps are noted and not taken. The step named `fails` raises `error`."""

    def __init__(self, fails: str = "", error: Exception | None = None) -> None:
        self.steps: list[str] = []
        self._fails, self._error = fails, error

    def step(self, name: str, answer: Any = None) -> Callable[..., Any]:
        def take(*_: object, **__: object) -> Any:
            self.steps.append(name)
            if name == self._fails and self._error:
                raise self._error
            return answer

        return take


def run(monkeypatch: pytest.MonkeyPatch, machine: dict[str, Any], boot: Boot) -> int:
    monkeypatch.setattr(install.config, "load", lambda: machine)
    for name in ("start_nginx", "start_certificate", "start_reconciler"):
        monkeypatch.setattr(install, name, boot.step(name))
    monkeypatch.setattr(install, "start_beside", lambda unit: boot.step(unit)())
    monkeypatch.setattr(install.metadata, "instance_id", lambda: "i-edge")
    monkeypatch.setattr(install.address, "claim", boot.step("claim", "198.51.100.3"))
    monkeypatch.setattr(install.launch, "complete", boot.step("complete"))
    monkeypatch.setattr(install.launch, "abandon", boot.step("abandon"))
    return install.main()


def test_the_launch_is_completed_last_and_the_address_is_claimed_just_before(
    monkeypatch: pytest.MonkeyPatch, edge_machine: dict[str, Any]
) -> None:
    boot = Boot()
    assert run(monkeypatch, edge_machine | {"certificate": "shop/tls"}, boot) == 0
    assert boot.steps == [
        "start_nginx",
        "start_certificate",
        "start_reconciler",
        "claim",
        "expressway-health.service",
        "expressway-metrics.service",
        "complete",
    ], "in service means that requests reach it; with the address they do, so it has to answer by then"


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        ("start_nginx", subprocess.CalledProcessError(1, ["nginx", "-t"])),
        ("start_reconciler", KeyError("port")),
        ("claim", OSError("eipalloc-1 can't be claimed")),
        ("complete", OSError("lifecycle hook launch can't be completed")),
        ("start_nginx", TypeError("a mistake of ours")),
    ],
)
def test_a_boot_that_fails_anywhere_is_given_up_at_once_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    edge_machine: dict[str, Any],
    fails: str,
    error: Exception,
) -> None:
    boot = Boot(fails, error)
    assert run(monkeypatch, edge_machine, boot) == 1
    assert boot.steps[-3:] == [fails, "expressway-metrics.service", "abandon"], (
        "nothing more is tried, but to tell of it"
    )
    assert f"expressway: edge: {type(error).__name__}: {error}" in capsys.readouterr().err


def test_a_boot_that_cannot_be_given_up_still_tells_why_it_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], edge_machine: dict[str, Any]
) -> None:
    del edge_machine["launch_hook"]
    assert run(monkeypatch, edge_machine, Boot("start_nginx", OSError("no space left"))) == 1
    said = capsys.readouterr().err
    assert "no space left" in said
    assert "the launch isn't given up: 'launch_hook'" in said


def test_an_edge_whose_log_cannot_be_told_is_given_up_all_the_same(
    monkeypatch: pytest.MonkeyPatch, edge_machine: dict[str, Any]
) -> None:
    boot = Boot("start_nginx", OSError("no space left"))
    del edge_machine["logs"]
    assert run(monkeypatch, edge_machine, boot) == 1
    assert boot.steps == ["start_nginx", "abandon"]
