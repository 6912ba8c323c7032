"""Requests a second for each server, as the edge tells CloudWatch."""

from typing import Any

from reconciler.model import Server, Traffic
from reconciler.rates import Rates

GROUPS = {"i-1": "app", "i-2": "app", "i-9": "other"}


def traffic(*in_list: str, **requests: int) -> Traffic:
    servers = tuple(Server(each, "10.0.0.1", 3000) for each in in_list)
    return Traffic(servers, {f"i-{name[1:]}": {"requests": count} for name, count in requests.items()})


def rates() -> Rates:
    return Rates(["app"], lambda **_: None)


def values(found: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(each["Dimensions"][0]["Value"], each["Value"]) for each in found]


def test_each_period_has_one_value_stamped_with_its_beginning() -> None:
    load = rates()
    assert load.look(traffic("i-1", "i-2", _1=100, _2=100), GROUPS, 1000.0) == []
    assert load.look(traffic("i-1", "i-2", _1=150, _2=150), GROUPS, 1005.0) == []
    (told,) = load.look(traffic("i-1", "i-2", _1=400, _2=300), GROUPS, 1010.0)
    assert told["Value"] == 25.0, "500 requests in 10 s over two servers"
    assert told["Timestamp"].timestamp() == 1000.0
    assert (told["MetricName"], told["Unit"], told["StorageResolution"]) == ("RequestsPerServer", "Count/Second", 1)
    assert load.look(traffic("i-1", "i-2", _1=400, _2=300), GROUPS, 1019.9) == []


def test_the_first_seconds_after_a_start_say_nothing() -> None:
    load = rates()
    load.look(traffic("i-1", _1=0), GROUPS, 1008.0)
    assert load.look(traffic("i-1", _1=900), GROUPS, 1010.0) == []
    assert values(load.look(traffic("i-1", _1=1000), GROUPS, 1020.0)) == [("app", 10.0)]


def test_counters_that_begin_anew_are_not_negative() -> None:
    load = rates()
    load.look(traffic("i-1", _1=5000), GROUPS, 1000.0)
    assert values(load.look(traffic("i-1", "i-2", _1=30, _2=70), GROUPS, 1010.0)) == [("app", 5.0)]


def test_a_server_that_left_has_its_requests_counted_and_other_groups_have_not() -> None:
    load = rates()
    load.look(traffic("i-1", "i-2", "i-9", _1=0, _2=0, _9=0), GROUPS, 1000.0)
    told = load.look(traffic("i-1", "i-9", _1=60, _2=40, _9=9999), GROUPS, 1010.0)
    assert values(told) == [("app", 10.0)]


def test_without_servers_there_is_no_value() -> None:
    load = rates()
    load.look(traffic(), GROUPS, 1000.0)
    assert load.look(traffic(), GROUPS, 1010.0) == []
