"""Deploys against the lab's API, on machines that do what a script says: every way to fail, and to be interrupted."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from operate import deploy as deploying
from operate import releases, scale, status
from operate.deploy import BusyError, Mode, Options, Outcome, Progress, RefusedError, StuckError
from operate.deploy import record as records
from tests.plan.lab_api_server import ApiServer
from tests.plan.scripted_fleet import ScriptedFleet

QUICK = Options(bake=0.5, patience=20, pause=0.1)
IN_PLACE = replace(QUICK, mode=Mode.IN_PLACE)
HOW = pytest.mark.parametrize("options", [QUICK, IN_PLACE], ids=["rolling", "in-place"])


@pytest.fixture
def site(api: ApiServer) -> Iterator[ScriptedFleet]:
    with ScriptedFleet(api).at_work() as site:
        yield site


def deploy(site: ScriptedFleet, release: str, options: Options = QUICK, tell: Any = None) -> Outcome:
    to = {"release_id": release, "key": f"releases/{release}", "sha256": "0" * 64}
    return deploying.deploy(site.stack, to, options, tell or (lambda _: None))


def runs_everywhere(site: ScriptedFleet, release: str) -> bool:
    found = status.look(site.stack)
    return (
        site.release() == found.release == release
        and list(site.running().values()) == [release] * 2
        and found.settled
        and {row.state for row in found.machines} == {"serving"}
    )


class Killed(BaseException):
    """As a signal ends the program."""


def killed_in(site: ScriptedFleet, release: str, phase: str, options: Options = QUICK) -> None:
    """A deploy that ends in that phase without another word."""

    def tell(progress: Progress) -> None:
        if progress.phase == phase:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records.Held, "let_go", lambda _: None)
        with pytest.raises(Killed):
            deploy(site, release, options, tell)


@HOW
def test_a_good_release_comes_to_every_machine_and_the_number_that_serves_never_sinks_below_what_it_must(
    site: ScriptedFleet, options: Options
) -> None:
    before = set(site.running())
    outcome = deploy(site, "good-2", options)
    assert outcome.deployed, outcome.failure
    assert runs_everywhere(site, "good-2")
    replaced = not before & set(site.running())
    assert replaced is (options.mode is Mode.ROLLING)
    assert site.fewest == (2 if options.mode is Mode.ROLLING else 1)
    group = site.fleet.describe(site.app)
    assert (group["DesiredCapacity"], group["MaxSize"]) == (2, 2), "the room that replacing took is given back"


@HOW
def test_a_release_that_crashes_at_boot_is_taken_back_and_its_last_words_are_told(
    site: ScriptedFleet, options: Options
) -> None:
    before = set(site.running())
    outcome = deploy(site, "crashes-1", options)
    assert not outcome.deployed
    assert outcome.failure
    assert (outcome.failure.reason, outcome.failure.log) == ("the app exits at once (1)", ("Error: no such column",))
    assert outcome.failure.machine not in (before if options.mode is Mode.ROLLING else ())
    assert runs_everywhere(site, "good-1")
    assert set(site.running()) == before, "no machine of before was lost"
    assert site.fewest == (2 if options.mode is Mode.ROLLING else 1)


@HOW
def test_a_release_that_never_gets_ready_is_taken_back(site: ScriptedFleet, options: Options) -> None:
    outcome = deploy(site, "hangs-1", replace(options, patience=6))
    assert not outcome.deployed
    assert "nothing has moved for 6 s" in (outcome.failure.reason if outcome.failure else "")
    assert runs_everywhere(site, "good-1")


@HOW
def test_a_release_that_answers_errors_is_caught_on_one_machine(site: ScriptedFleet, options: Options) -> None:
    had_it: set[str] = set()

    def tell(_: Progress) -> None:
        had_it.update(id_ for id_, release in site.boots.items() if release == "errors-1")

    outcome = deploy(site, "errors-1", replace(options, bake=60), tell)
    assert not outcome.deployed
    assert "answers are 500 or above, or missing (100%; others: 0%)" in (
        outcome.failure.reason if outcome.failure else ""
    )
    assert len(had_it) == 1, "the others were never touched"
    assert outcome.seconds < 60, "it waited for the bake to end"
    assert runs_everywhere(site, "good-1")


@pytest.mark.parametrize("phase", ["first", "baking", "rest"])
@HOW
def test_a_deploy_that_was_killed_is_finished_by_the_next(site: ScriptedFleet, options: Options, phase: str) -> None:
    killed_in(site, "good-2", phase, options)
    found = status.look(site.stack)
    assert found.under_way
    assert (found.under_way.phase, found.under_way.to["release_id"]) == (phase, "good-2")
    assert not found.settled
    assert {row.id: row.release for row in found.machines if row.tier == "app"}.items() <= site.boots.items()
    forget_the_process(site)
    assert deploy(site, "good-2", options).deployed
    assert runs_everywhere(site, "good-2")
    assert site.fleet.describe(site.app)["DesiredCapacity"] == 2


@pytest.mark.parametrize("phase", ["first", "rest"])
@HOW
def test_a_deploy_that_was_killed_is_taken_back_by_going_to_the_release_before(
    site: ScriptedFleet, options: Options, phase: str
) -> None:
    killed_in(site, "good-2", phase, options)
    forget_the_process(site)
    assert deploy(site, "good-1", replace(options, back=True)).deployed
    assert runs_everywhere(site, "good-1")
    assert site.fleet.describe(site.app)["DesiredCapacity"] == 2


def test_a_machine_that_a_killed_deploy_had_asked_for_goes_also_where_it_comes_up_on_the_release_before(
    site: ScriptedFleet,
) -> None:
    killed_in(site, "good-2", "first")
    forget_the_process(site)
    # What it did last, as seen by whoever takes it back: the machine boots when the pointer has moved back.
    site.point("good-1")
    site.fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=site.app, MaxSize=3, DesiredCapacity=3)
    assert deploy(site, "good-1", replace(QUICK, back=True)).deployed
    assert runs_everywhere(site, "good-1")
    group = site.fleet.describe(site.app)
    assert (group["DesiredCapacity"], group["MaxSize"]) == (2, 2)


def test_a_deploy_that_was_killed_on_its_way_back_is_taken_back_by_the_next(site: ScriptedFleet) -> None:
    killed_in(site, "crashes-1", "back")
    forget_the_process(site)
    assert not deploy(site, "crashes-1").deployed, "trying it again fails as it did"
    assert runs_everywhere(site, "good-1"), "and ends where the fleet was before the first one"


def forget_the_process(site: ScriptedFleet) -> None:
    """The killed deploy's process is this one, which goes on: make it one that is gone."""
    found = records.read(site.s3, site.bucket)
    assert found
    gone = replace(found[0], process={**found[0].process, "pid": 2**22 + 1})
    records.take(site.s3, site.bucket, gone, found)


def test_of_two_deploys_at_once_the_second_is_refused_and_told_who_is_at_it(site: ScriptedFleet) -> None:
    begun, go_on = threading.Event(), threading.Event()
    outcomes: list[Outcome] = []

    def tell(_: Progress) -> None:
        begun.set()
        go_on.wait(60)

    first = threading.Thread(target=lambda: outcomes.append(deploy(site, "good-2", QUICK, tell)))
    first.start()
    try:
        assert begun.wait(60)
        with pytest.raises(BusyError, match=r"a deploy of good-2 by .+@.+ is under way since .+ UTC \(phase: first\)"):
            deploy(site, "good-3")
        with pytest.raises(scale.ScaleError, match="a deploy is half done"):
            scale.scale(site.stack, 1, lambda _: None)
    finally:
        go_on.set()
        first.join(60)
    assert [each.deployed for each in outcomes] == [True]
    assert runs_everywhere(site, "good-2")


def test_one_that_was_taken_for_dead_and_is_not_stops_at_its_next_word(site: ScriptedFleet) -> None:
    def tell(progress: Progress) -> None:
        if progress.phase == "first":
            found = records.read(site.s3, site.bucket)
            assert found
            records.take(site.s3, site.bucket, replace(found[0], by="somebody else"), found)

    with pytest.raises(deploying.LostError, match="another deploy went on in the place of this one"):
        deploy(site, "good-2", QUICK, tell)


def test_a_change_of_the_launch_template_is_shown_and_rolled_without_another_release(site: ScriptedFleet) -> None:
    version = site.new_template()
    found = status.look(site.stack)
    assert not found.settled
    assert {row.template_version for row in found.machines if row.tier == "app"} == {"1"} != {version}
    with pytest.raises(RefusedError, match=r"the launch template has changed since\. Leave out --in-place"):
        deploy(site, "good-1", IN_PLACE)
    assert deploy(site, "good-1").deployed
    assert runs_everywhere(site, "good-1")
    assert {each["LaunchTemplate"]["Version"] for each in site.fleet.members(site.app)} == {version}


def test_a_launch_template_whose_machines_fail_is_taken_back_too(site: ScriptedFleet) -> None:
    site.new_template()
    assert not deploy(site, "crashes-1").deployed
    assert runs_everywhere(site, "good-1")
    assert site.fleet.describe(site.app)["LaunchTemplate"]["Version"] == "1", "what is launched next works as well"


def test_an_edge_is_replaced_by_one_of_the_new_launch_template_before_it_goes(site: ScriptedFleet) -> None:
    version = site.new_template(site.edge)
    assert deploy(site, "good-1").deployed
    assert [each["LaunchTemplate"]["Version"] for each in site.fleet.members(site.edge)] == [version]
    assert site.fleet.describe(site.edge)["MaxSize"] == 1


def test_where_nothing_has_changed_nothing_is_done(site: ScriptedFleet) -> None:
    before = site.running()
    outcome = deploy(site, "good-1")
    assert (outcome.deployed, outcome.changed) == (True, False)
    assert site.running() == before


def test_in_place_takes_two_machines_that_serve(api: ApiServer) -> None:
    with ScriptedFleet(api, size=1).at_work() as site:
        with pytest.raises(RefusedError, match="in place takes two machines that serve"):
            deploy(site, "good-2", IN_PLACE)
        assert site.release() == "good-1"
        assert deploy(site, "good-2").deployed, "one machine is replaced by one more that goes ahead"
        assert site.fewest == 1


def test_a_fleet_that_a_release_broke_is_mended_by_a_good_one(site: ScriptedFleet) -> None:
    for id_ in site.running():
        site.states[id_] = ("failed", None)
    assert deploy(site, "good-2").deployed
    assert runs_everywhere(site, "good-2")


def test_when_the_old_release_fails_as_well_that_is_said_and_left_to_the_next_command(site: ScriptedFleet) -> None:
    def tell(progress: Progress) -> None:
        if progress.phase == "first":
            for id_ in progress.fleet.app.machines:
                if site.boots.get(id_.id) == "good-1":  # not one that has been launched and not booted yet
                    site.states[id_.id] = ("failed", None)

    with pytest.raises(StuckError, match=r"the old release good-1 isn't everywhere either"):
        deploy(site, "crashes-1", replace(QUICK, patience=6), tell)
    assert status.look(site.stack).under_way


def test_rollback_goes_to_the_good_release_before_and_keeps_the_order_of_releases(site: ScriptedFleet) -> None:
    deploy(site, "good-2")
    deploy(site, "crashes-1")
    entries = releases.history(site.stack)
    assert [(each.release, each.good) for each in entries] == [
        ("crashes-1", False),
        ("good-2", True),
        ("good-1", True),
    ]
    assert releases.choose(entries, "good-2", None).release == "good-1"
    with pytest.raises(releases.ReleaseError, match="there is no release before good-1 to go back to"):
        releases.choose(entries, "good-1", None)
    assert deploy(site, "good-1", replace(QUICK, back=True)).deployed
    assert [each.release for each in releases.history(site.stack)] == ["crashes-1", "good-2", "good-1"]


def test_scaling_waits_until_all_serve_and_names_the_setting_that_bounds_it(api: ApiServer) -> None:
    with ScriptedFleet(api, MaxSize=3).at_work() as site:
        more = scale.scale(site.stack, 3, lambda _: None, patience=30, pause=0.1)
        assert all(each.serving for each in more.app.machines)
        assert len(more.app.machines) == 3
        fewer = scale.scale(site.stack, 1, lambda _: None, patience=30, pause=0.1)
        assert len(fewer.app.machines) == 1
        with pytest.raises(scale.ScaleError, match=r"at most 3 machines, not 4: raise expressway:app.maxSize"):
            scale.scale(site.stack, 4, lambda _: None)
        assert site.fleet.describe(site.app)["DesiredCapacity"] == 1
