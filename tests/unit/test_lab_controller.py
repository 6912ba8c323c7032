"""The controller's plan: what the API says should be against what is found."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.controller.limits import Limits
from lab.controller.plan import (
    Action,
    Base,
    CarryOut,
    Failover,
    Halt,
    Pooling,
    Primary,
    Promote,
    Promotion,
    Reboot,
    ReportInstance,
    ReportService,
    Reshape,
    Resume,
    Rotation,
    Service,
    Start,
    Stop,
    TakeBase,
    Wanted,
    plan,
)
from lab.controller.standby import Pulse
from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State
from lab.network.model import Network

NOTHING = Network((), frozenset(), frozenset())


def spec(identifier: str, reboots: int = 0) -> MachineSpec:
    return MachineSpec(identifier, "app", "10.20.0.4", "ip-10-20-0-4", (Path("/image"),), reboots=reboots)


def status(identifier: str, state: State = State.READY, reboots: int = 0) -> MachineStatus:
    return MachineStatus(identifier, "app", "10.20.0.4", state, 0.0, 1, 1.0, (), reboots)


def wanted(
    *machines: str, services: tuple[Service, ...] = (), kept: Collection[str] = (), impaired: Collection[str] = ()
) -> Wanted:
    return Wanted(tuple(map(spec, machines)), NOTHING, "", services, frozenset(kept), frozenset(impaired))


def database(api_status: str) -> Service:
    return Service("database", "main", ("db-main",), api_status)


def test_a_machine_that_is_missing_is_started() -> None:
    assert plan(wanted("i-1", "i-2"), [status("i-1")]) == [Start(spec("i-2"))]


def test_a_machine_that_nobody_wants_is_stopped() -> None:
    assert plan(wanted("i-1"), [status("i-1"), status("i-2")]) == [Stop("i-2")]


def test_a_proxy_is_available_once_it_was_told_where_to_and_resumed_on_its_disk() -> None:
    change = Pooling("v1", "{}", "arn:role")
    new = Service("proxy", "main", ("proxy-main",), "creating", change)
    ready = [status("proxy-main")]
    assert plan(wanted("proxy-main", services=(new,)), ready) == [CarryOut("main", "proxy-main", change)]
    told = dataclasses.replace(new, change=None)
    assert plan(wanted("proxy-main", services=(told,)), ready) == [ReportService("proxy", "main", "available")]
    ended = [status("proxy-main", State.DEAD)]
    assert plan(wanted("proxy-main", services=(told,)), ended) == [Resume(spec("proxy-main"))], "not made anew"
    failed = [status("proxy-main", State.FAILED)]
    assert plan(wanted("proxy-main", services=(new,)), failed) == [
        ReportService("proxy", "main", "insufficient-resource-limits")
    ]


def test_nothing_is_done_when_all_is_as_it_should_be() -> None:
    assert plan(wanted("i-1"), [status("i-1", State.BOOTING)]) == []


def test_a_machine_that_asks_to_be_started_again_is_and_the_api_hears_nothing() -> None:
    assert plan(wanted("i-1"), [status("i-1", State.REBOOTING)]) == [Resume(spec("i-1"))]


def test_a_machine_that_shut_itself_down_is_reported_and_its_disk_stays() -> None:
    assert plan(wanted("i-1"), [status("i-1", State.SHUT_DOWN)]) == [ReportInstance("i-1", "shut-down")]
    assert plan(wanted(kept={"i-1"}), [status("i-1", State.SHUT_DOWN)]) == [Halt("i-1")], "what EC2 then says: stopped"
    assert plan(wanted(kept={"i-1"}), [status("i-1", State.OFF)]) == [], "until somebody starts or terminates it"
    assert plan(wanted("i-1"), [status("i-1", State.OFF)]) == [Resume(spec("i-1"))], "started"
    assert plan(wanted(), [status("i-1", State.OFF)]) == [Stop("i-1")], "terminated"


def test_an_instance_that_is_stopped_is_turned_off_and_keeps_its_disk() -> None:
    assert plan(wanted(kept={"i-1"}), [status("i-1")]) == [Halt("i-1")]


def test_an_instance_that_crashed_is_reported_once_and_waits() -> None:
    assert plan(wanted("i-1"), [status("i-1", State.DEAD)]) == [ReportInstance("i-1", "impaired")]
    assert plan(wanted("i-1", impaired={"i-1"}), [status("i-1", State.DEAD)]) == [], "Auto Scaling may replace it"


def test_a_reboot_from_outside_happens_once_and_revives_a_crashed_instance() -> None:
    should = Wanted((spec("i-1", reboots=2),), NOTHING, "", impaired=frozenset({"i-1"}))
    assert plan(should, [status("i-1", State.DEAD, reboots=1)]) == [Resume(spec("i-1", reboots=2))]
    healthy = Wanted((spec("i-1", reboots=2),), NOTHING, "")
    for state in (State.READY, State.BOOTING, State.FAILED):
        assert plan(healthy, [status("i-1", state, reboots=1)]) == [Reboot(spec("i-1", reboots=2))], state
    assert plan(healthy, [status("i-1", State.BOOTING, reboots=2)]) == [], "it is done"
    recovered = plan(should, [status("i-1", State.BOOTING, reboots=2)])
    assert recovered == [ReportInstance("i-1", "ok")], "the status check passes again"


def test_the_machine_of_a_service_is_started_again_on_its_disk_whatever_ended_it() -> None:
    should = wanted("db-main", services=(database("available"),))
    for state in (State.DEAD, State.SHUT_DOWN, State.REBOOTING, State.OFF):
        assert plan(should, [status("db-main", state)]) == [Resume(spec("db-main"))], state


def test_a_database_that_ends_before_it_has_anything_is_made_anew() -> None:
    should = wanted("db-main", services=(database("creating"),))
    for state in (State.DEAD, State.OFF):
        assert plan(should, [status("db-main", state)]) == [Stop("db-main")], "it may have half of a backup"


BASE = Base("b4", "db-ABC", "db-main", 5432, archived=True)


def test_a_base_is_taken_of_a_database_that_is_there_whatever_else_is_done_to_it() -> None:
    should = dataclasses.replace(wanted("db-main", services=(database("available"),)), bases=(BASE,))
    assert plan(should, [status("db-main")]) == [TakeBase(BASE)]
    assert plan(should, [status("db-main")], busy={"db-main"}) == [TakeBase(BASE)]
    assert plan(should, [status("db-main")], busy={BASE.key}) == [], "it is being taken"
    assert plan(should, [status("db-main", State.BOOTING)]) == [], "nobody is there who could"


def test_a_database_that_is_deleted_has_its_machine_until_its_last_base_is_taken() -> None:
    gone = dataclasses.replace(wanted(), bases=(BASE,))
    assert plan(gone, [status("db-main")]) == [TakeBase(BASE)]
    assert plan(gone, [status("db-main")], busy={BASE.key}) == [], "it is being taken"
    assert plan(wanted(), [status("db-main")]) == [Stop("db-main")]
    # Who takes it says that it can't be done.
    assert plan(gone, [status("db-main", State.DEAD)]) == [Stop("db-main"), TakeBase(BASE)]
    assert plan(gone, []) == [TakeBase(BASE)]


def test_a_database_that_is_replaced_leaves_its_name_once_its_last_base_is_taken() -> None:
    """Its successor, of the same name, begins with a machine of its own."""
    (machine,) = wanted("db-main").machines
    own = dataclasses.replace(BASE, base="b1", resource="db-NEW")
    should = dataclasses.replace(
        wanted(services=(database("creating"),)),
        machines=(dataclasses.replace(machine, resource="db-NEW"),),
        bases=(BASE, own),
    )
    left = dataclasses.replace(status("db-main"), resource=BASE.resource)
    assert plan(should, [left]) == [TakeBase(BASE)], "nor is the other one available"
    should = dataclasses.replace(should, bases=(own,))
    assert plan(should, [left]) == [Stop("db-main")], "what it has is not the other one's"
    should = dataclasses.replace(should, bases=())
    assert plan(should, []) == [Start(should.machines[0])]
    there = dataclasses.replace(left, resource="db-NEW")
    assert plan(should, [there]) == [ReportService("database", "main", "available")]
    unsaid = dataclasses.replace(left, resource="")
    assert plan(should, [unsaid]) == [ReportService("database", "main", "available")], "it may be its own"


def test_a_machine_with_an_action_under_way_gets_no_second_one() -> None:
    assert plan(wanted("i-1"), [], busy={"i-1"}) == []
    assert plan(wanted(), [status("i-1")], busy={"i-1"}) == []


def test_a_database_is_available_once_its_machine_is_ready() -> None:
    should = wanted("db-main", services=(database("creating"),))
    assert plan(should, [status("db-main", State.BOOTING)]) == []
    assert plan(should, [status("db-main")]) == [ReportService("database", "main", "available")]
    assert plan(wanted("db-main", services=(database("available"),)), [status("db-main")]) == [], "said once"


def test_a_service_whose_machine_fails_to_boot_has_failed_in_the_words_of_its_api() -> None:
    cache = Service("cache", "main", ("cache-main",), "creating")
    failed = plan(wanted("cache-main", services=(cache,)), [status("cache-main", State.FAILED)])
    assert failed == [ReportService("cache", "main", "create-failed")]


def test_a_password_is_set_where_the_database_runs_and_the_database_is_not_available_before() -> None:
    rotation = Rotation("arn:aws:secretsmanager:us-east-1:1:secret:rds!db-1", "v2", 5432)
    service = Service("database", "main", ("db-main",), "resetting-master-credentials", rotation)
    should = wanted("db-main", services=(service,))
    assert plan(should, [status("db-main")]) == [CarryOut("main", "db-main", rotation)]
    assert plan(should, [status("db-main", State.BOOTING)]) == [], "nobody is there to take it yet"
    assert plan(should, [status("db-main")], busy={"db-main"}) == [], "it is being set"


def test_a_replica_whose_machine_ended_is_copied_anew_and_once_promoted_it_keeps_its_disk() -> None:
    replica = Service("database", "copy", ("db-copy",), "available", source="db-main")
    for state in (State.DEAD, State.OFF, State.SHUT_DOWN, State.REBOOTING):
        should = wanted("db-copy", services=(replica,))
        assert plan(should, [status("db-copy", state)]) == [Stop("db-copy")], state
        alone = wanted("db-copy", services=(dataclasses.replace(replica, source=None),))
        assert plan(alone, [status("db-copy", state)]) == [Resume(spec("db-copy"))], state


def test_a_replica_that_can_not_follow_any_more_is_copied_anew_unless_it_is_being_promoted() -> None:
    replica = Service("database", "copy", ("db-copy",), "available", source="db-main")
    lost = {"copy": Pulse(lost=True)}

    def planned(service: Service, state: State, pulses: dict[str, Pulse]) -> list[Action]:
        return plan(wanted("db-copy", services=(service,)), [status("db-copy", state)], pulses=pulses)

    assert planned(replica, State.READY, lost) == [Stop("db-copy")]
    assert planned(replica, State.READY, {"copy": Pulse()}) == planned(replica, State.READY, {}) == []
    assert planned(replica, State.BOOTING, lost) == [], "it is being copied"
    promoted = dataclasses.replace(replica, status="modifying", change=Promotion(5432))
    assert planned(promoted, State.READY, lost) == [CarryOut("copy", "db-copy", Promotion(5432))]


def test_a_replica_is_promoted_where_it_runs() -> None:
    replica = Service("database", "copy", ("db-copy",), "modifying", Promotion(5432), source="db-main")
    should = wanted("db-copy", services=(replica,))
    assert plan(should, [status("db-copy")]) == [CarryOut("copy", "db-copy", Promotion(5432))]
    assert plan(should, [status("db-copy", State.BOOTING)]) == [], "it has nothing yet"


def test_a_cache_is_available_once_all_its_nodes_are_ready_and_fails_over_then() -> None:
    cache = Service("cache", "main", ("cache-1", "cache-2"), "creating")
    should = wanted("cache-1", "cache-2", services=(cache,))
    both = [status("cache-1"), status("cache-2")]
    assert plan(should, [status("cache-1"), status("cache-2", State.BOOTING)]) == [], "one is not all"
    assert plan(should, both) == [ReportService("cache", "main", "available")]
    failover = Failover("main-002", "10.0.0.2", 6379, (("10.0.0.1", "cache-1"), ("10.0.0.2", "cache-2")), "cache-1")
    changing = wanted("cache-1", "cache-2", services=(dataclasses.replace(cache, change=failover),))
    assert plan(changing, both) == [CarryOut("main", "cache-1", failover)]
    assert plan(changing, both, busy={"cache-2"}) == [], "a node that is being started takes part in nothing"


def test_a_node_of_a_cache_that_ended_is_made_anew_with_the_role_that_it_has_by_now() -> None:
    should = wanted("cache-1", services=(Service("cache", "main", ("cache-1",), "available"),))
    for state in (State.DEAD, State.OFF, State.SHUT_DOWN, State.REBOOTING):
        assert plan(should, [status("cache-1", state)]) == [Stop("cache-1")], state
    assert plan(should, []) == [Start(spec("cache-1"))], "the next look starts it"


PAIR = Service(
    "cache",
    "main",
    ("cache-1", "cache-2", "cache-3"),
    "available",
    primaries=(Primary("cache-1", (("cache-2", "main-002"), ("cache-3", "main-003"))),),
)


@pytest.mark.parametrize("state", [State.DEAD, State.OFF, State.SHUT_DOWN, None])
def test_a_replica_that_is_ready_takes_over_from_a_primary_that_is_gone(state: State | None) -> None:
    should = wanted(*PAIR.machines, services=(PAIR,))
    found = [status("cache-2", State.BOOTING), status("cache-3")]
    gone = [status("cache-1", state)] if state else []
    told = plan(should, [*gone, *found])
    assert told == [*(Stop(each.id) for each in gone), Promote("cache", "main", "main-003")], (
        "it isn't started, empty, before"
    )
    assert plan(should, found, busy={"cache-1"}) == [Promote("cache", "main", "main-003")], (
        "while the dead one is cleared away"
    )


def test_nobody_takes_over_from_a_primary_that_runs_or_where_nobody_can() -> None:
    ready = [status("cache-2"), status("cache-3")]
    for state in (State.READY, State.BOOTING, State.FAILED):
        made = plan(wanted(*PAIR.machines, services=(PAIR,)), [status("cache-1", state), *ready])
        assert not [each for each in made if isinstance(each, Promote)], state
    for service in (
        dataclasses.replace(PAIR, primaries=(Primary("cache-1"),)),  # failover is off
        dataclasses.replace(PAIR, status="creating"),  # the primary has yet to be started
    ):
        assert plan(wanted(*PAIR.machines, services=(service,)), ready) == [Start(spec("cache-1"))]
    none_ready = [status("cache-2", State.BOOTING), status("cache-3", State.BOOTING)]
    assert plan(wanted(*PAIR.machines, services=(PAIR,)), none_ready) == [Start(spec("cache-1"))]


def test_a_failover_from_a_dead_primary_leaves_it_out_and_makes_it_anew_afterwards() -> None:
    nodes = (("10.0.0.1", "cache-1"), ("10.0.0.2", "cache-2"), ("10.0.0.3", "cache-3"))
    failover = Failover("main-002", "10.0.0.2", 6379, nodes, "cache-1")
    should = wanted(*PAIR.machines, services=(dataclasses.replace(PAIR, status="modifying", change=failover),))
    left = dataclasses.replace(failover, machines=nodes[1:])
    assert plan(should, [status("cache-2"), status("cache-3")]) == [CarryOut("main", "cache-2", left)]
    dead = [status("cache-1", State.DEAD), status("cache-2"), status("cache-3", State.BOOTING)]
    only = dataclasses.replace(failover, machines=nodes[1:2])
    assert plan(should, dead) == [Stop("cache-1"), CarryOut("main", "cache-2", only)]
    alive = [status(each) for each in PAIR.machines]
    assert plan(should, alive) == [CarryOut("main", "cache-1", failover)], "a failover to try it has them all"
    now = Primary("cache-2", (("cache-1", "main-001"), ("cache-3", "main-003")))
    over = dataclasses.replace(PAIR, primaries=(now,))
    assert plan(wanted(*PAIR.machines, services=(over,)), alive[1:]) == [Start(spec("cache-1"))]


SHARDS = Service(
    "cache",
    "main",
    ("cache-1", "cache-2", "cache-3", "cache-4"),
    "available",
    primaries=(Primary("cache-1", (("cache-2", "main-1-2"),)), Primary("cache-3", (("cache-4", "main-2-2"),))),
)


def test_shards_fail_over_one_after_the_other_and_no_primary_comes_back_empty_before() -> None:
    should = wanted(*SHARDS.machines, services=(SHARDS,))
    replicas = [status("cache-2"), status("cache-4")]
    assert plan(should, replicas) == [Promote("cache", "main", "main-1-2")], "both primaries are gone"
    nodes = (("10.0.0.1", "cache-1"), ("10.0.0.2", "cache-2"))
    failover = Failover("main-1-2", "10.0.0.2", 6379, nodes, "cache-1", cluster=True)
    begun = dataclasses.replace(SHARDS, status="modifying", change=failover)
    left = dataclasses.replace(failover, machines=nodes[1:])
    assert plan(wanted(*SHARDS.machines, services=(begun,)), replicas) == [CarryOut("main", "cache-2", left)]
    over = dataclasses.replace(SHARDS, primaries=(Primary("cache-2", (("cache-1", "main-1-1"),)), SHARDS.primaries[1]))
    assert plan(wanted(*SHARDS.machines, services=(over,)), replicas) == [
        Promote("cache", "main", "main-2-2"),
        Start(spec("cache-1")),
    ], "the first one comes back as a replica"


def test_a_shard_fails_over_while_another_one_s_node_is_made_anew() -> None:
    nodes = (("10.0.0.3", "cache-3"), ("10.0.0.4", "cache-4"))
    failover = Failover("main-2-2", "10.0.0.4", 6379, nodes, "cache-3", cluster=True)
    begun = dataclasses.replace(SHARDS, status="modifying", change=failover)
    found = [status("cache-1"), status("cache-2", State.BOOTING), status("cache-4")]
    left = dataclasses.replace(failover, machines=nodes[1:])
    should = wanted(*SHARDS.machines, services=(begun,))
    assert plan(should, found) == [CarryOut("main", "cache-4", left)]
    assert plan(should, found, busy={"cache-2"}) == [CarryOut("main", "cache-4", left)]
    assert plan(should, found, busy={"cache-4"}) == [], "it is under way"


def test_slots_move_when_all_nodes_are_there() -> None:
    reshape = Reshape(2, 6379, (), ())
    moving = dataclasses.replace(SHARDS, status="modifying", change=reshape)
    should = wanted(*SHARDS.machines, services=(moving,))
    ready = [status(each) for each in SHARDS.machines]
    assert plan(should, ready) == [CarryOut("main", "cache-1", reshape)]
    assert plan(should, [*ready[:3], status("cache-4", State.BOOTING)]) == [], "they need every node"
    assert plan(should, ready, busy={"cache-1"}) == [], "one part after the other"


RUNNING = (State.BOOTING, State.READY, State.FAILED)
NAMES = st.sampled_from(["i-1", "i-2", "i-3", "i-4"])


@given(
    should=st.sets(NAMES),
    kept=st.sets(NAMES),
    there=st.dictionaries(NAMES, st.sampled_from(State)),
    asked=st.dictionaries(NAMES, st.integers(0, 2)),
)
def test_whatever_is_found_the_plan_leads_to_what_is_wanted_and_then_rests(
    should: set[str], kept: set[str], there: dict[str, State], asked: dict[str, int]
) -> None:
    world = World(should, kept - should, {name: (state, 0) for name, state in there.items()}, asked)
    for _ in range(5):
        for action in world.plan():
            world.carry_out(action)
    assert world.plan() == [], "it does not come to rest"
    running = {name for name, (state, _) in world.found.items() if state in RUNNING}
    crashed = {name for name, (state, _) in world.found.items() if state is State.DEAD}
    assert running | crashed == world.should, "the machines are not the wanted ones"
    assert crashed == world.impaired, "what crashed is known, and nothing else is"
    assert set(world.found) <= world.should | world.kept, "what nobody wants is gone"


@dataclass
class World:
    """The API and the host, as far as the plan acts on them: each machine's state, and reboots it has seen."""

    should: set[str]
    kept: set[str]
    found: dict[str, tuple[State, int]]
    asked: dict[str, int]
    impaired: set[str] = field(default_factory=set[str])

    def plan(self) -> list[Action]:
        specs = tuple(spec(name, self.asked.get(name, 0)) for name in sorted(self.should))
        should = Wanted(specs, NOTHING, "", (), frozenset(self.kept), frozenset(self.impaired))
        return plan(should, [status(name, *how) for name, how in sorted(self.found.items())])

    def carry_out(self, action: Action) -> None:
        match action:
            case Start(one):
                assert one.id not in self.found, "a machine is started twice"
                self.found[one.id] = (State.READY, one.reboots)
            case Resume(one):
                assert self.found[one.id][0] in (State.OFF, State.REBOOTING, State.DEAD), "it is not off"
                self.found[one.id] = (State.READY, one.reboots)
            case Reboot(one):
                assert self.found[one.id][0] not in (State.OFF, State.DEAD), "nothing is there to shut down"
                self.found[one.id] = (State.READY, one.reboots)
            case Halt(identifier):
                self.found[identifier] = (State.OFF, self.found[identifier][1])
            case Stop(identifier):
                del self.found[identifier]
            case ReportInstance(instance, "shut-down"):
                self.should.discard(instance)
                self.kept.add(instance)
            case ReportInstance(instance, "impaired"):
                self.impaired.add(instance)
            case ReportInstance(instance, _):
                self.impaired.discard(instance)
            case ReportService() | CarryOut() | Promote() | TakeBase():
                raise AssertionError("there are no services here")


def _stopping(machine: str, *, kept: bool) -> Wanted:
    return dataclasses.replace(wanted(kept={machine} if kept else ()), stopping=frozenset({machine}))


def test_the_api_hears_that_a_terminated_machine_is_off_when_nothing_is_left_of_it() -> None:
    ending = _stopping("i-1", kept=False)
    assert plan(ending, [status("i-1")]) == [Stop("i-1")], "it shuts down first"
    assert plan(ending, [status("i-1")], {"i-1"}) == [], "which takes its time"
    assert plan(ending, []) == [ReportInstance("i-1", "off")], "then it is terminated, also if it had never been there"


def test_the_api_hears_that_a_stopped_machine_is_off_and_its_disk_stays() -> None:
    stopping = _stopping("i-1", kept=True)
    assert plan(stopping, [status("i-1")]) == [Halt("i-1")]
    assert plan(stopping, [status("i-1", State.OFF)]) == [ReportInstance("i-1", "off")]


def test_a_machine_is_held_to_its_cpus_once_it_is_ready_and_again_after_a_reboot() -> None:
    held: list[tuple[str, float]] = []
    limits = Limits(lambda machine, cpus: held.append((machine, cpus)))
    slow = dataclasses.replace(spec("i-1"), cpus=0.3)
    for state in (State.BOOTING, State.READY, State.READY, State.DEAD):
        limits.hold([slow, spec("i-2")], [status("i-1", state), status("i-2")])
    assert held == [("i-1", 0.3)], "once, and nobody who may have all"
    limits.hold([slow], [dataclasses.replace(status("i-1"), started_at=9.0)])
    assert held == [("i-1", 0.3)] * 2
    larger = dataclasses.replace(slow, cpus=0.6)
    limits.hold([larger], [dataclasses.replace(status("i-1"), started_at=9.0)])
    assert held[2:] == [("i-1", 0.6)], "a database's class may change while it runs"


def test_a_machine_is_held_to_its_memory_where_the_kernel_can_do_it(caplog: pytest.LogCaptureFixture) -> None:
    held: list[tuple[str, int]] = []

    def limit(machine: str, size: int) -> None:
        held.append((machine, size))
        if machine == "i-2":
            raise FileNotFoundError("there is no control group")

    limits = Limits(lambda *_: pytest.fail("nobody asked for CPUs"), limit)
    small = [dataclasses.replace(spec(each), memory=2**30) for each in ("i-1", "i-2")]
    for _ in range(3):
        limits.hold([*small, spec("i-3")], [status("i-1"), status("i-2"), status("i-3")])
    assert held == [("i-1", 2**30), ("i-2", 2**30)]
    assert caplog.messages == ["i-2 has all of the host's memory and not 1024 MiB: there is no control group"], "once"


def test_a_machine_that_could_not_be_held_is_tried_again() -> None:
    tries: list[str] = []

    def limit(machine: str, _: float) -> None:
        tries.append(machine)
        if len(tries) == 1:
            raise OSError("not yet")

    limits, slow = Limits(limit), dataclasses.replace(spec("i-1"), cpus=0.3)
    with pytest.raises(OSError, match="not yet"):
        limits.hold([slow], [status("i-1")])
    limits.hold([slow], [status("i-1")])
    assert tries == ["i-1", "i-1"]
