"""Everything that Monitoring registers, through the lab's provider: taken as it is, and changed in place."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from components import Monitoring, MonitoringArgs
from tests.plan.provider_client import Made, ProviderClient
from tests.plan.provider_world import World
from tests.unit import example_args
from tests.unit.recording import Recording, record

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def registered(**more: Any) -> Recording:
    args = cast(MonitoringArgs, {**example_args.monitoring(), **more})
    return record(lambda: Monitoring("applied", args))


@pytest.fixture
def made(provider: ProviderClient, world: World) -> Iterator[dict[str, Made]]:
    found: dict[str, Made] = {}
    for each in registered().resources.values():
        if each.type.startswith("aws:"):
            inputs = dict(each.inputs)
            if "topic" in inputs:
                inputs["topic"] = world.aws("sns").create_topic(Name=world.unique("alarms"))["TopicArn"]
            found[each.name] = Made(provider, each.type, inputs, each.name)
    yield found
    for each in found.values():
        each.delete()


def test_the_api_takes_every_alarm_and_the_dashboard_and_changes_them_in_place(
    made: dict[str, Made], world: World
) -> None:
    assert all(each.id for each in made.values())
    _, _, told = made["applied-edge-p95"].read()
    assert (told["extendedStatistic"], told["threshold"]) == ("p95", 1000)
    changed = registered(p95_ms=400, error_percent=2).resources
    for (kind, name), each in changed.items():
        if kind.startswith("aws:cloudwatch/"):
            new = made[name].changed(
                {
                    key: each.inputs[key]
                    for key in ("threshold", "alarmDescription", "dashboardBody")
                    if key in each.inputs
                }
            )
            found = made[name].diff(new)
            assert not found.replaces, "the state of an alarm would be lost"
            if found.changed:
                made[name].become(new)
    _, _, told = made["applied-edge-p95"].read()
    assert told["threshold"] == 400
    body = world.aws("cloudwatch").get_dashboard(DashboardName=made["applied-dashboard"].id)["DashboardBody"]
    assert '"value": 400' in body
