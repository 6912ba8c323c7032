"""The checks that ask the kernel: where nothing is in the way, and in a namespace where something is."""

from collections.abc import Generator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab import preflight
from lab.network import addresses, links, nft, security_groups
from lab.network.command import run
from lab.network.model import Network
from tests.machines.network_namespaces import host_state, own_network

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def network() -> Generator[None]:
    with own_network():
        yield


@pytest.fixture
def needs(tmp_path: Path) -> preflight.Needs:
    return preflight.Needs(vpc=IPv4Network("10.98.0.0/16"), api_port=5999, state=tmp_path / "state", memory=0)


def test_nothing_is_in_the_way_here_and_looking_leaves_no_trace(needs: preflight.Needs) -> None:
    before = host_state()
    assert [str(problem) for problem in preflight.problems(needs)] == [], "this machine can be the lab"
    assert host_state() == before, "nothing of the network changed"
    assert list(needs.state.parent.iterdir()) == [], "no file is left"


def test_what_the_lab_itself_puts_on_the_host_is_not_in_the_way(needs: preflight.Needs) -> None:
    nft.apply(security_groups.ruleset(Network((), frozenset(), frozenset())))
    links.ensure_host(needs.state)
    assert preflight.problems(needs) == []
    links.teardown(needs.state)


def test_a_network_of_this_host_is_named_and_another_proposed(needs: preflight.Needs) -> None:
    run(["ip", "address", "add", "10.98.3.1/24", "dev", "lo"])
    run(["ip", "address", "add", "198.51.100.7/32", "dev", "lo"])
    problem = preflight.network(needs)
    assert problem is not None, "two networks are in the way"
    assert "10.98.3.0/24 on lo, 198.51.100.7/32 on lo" in problem.what, "both are named"
    assert "for example 10.0.0.0/16" in problem.remedy, "a free one is proposed"


def test_an_address_of_the_labs_that_somebody_else_uses_is_named(needs: preflight.Needs) -> None:
    run(["ip", "address", "add", f"{addresses.API}/32", "dev", "lo"])
    problem = preflight.own_addresses(needs)
    assert problem is not None, "it isn't the lab's"
    assert f"{addresses.API} on lo" in problem.what, "named"


def test_a_firewall_that_drops_what_is_forwarded_is_named_until_it_lets_the_lab_pass(needs: preflight.Needs) -> None:
    chain = "add chain ip filter FORWARD { type filter hook forward priority filter; policy drop; }"
    run(["nft", "-f", "-"], f"add table ip filter\n{chain}\nadd chain ip filter DOCKER-USER\n")
    problem = preflight.firewall(needs)
    assert problem is not None, "its policy is drop"
    assert "ip filter FORWARD, at forward" in problem.what, "named"
    run(["nft", "-f", "-"], 'add rule ip filter DOCKER-USER iifname "xw-*" accept\n')
    assert preflight.firewall(needs) is None, "it knows of the lab"


def test_a_host_without_what_machines_need_is_said(
    needs: preflight.Needs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool, check in (("mount", preflight.machines), ("nft", preflight.filters)):
        fake = tmp_path / "bin" / tool
        fake.parent.mkdir(exist_ok=True)
        fake.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
        fake.chmod(0o755)
        with monkeypatch.context() as patched:
            patched.setenv("PATH", str(fake.parent), prepend=":")
            problem = check(needs)
        assert problem is not None, f"{tool} doesn't work"
        assert "Operation not permitted" in problem.why, "what it said is passed on"
