"""What a killed operation had begun is found again by what the API says of it, and taken away."""

import pytest

from lab.aws import says_missing
from lab.engine.interrupted import BALANCING, PLACED, REPEATABLE, TAGGED, remove_begun
from lab.provider import registry
from lab.provider.values import plain
from tests.plan.provider_cases import all_cases, value
from tests.plan.provider_client import Made, ProviderClient
from tests.plan.provider_world import World

CASES = {each.type: each for each in all_cases() if each.type not in REPEATABLE}


@pytest.mark.parametrize("token", CASES)
def test_what_was_begun_is_found_by_what_it_was_to_be(provider: ProviderClient, world: World, token: str) -> None:
    made = Made(provider, token, value(CASES[token].make, world))
    inputs = plain(made.inputs)
    imported = CASES[token].import_id(made.id, inputs)
    assert _is_there(world, token, imported)
    operation = {"type": "creating", "resource": {"type": token, "urn": f"urn::{token}::begun", "inputs": inputs}}
    remove_begun(world.aws, {"resources": [], "pending_operations": [operation]})
    assert not _is_there(world, token, imported)


def test_every_type_is_found_again_or_can_be_made_twice() -> None:
    known = {*TAGGED, *PLACED, *BALANCING, *REPEATABLE}
    named = {token for token, kind in registry.resources().items() if kind.autoname}
    assert {*registry.resources()} - known - named == set()
    assert known <= {*registry.resources()}


def _is_there(world: World, token: str, identifier: str) -> bool:
    try:
        return registry.resource(token).read(world.aws, identifier, {}) is not None
    except Exception as error:
        if not says_missing(error):
            raise
        return False
