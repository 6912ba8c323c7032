"""Every ruleset that the planner can write is one that this kernel's nftables takes."""

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, given, settings

from lab.network import nft, security_groups
from lab.network.command import CommandError, run
from lab.network.model import Network
from tests.machines.network_namespaces import own_network
from tests.unit.network_strategies import networks

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def network() -> Generator[None]:
    with own_network():
        yield


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks())
def test_any_network_compiles_and_can_replace_any_other(network: Network) -> None:
    text = security_groups.ruleset(network)
    run(["nft", "--check", "-f", "-"], text)
    nft.apply(text)
    assert not nft.apply(text), "it is in force, as its fingerprint says"


def test_a_ruleset_that_the_kernel_refuses_leaves_the_one_in_force() -> None:
    good = security_groups.ruleset(Network((), frozenset(), frozenset()))
    nft.apply(good)
    bad = good.replace("counter name egress drop", "counter name nonesuch drop").replace('comment "', 'comment "0')
    with pytest.raises(CommandError, match="nft"):
        nft.apply(bad)
    assert not nft.apply(good), "still the good one"
    assert nft.drops() == dict.fromkeys(security_groups.DROPS, 0), "its counters are there"


def test_removing_a_table_that_is_not_there_is_no_error() -> None:
    nft.remove()
    nft.remove()
    assert not nft.exists(), "gone"
