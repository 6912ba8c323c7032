"""Replacing machines, and an instance refresh, as plain values and time: no API, nothing slept."""

from dataclasses import dataclass, field, replace

import pytest

from lab.api.refresh import PATIENCE, Machine, Preferences, Refresh
from lab.api.replacement import Standing, limits, plan

OVERVIEW = "https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-overview.html"
CHECKPOINTS = "https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-adding-checkpoints-instance-refresh.html"
ROLLBACK = "https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-rollback.html"


def _old(count: int) -> list[Standing]:
    return [Standing(f"old-{n}", ready=True, due=True) for n in range(count)]


def _new(count: int, *, ready: bool) -> list[Standing]:
    return [Standing(f"new-{n}", ready=ready) for n in range(count)]


@pytest.mark.parametrize(
    ("desired", "least", "most", "standing", "launch", "ending", "why"),
    [
        (2, 100, 200, _old(2), 2, 0, "all the new ones first"),
        (2, 100, 200, _old(2) + _new(2, ready=False), 0, 0, "no old one goes before a new one is ready"),
        (2, 100, 200, _old(2) + _new(2, ready=True), 0, 2, "then the old ones go"),
        (2, 100, 110, _old(2), 1, 0, "a tenth of two is one: else nothing could be launched first"),
        (10, 100, 110, _old(10), 1, 0, "one more at a time"),
        (10, 90, 100, _old(10), 0, 1, "one ends first where there can be no more than ten"),
        (10, 90, 100, _old(9) + _new(1, ready=False), 0, 0, "and the next when its successor is ready"),
        (10, 50, 100, _old(10), 0, 5, "half of them at once"),
        (1, 90, 100, _old(1), 0, 1, "a single one ends first at the defaults: an outage, as on AWS"),
        (2, 100, 100, _old(2), 0, 1, "100 and 100 leave no room: one at a time"),
        (2, 100, 100, _old(1), 1, 0, "what is missing is launched before the next ends"),
        (3, 0, 100, _old(3), 0, 3, "0 percent lets all end at once"),
    ],
)
def test_a_replacement_stays_between_its_bounds(  # OVERVIEW
    desired: int, least: int, most: int, standing: list[Standing], launch: int, ending: int, why: str
) -> None:
    step = plan(desired, limits(desired, least, most), standing)
    assert (step.launch, len(step.terminate)) == (launch, ending), why


def test_an_unhealthy_machine_waits_for_its_successor_where_there_may_be_more() -> None:
    sick, well = Standing("sick", ready=False, due=True), Standing("well", ready=True)
    bounds = limits(2, 100, 150)
    assert plan(2, bounds, [sick, well]).launch == 1
    assert plan(2, bounds, [sick, well, *_new(1, ready=False)]).terminate == ()
    assert plan(2, bounds, [sick, well, *_new(1, ready=True)]).terminate == ("sick",)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
@pytest.mark.parametrize(("least", "most"), [(90, 100), (100, 100), (100, 110), (100, 200), (50, 100), (0, 200)])
def test_every_replacement_comes_to_its_end(count: int, least: int, most: int) -> None:
    bounds, standing, made = limits(count, least, most), _old(count), 0
    for _ in range(6 * count):
        step = plan(count, bounds, standing)
        standing = [each for each in standing if each.id not in step.terminate]
        ready = sum(each.ready for each in standing)
        assert ready >= min(bounds.floor, count - 1), f"{ready} ready of {count} at {least} percent"
        fresh = [Standing(f"new-{made + n}", ready=False) for n in range(step.launch)]
        made += step.launch
        standing = [replace(each, ready=True) for each in standing] + fresh
        assert len(standing) <= bounds.ceiling, f"{len(standing)} machines of at most {bounds.ceiling}"
    assert [each.due for each in standing] == [False] * count, "all are new, and as many as before"


@dataclass
class World:
    """A group of which each machine can be replaced by a ready new one."""

    refresh: Refresh
    machines: list[Machine]
    now: float = 0.0
    happened: list[str] = field(default_factory=list)

    def step(self, seconds: float = 1, alarm: str | None = None) -> None:
        self.now += seconds
        size = sum(machine.counts for machine in self.machines)
        self.happened += self.refresh.advance(size, self.machines, alarm, self.now)

    def due(self) -> list[str]:
        return self.refresh.due(sum(machine.counts for machine in self.machines), self.machines)

    def exchange(self) -> None:
        """Replace what is due."""
        due = self.due()
        own = self.refresh.status == "RollbackInProgress"
        self.machines = [
            Machine(f"{each.id}'", counts=True, ready=True, own=own) if each.id in due else each
            for each in self.machines
        ]


def _world(count: int, *, replaced: int | None = None, **preferences: object) -> World:
    """A refresh of the first `replaced` machines, by default all, from the group's own configuration to another."""
    chosen = Preferences(**{"least": 100, "most": 200, "warm_up": 0.0} | preferences)  # pyright: ignore[reportArgumentType]
    machines = [Machine(f"m{n}", counts=True, ready=True) for n in range(count)]
    old = {machine.id for machine in machines[: count if replaced is None else replaced]}
    return World(Refresh(chosen, old, 0.0, reversible=True), machines)


def test_a_refresh_replaces_all_and_counts_what_is_ready() -> None:  # OVERVIEW
    world = _world(4)
    world.step()
    assert (world.refresh.status, world.refresh.percent, world.refresh.to_update) == ("InProgress", 0, 4)
    assert len(world.due()) == 4
    world.machines[0] = Machine("new", counts=True, ready=False)
    world.step()
    assert world.refresh.percent == 0, "one that is not ready yet is not updated"
    world.machines[0] = Machine("new", counts=True, ready=True)
    world.step()
    assert (world.refresh.percent, world.refresh.to_update) == (25, 3)
    world.exchange()
    world.step()
    assert (world.refresh.status, world.refresh.percent) == ("Successful", 100)


def test_a_refresh_waits_at_each_checkpoint_but_the_last() -> None:  # CHECKPOINTS
    world = _world(10, checkpoints=(20, 50, 100), checkpoint_delay=60)
    world.step()
    assert len(world.due()) == 2, "no more than the first checkpoint asks for"
    world.exchange()
    world.step()
    assert world.due() == [], "it waits"
    assert "20 percent" in str(world.refresh.reason)
    world.step(59)
    assert world.due() == []
    world.step(2)
    assert len(world.due()) == 3, "up to one half"
    world.exchange()
    world.step()
    world.step(61)
    world.exchange()
    world.step()
    assert world.refresh.status == "Successful", "after the last there is nothing to wait for"
    assert world.happened.count("CheckpointReached") == 3


def test_a_refresh_ends_at_a_last_checkpoint_below_100() -> None:  # CHECKPOINTS
    world = _world(4, checkpoints=(50,))
    world.step()
    world.exchange()
    world.step()
    assert (world.refresh.status, world.refresh.percent) == ("Successful", 50)
    assert world.due() == [], "and leaves the others"


def test_checkpoints_that_one_batch_passes_together_hold_it_once() -> None:
    world = _world(2, checkpoints=(20, 40, 100), checkpoint_delay=60)
    world.step()
    assert len(world.due()) == 1
    world.exchange()
    world.step()
    world.step(61)
    assert len(world.due()) == 1, "one half is past both"


def test_machines_that_match_already_are_new_ones() -> None:  # SkipMatching
    world = _world(4, replaced=1)
    world.step()
    assert (world.refresh.percent, world.due()) == (75, ["m0"])


def test_nothing_to_replace_is_a_success_at_once() -> None:
    world = _world(3, replaced=0)
    world.step()
    assert world.refresh.status == "Successful"


def test_a_cancelled_refresh_waits_for_what_is_under_way_and_undoes_nothing() -> None:
    world = _world(2)
    world.step()
    world.machines.append(Machine("new", counts=True, ready=False, moving=True))
    world.refresh.cancel(waits=True)
    world.step()
    assert (world.refresh.status, world.due()) == ("Cancelling", [])
    world.machines.pop()
    world.step()
    assert world.refresh.status == "Cancelled"


def test_a_rollback_replaces_what_is_not_as_the_group_says() -> None:  # ROLLBACK
    world = _world(4, checkpoints=(50, 100))
    world.step()
    world.exchange()
    world.step()
    world.refresh.roll_back("Rollback requested by user.", world.machines, world.now)
    assert sorted(world.due()) == ["m0'", "m1'"], "the new ones, whatever the checkpoints were"
    assert world.refresh.before_rollback == ("Rollback requested by user.", 50, 2)
    world.exchange()
    world.step()
    assert (world.refresh.status, world.refresh.percent) == ("RollbackSuccessful", 100)


@pytest.mark.parametrize(("auto", "status"), [(False, "Failed"), (True, "RollbackInProgress")])
def test_a_refresh_fails_when_it_gets_no_further_for_an_hour(auto: bool, status: str) -> None:  # OVERVIEW
    world = _world(2, auto_rollback=auto)
    world.step()
    world.step(PATIENCE - 2)
    assert world.refresh.status == "InProgress"
    world.step(2)
    assert world.refresh.status == status


def test_the_wait_at_a_checkpoint_is_no_standstill() -> None:
    world = _world(2, checkpoints=(50, 100), checkpoint_delay=2 * PATIENCE)
    world.step()
    world.exchange()
    world.step()
    world.step(2 * PATIENCE + 1)
    assert world.refresh.status == "InProgress"


def test_an_alarm_ends_a_refresh_and_a_bake() -> None:
    world = _world(2, auto_rollback=True, bake=60.0)
    world.step()
    world.exchange()
    world.step()
    assert world.refresh.status == "Baking"
    world.step(alarm="errors")
    assert world.refresh.status == "RollbackInProgress"
    assert "errors" in str(world.refresh.reason)


def test_a_bake_ends_in_success_by_itself() -> None:
    world = _world(1, bake=60.0)
    world.step()
    world.exchange()
    world.step()
    world.step(59)
    assert world.refresh.status == "Baking"
    world.step(2)
    assert world.refresh.status == "Successful"


@pytest.mark.parametrize(("choice", "due"), [("Wait", 1), ("Refresh", 2)])
def test_a_protected_machine_is_waited_for_or_replaced(choice: str, due: int) -> None:
    world = _world(2, protected=choice)
    world.machines[0] = replace(world.machines[0], protected=True)
    world.step()
    assert len(world.due()) == due
    if choice == "Wait":
        world.exchange()
        world.step()
        assert world.refresh.status == "InProgress", "until its protection is taken away"


def test_a_machine_in_standby_ends_where_the_preferences_say_so() -> None:
    world = _world(2, standby="Terminate")
    world.machines[0] = replace(world.machines[0], counts=False, ready=False, standby=True)
    world.step()
    assert world.refresh.standby_due(world.machines) == ["m0"]
    assert world.due() == ["m1"]
