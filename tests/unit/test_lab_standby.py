"""A database's standby: when the primary waits for it, when it takes over, and when it is made anew."""

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.controller import changes
from lab.controller.boots import MOST, Boots
from lab.controller.changes import ChangeError, carry_out
from lab.controller.heartbeat import CUT_OFF_SECONDS, HUNG_SECONDS, LOST_SECONDS, PERIOD_SECONDS, Heartbeats
from lab.controller.plan import (
    Action,
    CarryOut,
    Configuration,
    Promote,
    ReportService,
    Restart,
    Resume,
    Rotation,
    Service,
    Start,
    Stop,
    Wanted,
    plan,
)
from lab.controller.standby import ALIVE, Pulse, Settings, Standby, Synchrony, Takeover
from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State
from lab.machines.services import postgresql
from lab.network.model import Network

NOTHING = Network((), frozenset(), frozenset())
FIRST, SECOND = "db-main", "db2-main"
COPY = "db-copy"
TAKEOVER = Takeover("2", SECOND, FIRST, 5432)
MORE = Settings("v2", (("max_connections", "200"), ("rds.force_ssl", "1")))
WELL = Pulse(streaming=True, waits=True)


def spec(machine: str) -> MachineSpec:
    return MachineSpec(machine, "database", "10.20.0.4", "ip-10-20-0-4", (Path("/image"),))


def found(**states: State) -> list[MachineStatus]:
    machines = {"first": FIRST, "second": SECOND}
    return [
        MachineStatus(machines[each], "database", "10.20.0.4", state, 0.0, 1, 1.0, ()) for each, state in states.items()
    ]


def pair(synchronous: bool = True, leaving: bool = False, **other: Any) -> Service:
    standby = Standby(SECOND, "2", synchronous, leaving)
    given: dict[str, Any] = {"status": "available", "primary": FIRST, "port": 5432, "standby": standby, **other}
    return Service("database", "main", (FIRST, SECOND), **given)


def planned(
    service: Service, there: Collection[MachineStatus], pulse: Pulse | None = WELL, busy: Collection[str] = ()
) -> list[Action]:
    should = Wanted((spec(FIRST), spec(SECOND)), NOTHING, "", (service,))
    return plan(should, there, frozenset(busy), {"main": pulse} if pulse else {})


BOTH = found(first=State.READY, second=State.READY)


def test_nothing_is_done_to_a_pair_that_is_well() -> None:
    assert planned(pair(), BOTH) == []
    assert planned(pair(), BOTH, None) == [], "nor before the first look"


def test_the_primary_waits_for_a_standby_that_streams_and_not_before() -> None:
    streams = Pulse(streaming=True)
    on = Synchrony(5432, on=True, standby=SECOND)
    assert planned(pair(synchronous=False), BOTH, streams) == [CarryOut("main", FIRST, on)]
    assert planned(pair(synchronous=False), BOTH, Pulse()) == []
    assert planned(pair(synchronous=False), BOTH, streams, busy={FIRST}) == [], "it is being told"
    booting = found(first=State.READY, second=State.BOOTING)
    assert planned(pair(synchronous=False), booting, streams) == []


def test_a_database_with_a_standby_is_available_when_that_is_synchronous() -> None:
    for status in ("creating", "modifying"):
        assert planned(pair(synchronous=False, status=status), BOTH, Pulse()) == []
        assert planned(pair(status=status), BOTH) == [ReportService("database", "main", "available")]
    alone = found(first=State.READY, second=State.BOOTING)
    assert planned(pair(synchronous=False), alone, Pulse()) == [], "one that lost its standby stays available"


@pytest.mark.parametrize("state", [State.DEAD, State.OFF, State.SHUT_DOWN, State.REBOOTING])
def test_the_primary_goes_on_without_a_standby_that_is_gone_and_only_then_is_that_made_anew(state: State) -> None:
    there = found(first=State.READY, second=state)
    assert planned(pair(), there) == [CarryOut("main", FIRST, Synchrony(5432, on=False))]
    assert planned(pair(synchronous=False), there, Pulse()) == [Stop(SECOND)]
    assert planned(pair(synchronous=False), found(first=State.READY), Pulse()) == [Start(spec(SECOND))]


def test_a_standby_that_follows_no_longer_is_given_up_and_made_anew() -> None:
    lost = Pulse(waits=True, lost=True)
    assert planned(pair(), BOTH, lost) == [CarryOut("main", FIRST, Synchrony(5432, on=False))]
    assert Stop(SECOND) in planned(pair(synchronous=False), BOTH, dataclasses.replace(lost, waits=False))


def test_a_primary_that_was_told_to_wait_by_somebody_who_was_cut_short_waits_no_more() -> None:
    there = found(first=State.READY, second=State.BOOTING)
    assert planned(pair(synchronous=False), there, Pulse(waits=True)) == [
        CarryOut("main", FIRST, Synchrony(5432, on=False))
    ]


@pytest.mark.parametrize("state", [State.DEAD, State.OFF, State.SHUT_DOWN, State.REBOOTING, None])
def test_a_synchronous_standby_takes_over_from_a_primary_that_is_gone(state: State | None) -> None:
    there = [*(found(first=state) if state else []), *found(second=State.READY)]
    assert planned(pair(), there) == [Promote("database", "main", "2")], "and nobody starts the old one"
    assert planned(pair(), there, busy={FIRST}) == [Promote("database", "main", "2")]


def test_a_synchronous_standby_takes_over_from_a_primary_that_hangs() -> None:
    assert planned(pair(), BOTH, Pulse(hung=True)) == [Promote("database", "main", "2")]


def test_a_standby_that_is_not_synchronous_never_takes_over() -> None:
    there = found(first=State.DEAD, second=State.READY)
    assert planned(pair(synchronous=False), there) == [Resume(spec(FIRST))], "its own disk has all that there is"
    assert planned(pair(synchronous=False), BOTH, Pulse(hung=True)) == []
    dead = found(first=State.DEAD, second=State.DEAD)
    assert planned(pair(), dead) == [Resume(spec(FIRST))], "the standby's disk stays until the primary is told"


def test_no_primary_begins_empty_while_there_is_one_that_has_all() -> None:
    assert Start(spec(FIRST)) not in planned(pair(), found(second=State.BOOTING))
    assert Start(spec(FIRST)) in planned(pair(synchronous=False, status="creating"), [])


def test_a_takeover_is_carried_out_where_the_standby_runs_and_the_old_primary_is_left_to_it() -> None:
    failing = pair(status="rebooting", change=TAKEOVER)
    for state in State:
        there = found(first=state, second=State.READY)
        assert planned(failing, there) == [CarryOut("main", SECOND, TAKEOVER)], state
        assert planned(failing, there, busy={SECOND}) == [], "it is under way"
    both = found(first=State.DEAD, second=State.DEAD)
    assert planned(failing, both) == [Resume(spec(SECOND))], "on the disk that has all that was acknowledged"


def test_after_a_takeover_the_old_primary_is_cleared_away_and_copied_anew() -> None:
    swapped = dataclasses.replace(
        pair(), machines=(SECOND, FIRST), primary=SECOND, standby=Standby(FIRST, "1", synchronous=False)
    )
    assert planned(swapped, found(first=State.OFF, second=State.READY), Pulse()) == [Stop(FIRST)]
    assert planned(swapped, found(second=State.READY), Pulse()) == [Start(spec(FIRST))]


def tried(boots: Boots, service: Service, *states: State | None) -> Service:
    """The service after these states of its second machine, one after the other; None: there is none."""
    seen = service
    for state in states:
        there = [*found(first=State.READY), *(found(second=state) if state else [])]
        wanted = Wanted((spec(FIRST), spec(SECOND)), NOTHING, "", (service,))
        [seen] = boots.look(wanted, there).services
    return seen


def test_a_standby_whose_boot_fails_is_made_anew_three_times_and_then_stays(caplog: pytest.LogCaptureFixture) -> None:
    boots, copied = Boots(), pair(synchronous=False)
    failed = found(first=State.READY, second=State.FAILED)
    for _ in range(MOST - 1):
        seen = tried(boots, copied, None, State.BOOTING, State.FAILED, State.FAILED)
        assert planned(seen, failed, Pulse()) == [Stop(SECOND)]
    assert len(caplog.messages) == MOST - 1, "each try once"
    seen = tried(boots, copied, None, State.DEAD)
    assert planned(seen, found(first=State.READY, second=State.DEAD), Pulse()) == [], "a crash in its boot counts, too"
    assert SECOND in caplog.messages[-1]
    assert caplog.messages[-1].endswith("3 of 3 times: it stays as it is, and the database has no standby")
    for status, now in (("creating", "failed"), ("modifying", "available")):
        changed = dataclasses.replace(seen, status=status)
        assert planned(changed, failed, Pulse()) == [ReportService("database", "main", now)], "nobody waits for it"
        assert planned(dataclasses.replace(seen, status=now), failed, Pulse()) == []


def test_a_standby_that_has_been_ready_or_is_another_one_has_all_its_tries() -> None:
    boots, copied = Boots(), pair(synchronous=False)
    twice = (State.BOOTING, State.FAILED) * (MOST - 1)
    seen = tried(boots, copied, *twice, State.BOOTING, State.READY, State.DEAD, None, *twice)
    assert seen.standby
    assert not seen.standby.given_up, "a crash once it was ready is no failed boot"
    tried(boots, dataclasses.replace(copied, standby=None), State.BOOTING)
    seen = tried(boots, copied, State.BOOTING, State.FAILED)
    assert seen.standby
    assert not seen.standby.given_up


def test_what_else_is_begun_is_carried_out_by_the_primary() -> None:
    for change in (Restart(5432, MORE), Rotation(None, "given-1", 5432)):
        service = pair(status="rebooting", change=change)
        assert planned(service, BOTH) == [CarryOut("main", FIRST, change)]
        without = found(first=State.READY, second=State.BOOTING)
        assert planned(dataclasses.replace(service, standby=Standby(SECOND, "2")), without) == [
            CarryOut("main", FIRST, change)
        ]


def test_a_standby_that_is_to_go_is_let_go_by_the_primary_first() -> None:
    leaving = Synchrony(5432, on=False, leaving=True)
    assert planned(pair(leaving=True, status="modifying"), BOTH) == [CarryOut("main", FIRST, leaving)]


class Told:
    """The API and the machines, as far as a change is carried out on them: what was done, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cut: str = "", refuses: str = "") -> None:
        self.done: list[str] = []
        self._cut = cut

        def halted(machine: str, _: Path, grace: float) -> None:
            self._do(f"halt {machine} {grace:g}")

        def run(machine: str, command: list[str], given: str, *_: Any) -> str:
            known = {
                postgresql.PROMOTE: "promote",
                postgresql.WAIT_FOR_STANDBY: "wait",
                postgresql.WAIT_FOR_NOBODY: "wait for nobody",
                postgresql.POSITION: "position",
            }
            if machine == refuses:
                raise ChangeError(machine)
            restart, reached = command[-2:]
            self._do(f"{known.get(given) or f'configure, restart {restart} {reached}'.strip()} {machine}")
            return "0/3000060\n"

        monkeypatch.setattr(changes, "halt", halted)
        monkeypatch.setattr(changes, "_run", run)

    def put(self, path: str) -> None:
        self._do(path)

    def _do(self, what: str) -> None:
        if self._cut and what.startswith(self._cut):
            raise OSError("cut short")
        self.done.append(what)

    def carry_out(self, machine: str, change: Any) -> list[str]:
        carry_out(self, "main", machine, change, Path("/machines"))  # type: ignore[arg-type]
        return self.done


def test_a_takeover_is_known_when_the_old_primary_is_off_and_the_new_one_takes_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = Told(monkeypatch).carry_out(SECOND, dataclasses.replace(TAKEOVER, settings=MORE))
    assert done == [
        f"halt {FIRST} 0",
        f"promote {SECOND}",
        f"configure, restart pending {SECOND}",
        "db-instances/main/settings/v2",
        "db-instances/main/primary/2",
    ], "with what waited for a reboot"


def test_nobody_is_promoted_beside_a_primary_that_could_not_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch, cut="halt")
    with pytest.raises(OSError, match="cut short"):
        told.carry_out(SECOND, TAKEOVER)
    assert told.done == []


def test_a_standby_may_take_over_after_it_is_waited_for_and_until_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Told(monkeypatch).carry_out(FIRST, Synchrony(5432, on=True)) == [
        f"wait {FIRST}",
        "db-instances/main/standby/synchronous",
    ]
    assert Told(monkeypatch).carry_out(FIRST, Synchrony(5432, on=False)) == [
        "db-instances/main/standby/behind",
        f"wait for nobody {FIRST}",
    ]
    refused = Told(monkeypatch, cut="db-instances")
    with pytest.raises(OSError, match="cut short"):
        refused.carry_out(FIRST, Synchrony(5432, on=False))
    assert refused.done == [], "as long as the API says that it may take over, nothing is acknowledged without it"


def test_a_standby_has_all_parameters_before_it_may_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Synchrony(5432, on=True, standby=SECOND, settings=MORE)
    assert Told(monkeypatch).carry_out(FIRST, waits) == [
        f"position {FIRST}",
        f"configure, restart pending 0/3000060 {SECOND}",
        f"wait {FIRST}",
        "db-instances/main/standby/synchronous",
    ]


def test_a_reboot_starts_the_primary_s_server_anew_and_then_that_of_its_standby_if_it_has_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Told(monkeypatch).carry_out(FIRST, Restart(5432, MORE)) == [
        f"configure, restart always {FIRST}",
        "db-instances/main/rebooted",
    ]
    assert Told(monkeypatch).carry_out(FIRST, Configuration(5432, MORE, SECOND)) == [
        f"configure, restart never {FIRST}",
        f"position {FIRST}",
        f"configure, restart pending 0/3000060 {SECOND}",
        "db-instances/main/settings/v2",
    ], "what the log asks for by then is in it up to that position"


def test_a_server_that_does_not_start_with_its_parameters_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch, refuses=FIRST)
    with pytest.raises(ChangeError):
        told.carry_out(FIRST, Restart(5432, MORE))
    assert told.done == ["db-instances/main/incompatible"]
    status = "incompatible-parameters"
    silent = Pulse(hung=True)
    assert planned(pair(change=Configuration(5432, MORE, SECOND), status=status), BOTH, silent) == [], (
        "nor does its standby"
    )
    alone = Service("database", "main", (FIRST,), status, Configuration(5432, MORE), 5432)
    assert plan(Wanted((spec(FIRST),), NOTHING, "", (alone,)), found(first=State.READY)) == []
    again = dataclasses.replace(alone, change=Restart(5432, MORE))
    assert plan(Wanted((spec(FIRST),), NOTHING, "", (again,)), found(first=State.READY)) == [
        CarryOut("main", FIRST, Restart(5432, MORE))
    ]


def test_writes_wait_for_no_parameters_of_a_standby_that_is_gone() -> None:
    told = Configuration(5432, MORE, SECOND)
    service = pair(change=told)
    assert planned(service, BOTH) == [CarryOut("main", FIRST, told)]
    off = CarryOut("main", FIRST, Synchrony(5432, on=False))
    assert planned(service, found(first=State.READY, second=State.DEAD)) == [off]
    assert planned(service, BOTH, Pulse(waits=True, lost=True)) == [off]


def test_a_primary_waits_for_whom_its_standby_says_that_it_is() -> None:
    for statement in (postgresql.PULSE, postgresql.WAIT_FOR_STANDBY):
        assert f"'{postgresql.STANDBY}'" in statement


class Asked:
    """Two servers and a clock: what they answer, and what is known of them by then."""

    def __init__(self) -> None:
        self.answers: dict[str, str | None] = {}
        self.ready = {FIRST, SECOND}
        self._now = 0.0
        self._beats = Heartbeats(Path(), self._ask, lambda work: work())

    def _ask(self, machine: str, port: int, asked: str) -> str:
        assert port == 5432
        assert asked == (postgresql.FOLLOWING if machine == COPY else postgresql.PULSE)
        if (answer := self.answers.get(machine)) is None:
            raise OSError("no answer")
        return answer

    def after(self, seconds: float, service: Service | None = None) -> Pulse | None:
        until = self._now + seconds
        known: dict[str, Pulse] = {}
        while self._now < until:
            self._now += PERIOD_SECONDS
            known = self._beats.look([service or pair()], self.ready, self._now)
        return known.get("main")


def says(streaming: bool, waits: bool) -> str:
    return f'{{"streaming": {str(streaming).lower()}, "waits": {str(waits).lower()}}}'


def test_a_primary_hangs_when_it_is_silent_for_long_and_its_standby_is_not() -> None:
    asked = Asked()
    asked.answers = {FIRST: says(True, True), SECOND: says(False, False)}
    assert asked.after(4) == WELL
    asked.answers[FIRST] = None
    assert asked.after(HUNG_SECONDS - PERIOD_SECONDS) == WELL
    assert asked.after(PERIOD_SECONDS) == Pulse(hung=True)
    asked.answers[FIRST] = says(True, True)
    assert asked.after(PERIOD_SECONDS) == WELL


def test_nobody_hangs_when_neither_answers() -> None:
    asked = Asked()
    asked.answers = {FIRST: says(True, True)}
    asked.after(4)
    asked.answers = {}
    assert asked.after(60) == WELL


def test_a_standby_is_lost_when_a_primary_is_not_followed_for_long_by_one_that_is_ready() -> None:
    asked = Asked()
    asked.answers = {FIRST: says(False, True)}
    asked.ready = {FIRST}
    assert asked.after(60) == Pulse(waits=True), "its machine boots"
    asked.ready = {FIRST, SECOND}
    assert asked.after(LOST_SECONDS - PERIOD_SECONDS) == Pulse(waits=True)
    assert asked.after(PERIOD_SECONDS) == Pulse(waits=True, lost=True)
    asked.ready = {FIRST}
    assert asked.after(PERIOD_SECONDS) == Pulse(waits=True), "the next one has its own time"


def test_a_replica_is_lost_when_it_has_not_followed_for_long_and_both_it_and_its_source_are_ready() -> None:
    asked = Asked()
    replica = Service("database", "main", (COPY,), "available", port=5432, source=FIRST)
    asked.answers = {COPY: says(True, False)}
    asked.ready = {FIRST, COPY}
    assert asked.after(60, replica) == Pulse(streaming=True)
    asked.answers[COPY] = says(False, False)
    asked.ready = {COPY}
    assert asked.after(60, replica) == Pulse(), "its source is away"
    asked.ready = {FIRST, COPY}
    assert asked.after(CUT_OFF_SECONDS - PERIOD_SECONDS, replica) == Pulse()
    assert asked.after(PERIOD_SECONDS, replica) == Pulse(lost=True)
    asked.ready, asked.answers = {FIRST}, {}
    assert asked.after(60, replica) == Pulse(), "it is being copied anew"
    asked.ready = {FIRST, COPY}
    assert asked.after(60, replica) == Pulse(), "it does not say yet how it is"
    asked.answers[COPY] = says(False, False)
    assert asked.after(PERIOD_SECONDS, replica) == Pulse(), "who said nothing may have followed"


def test_what_the_old_primary_said_is_not_said_of_the_new_one() -> None:
    asked = Asked()
    asked.answers = {SECOND: says(False, False)}
    assert asked.after(60) == Pulse(hung=True)
    swapped = dataclasses.replace(pair(), machines=(SECOND, FIRST), standby=Standby(FIRST, "1"))
    assert asked.after(PERIOD_SECONDS, swapped) == Pulse()


@dataclass
class World:
    """A database, as far as its standby concerns it: what each disk has, and what was acknowledged.

    A change may be cut short after each of its steps.
    """

    states: dict[str, State] = field(default_factory=dict[str, State])
    disks: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    takes_writes: set[str] = field(default_factory=lambda: {FIRST})
    waits: dict[str, bool] = field(default_factory=dict[str, bool])
    acknowledged: set[int] = field(default_factory=set[int])
    primary: str = FIRST
    synchronous: bool = False
    failing_over: bool = False

    @property
    def other(self) -> str:
        return SECOND if self.primary == FIRST else FIRST

    def service(self) -> Service:
        nodes = {FIRST: "1", SECOND: "2"}
        standby = Standby(self.other, nodes[self.other], self.synchronous)
        change = Takeover(nodes[self.other], self.other, self.primary, 5432) if self.failing_over else None
        return Service(
            "database", "main", (self.primary, self.other), "available", change, 5432, self.primary, standby=standby
        )

    def follows(self) -> bool:
        other, primary = self.other, self.primary
        both = self.states.get(other) is State.READY and self.states.get(primary) is State.READY
        return both and other not in self.takes_writes

    def write(self) -> None:
        """On each machine that takes writes, wherever the name leads: an old connection stays where it is."""
        for machine in sorted(self.takes_writes):
            if self.states.get(machine) is not State.READY:
                continue
            number = 1 + max(self.acknowledged | set().union(*self.disks.values()), default=0)
            self.disks[machine].add(number)
            if machine == self.primary and self.follows():
                self.disks[self.other] |= self.disks[machine]
            elif self.waits.get(machine):
                continue  # nobody is told that it is written
            self.acknowledged.add(number)

    def crash(self, machine: str) -> None:
        if machine in self.states:
            self.states[machine] = State.DEAD

    def plan(self) -> list[Action]:
        streams = self.follows()
        pulse = Pulse(streaming=streams, waits=self.waits.get(self.primary, False))
        should = Wanted((spec(FIRST), spec(SECOND)), NOTHING, "", (self.service(),))
        there = [MachineStatus(each, "", "", state, 0.0, 1, 1.0, ()) for each, state in sorted(self.states.items())]
        answers = self.states.get(self.primary) is State.READY
        return plan(should, there, frozenset(), {"main": pulse} if answers else {})

    def act(self, action: Action, steps: int) -> None:
        """The first `steps` of an action."""
        for step in self._steps(action)[:steps]:
            step()

    def _steps(self, action: Action) -> list[Callable[[], Any]]:
        match action:
            case Start(one):
                assert one.id not in self.states, "a machine is started twice"
                return [lambda: self._start(one.id)]
            case Resume(one):
                assert self.states[one.id] not in ALIVE, "it runs"
                return [lambda: self.states.__setitem__(one.id, State.READY)]
            case Stop(machine):
                return [lambda: (self.states.pop(machine), self.disks.pop(machine), self.waits.pop(machine, None))]
            case Promote(_, _, node):
                assert node == {FIRST: "1", SECOND: "2"}[self.other]
                return [lambda: setattr(self, "failing_over", True)]
            case CarryOut(_, _, Takeover(_, machine, former)):
                return [lambda: self.states.__setitem__(former, State.OFF), lambda: self._promote(machine), self._swap]
            case CarryOut(_, machine, Synchrony(on=True)):
                return [lambda: self.waits.__setitem__(machine, True), lambda: self._join(machine)]
            case CarryOut(_, machine, Synchrony()):
                return [lambda: setattr(self, "synchronous", False), lambda: self.waits.__setitem__(machine, False)]
            case _:
                return []

    def _start(self, machine: str) -> None:
        if machine == self.primary:
            self.states[machine], self.disks[machine] = State.READY, set()
            self.takes_writes.add(machine)
        elif self.states.get(self.primary) is State.READY:
            self.states[machine], self.disks[machine] = State.READY, set(self.disks[self.primary])
            self.takes_writes.discard(machine)

    def _promote(self, machine: str) -> None:
        self.takes_writes.add(machine)
        self.waits[machine] = False

    def _join(self, machine: str) -> None:
        if self.follows():
            self.disks[self.other] |= self.disks[machine]
            self.synchronous = True

    def _swap(self) -> None:
        self.primary, self.synchronous, self.failing_over = self.other, False, False


EVENTS = st.one_of(
    st.just("write"),
    st.sampled_from(["crash first", "crash second"]),
    st.integers(1, 3).map(lambda steps: f"round {steps}"),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(EVENTS, max_size=30))
def test_whatever_breaks_and_whenever_what_was_acknowledged_is_not_lost(events: list[str]) -> None:
    world = World()
    for event in ["round 3"] * 4 + events + ["round 3"] * 12:
        what, _, how = event.partition(" ")
        if what == "write":
            world.write()
        elif what == "crash":
            world.crash({"first": FIRST, "second": SECOND}[how])
        else:
            for action in world.plan():
                world.act(action, int(how))
    assert world.states == {FIRST: State.READY, SECOND: State.READY}, "it does not come to rest"
    assert world.synchronous, "nor to a standby"
    assert world.disks[world.primary] >= world.acknowledged, "a write that was acknowledged is lost"
