"""First up, nothing to do, drift, destroy: the stack's whole life under the real engine."""

import pytest

from lab.engine.stack import EngineError
from tests.engine.engine_stack import EngineStack
from tests.engine.inventory import inventory, secret_values
from tests.plan.lab_api_server import ApiServer


def test_a_preview_from_nothing_works_with_everything_unknown(stack: EngineStack, api: ApiServer) -> None:
    seen = stack.preview()
    assert set(seen) == {"create"}
    assert len(seen["create"]) > 60, "the whole stack is in it"
    assert not [vpc for vpc in api.client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]], "nothing is made"


def test_up_makes_all_and_a_second_up_changes_nothing(stack: EngineStack) -> None:
    first = stack.up()
    assert set(first.changes) == {"create"}
    assert str(first.outputs["url"]).startswith("http://")
    second = stack.up()
    assert set(second.changes) == {"same"}, stack.seen
    assert second.outputs == first.outputs
    assert set(stack.refresh()) == {"same"}, "and the API has what the state says"


def test_destroy_leaves_the_api_empty(stack: EngineStack, api: ApiServer) -> None:
    before = inventory(api)
    stack.up()
    assert inventory(api) != before, "there is something to take away"
    stack.destroy()
    assert inventory(api) == before


def test_what_somebody_changed_by_hand_is_found_and_put_right(stack: EngineStack, api: ApiServer) -> None:
    made = stack.up()
    scaling = api.client("autoscaling")
    scaling.update_auto_scaling_group(AutoScalingGroupName=made.outputs["appGroupName"], MaxSize=7)
    assert stack.refresh()["update"] == 1
    assert stack.preview() == {"update": {"lab-app-group"}}
    stack.up()
    (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[made.outputs["appGroupName"]])[
        "AutoScalingGroups"
    ]
    assert group["MaxSize"] == 4


def test_secrets_are_encrypted_in_the_state(deployed: EngineStack, api: ApiServer) -> None:
    values = secret_values(api)
    assert values, "the cache's token is one"
    text = deployed.state_text()
    assert "ciphertext" in text
    for name, value in values.items():
        assert value not in text, f"{name} is in the state in the clear"


def test_a_wrong_setting_stops_before_any_resource(stack: EngineStack) -> None:
    with pytest.raises(EngineError, match=r"expressway:app\.minSize = 9\s+it must be at most maxSize, 4"):
        stack.up("expressway:app.minSize=9")
    assert not stack.seen, "nothing was touched"


def test_a_preview_names_each_secret_that_is_not_there(stack: EngineStack) -> None:
    with pytest.raises(EngineError) as caught:
        stack.preview("expressway:app.secrets.STRIPE=shop/stripe", "expressway:app.secrets.MAIL=shop/mail")
    said = str(caught.value)
    for variable in ("STRIPE", "MAIL"):
        assert f"secrets.{variable}: (not shown): Secrets Manager must have it" in said
    assert "create-secret" in said


def test_a_wrong_passphrase_is_one_clear_message(stack: EngineStack) -> None:
    stack.up()
    right = stack.home.passphrase.read_text()
    stack.home.passphrase.write_text("wrong")
    try:
        with pytest.raises(EngineError, match="incorrect passphrase"):
            stack.up()
    finally:
        stack.home.passphrase.write_text(right)
