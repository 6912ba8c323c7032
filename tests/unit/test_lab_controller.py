"""The controller's plan: what the API says should be against what is found."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lab.controller.plan import (
    Action,
    ReportService,
    ReportStopped,
    Rotation,
    Service,
    SetPassword,
    Start,
    Stop,
    Wanted,
    plan,
)
from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State
from lab.network.model import Network

NOTHING = Network((), frozenset(), frozenset())


def spec(identifier: str) -> MachineSpec:
    return MachineSpec(identifier, "app", "10.20.0.4", "ip-10-20-0-4", (Path("/image"),))


def status(identifier: str, state: State = State.READY) -> MachineStatus:
    return MachineStatus(identifier, "app", "10.20.0.4", state, 0.0, 1, 1.0, ())


def wanted(*machines: str, services: tuple[Service, ...] = ()) -> Wanted:
    return Wanted(tuple(map(spec, machines)), NOTHING, "", services)


def database(api_status: str) -> Service:
    return Service("database", "main", "db-main", api_status)


def test_a_machine_that_is_missing_is_started() -> None:
    assert plan(wanted("i-1", "i-2"), [status("i-1")]) == [Start(spec("i-2"))]


def test_a_machine_that_nobody_wants_is_stopped() -> None:
    assert plan(wanted("i-1"), [status("i-1"), status("i-2")]) == [Stop("i-2")]


def test_nothing_is_done_when_all_is_as_it_should_be() -> None:
    assert plan(wanted("i-1"), [status("i-1", State.BOOTING)]) == []


def test_an_instance_that_died_is_removed_and_reported_so_that_auto_scaling_replaces_it() -> None:
    assert plan(wanted("i-1"), [status("i-1", State.DEAD)]) == [Stop("i-1"), ReportStopped("i-1")]


def test_the_machine_of_a_service_that_died_is_started_again_and_not_reported() -> None:
    should = wanted("db-main", services=(database("available"),))
    assert plan(should, [status("db-main", State.DEAD)]) == [Stop("db-main")]
    assert plan(should, []) == [Start(spec("db-main"))], "the next look starts it"


def test_a_machine_with_an_action_under_way_gets_no_second_one() -> None:
    assert plan(wanted("i-1"), [], busy={"i-1"}) == []
    assert plan(wanted(), [status("i-1")], busy={"i-1"}) == []


def test_a_database_is_available_once_its_machine_is_ready() -> None:
    should = wanted("db-main", services=(database("creating"),))
    assert plan(should, [status("db-main", State.BOOTING)]) == []
    assert plan(should, [status("db-main")]) == [ReportService("database", "main", "available")]
    assert plan(wanted("db-main", services=(database("available"),)), [status("db-main")]) == [], "said once"


def test_a_service_whose_machine_fails_to_boot_has_failed_in_the_words_of_its_api() -> None:
    cache = Service("cache", "main", "cache-main", "creating")
    failed = plan(wanted("cache-main", services=(cache,)), [status("cache-main", State.FAILED)])
    assert failed == [ReportService("cache", "main", "create-failed")]


def test_a_password_is_set_where_the_database_runs_and_the_database_is_not_available_before() -> None:
    rotation = Rotation("arn:aws:secretsmanager:us-east-1:1:secret:rds!db-1", "v2", 5432)
    service = Service("database", "main", "db-main", "resetting-master-credentials", rotation)
    should = wanted("db-main", services=(service,))
    assert plan(should, [status("db-main")]) == [SetPassword("main", "db-main", rotation)]
    assert plan(should, [status("db-main", State.BOOTING)]) == [], "nobody is there to take it yet"
    assert plan(should, [status("db-main")], busy={"db-main"}) == [], "it is being set"


NAMES = st.sampled_from(["i-1", "i-2", "i-3", "i-4"])


@given(should=st.sets(NAMES), there=st.dictionaries(NAMES, st.sampled_from(State)))
def test_whatever_is_found_the_plan_leads_to_what_is_wanted_and_then_rests(
    should: set[str], there: dict[str, State]
) -> None:
    found = dict(there)
    for _ in range(3):
        for action in plan(wanted(*sorted(should)), [status(name, state) for name, state in sorted(found.items())]):
            carry_out(action, found, should)
    assert set(found) == should, "the machines are not the wanted ones"
    assert State.DEAD not in found.values()
    assert plan(wanted(*sorted(should)), [status(name, state) for name, state in sorted(found.items())]) == []


def carry_out(action: Action, found: dict[str, State], should: set[str]) -> None:
    match action:
        case Start(one):
            assert one.id not in found, "a machine is started twice"
            found[one.id] = State.READY
        case Stop(identifier):
            del found[identifier]
        case ReportStopped(instance):
            should.discard(instance)  # Auto Scaling puts another in its place
        case ReportService() | SetPassword():
            raise AssertionError("there are no services here")
