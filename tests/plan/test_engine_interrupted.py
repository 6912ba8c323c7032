"""What a killed operation had begun is found again by what the API says of it, and taken away."""

import pytest

from lab.engine.interrupted import BALANCING, remove_begun
from lab.provider import registry
from tests.plan.provider_cases import all_cases, value
from tests.plan.provider_client import Made, ProviderClient
from tests.plan.provider_world import World


@pytest.mark.parametrize("token", BALANCING)
def test_what_balances_load_is_found_by_what_it_was_to_be(provider: ProviderClient, world: World, token: str) -> None:
    case = next(each for each in all_cases() if each.type == token)
    made = Made(provider, token, value(case.make, world))
    operation = {"type": "creating", "resource": {"type": token, "urn": f"urn::{token}::begun", "inputs": made.inputs}}
    remove_begun(world.aws, {"resources": [], "pending_operations": [operation]})
    kind = registry.resource(token)
    with pytest.raises(Exception, match="NotFound"):
        kind.read(world.aws, made.id, {})
