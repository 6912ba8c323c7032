"""The reconciler at work, with an API, an Nginx and a bucket that the test plays; probes answer at once."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from edge_examples import LAUNCH, TERMINATE, numbered, servers
from expressway_machine.readiness import Answer as Probed
from reconciler import departures, probes, replacements, retry
from reconciler.events import Events
from reconciler.loop import Reconciler
from reconciler.model import Answer, Hook, Member, Server, Traffic
from reconciler.upstream import BalancerError

ME = "i-me"


class Api:
    """AWS."""

    def __init__(self) -> None:
        self.answer: Answer | Exception = answer()
        self.told: list[tuple[str, str]] = []
        self.refuses = 0
        self.asked = 0
        self.has_ended: frozenset[str] = frozenset()

    def observe(self) -> Answer:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def ended(self, instance_ids: Sequence[str]) -> frozenset[str]:
        return self.has_ended & set(instance_ids)

    def complete(self, member: Member, hook: Hook) -> None:
        if self.refuses:
            self.refuses -= 1
            raise throttled()
        self.told.append((member.instance_id, hook.name))

    def beat(self, member: Member, hook: Hook) -> None:
        self.told.append((member.instance_id, f"{hook.name} beat"))

    def give_up(self, instance_id: str) -> None:
        self.told.append((instance_id, "unhealthy"))


class Nginx:
    """The balancer."""

    def __init__(self) -> None:
        self.servers: tuple[Server, ...] = ()
        self.in_flight: dict[str, int] = {}
        self.lists: list[tuple[Server, ...]] = []
        self.problem: Exception | None = None

    def read(self) -> Traffic:
        if self.problem:
            raise self.problem
        return Traffic(self.servers, {each: {"in_flight": count} for each, count in self.in_flight.items()})

    def apply(self, servers: Sequence[Server]) -> None:
        if any(each.instance_id == "i-13" for each in servers):
            raise BalancerError("unlucky")
        self.servers = tuple(servers)
        self.lists.append(self.servers)


class Bucket:
    """The edges' reports."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.others: dict[str, Any] = {}
        self.problem: Exception | None = None

    def write(self, report: dict[str, Any]) -> None:
        if self.problem:
            raise self.problem
        self.written.append(report)

    def read(self, instance_id: str) -> Any:
        if self.problem:
            raise self.problem
        return self.others.get(instance_id)


class World:
    """All of it, and who answers probes."""

    def __init__(self, state: Path) -> None:
        self.api, self.nginx, self.bucket, self.state = Api(), Nginx(), Bucket(), state
        self.well: set[str] = set()
        self.events: Events | None = None
        self.passes = 0

    def reconciler(self) -> Reconciler:
        return Reconciler(self.api, self.nginx, self.bucket, ME, {3000: "/readyz"}, self.state, None, self.events)

    def published(self) -> dict[str, Any]:
        return json.loads(self.state.read_text())

    async def until(self, true: Callable[[], object], message: str, seconds: float = 20) -> None:
        """Wait, for as long as a busy host may need."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not true():
            assert asyncio.get_running_loop().time() < deadline, message
            await asyncio.sleep(0.01)

    def run(self, scenario: Callable[[Reconciler], Coroutine[Any, Any, None]]) -> None:
        """A reconciler at work while the scenario runs."""

        async def both() -> None:
            reconciler = self.reconciler()
            working = asyncio.create_task(reconciler.run(self._passed))
            try:
                await scenario(reconciler)
            finally:
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working

        asyncio.run(both())

    def _passed(self) -> None:
        self.passes += 1


def waiting_for(world: World, true: Callable[[], object]) -> Callable[[Reconciler], Coroutine[Any, Any, None]]:
    """A scenario of nothing else."""

    async def scenario(_: Reconciler) -> None:
        await world.until(true, "it did not come to that")

    return scenario


def answer(*, edges: tuple[str, ...] = (), drained: Sequence[int] = (), **states: str) -> Answer:
    believed = numbered({int(name[1:]): state for name, state in states.items()}, 2, drained)
    return Answer(believed.members, 2, edges)


def throttled() -> ClientError:
    return ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeAutoScalingGroups")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "run/reconciler.json")

    async def probe(address: str, port: int, path: str) -> Probed:
        assert (port, path) == (3000, "/readyz")
        well = f"i-{address.rpartition('.')[2]}" in made.well
        return Probed(well, "HTTP 200" if well else "Connection refused")

    monkeypatch.setattr(probes, "probe", probe)
    # Time runs faster here.
    monkeypatch.setattr(retry, "pause", lambda failures, throttled, urgent=False: 0.02)
    monkeypatch.setattr("reconciler.loop.LEAST_BETWEEN_ANSWERS", 0.0)
    monkeypatch.setattr("reconciler.loop.PASS_SECONDS", 0.02)
    monkeypatch.setattr(departures, "SETTLED_SECONDS", 0.1)
    monkeypatch.setattr("reconciler.health.FALL_SECONDS", 0.0)
    monkeypatch.setattr(probes, "INTERVAL", 0.02)
    monkeypatch.setattr(probes, "EAGER", 0.02)
    return made


def test_it_is_ready_once_nginx_has_its_servers_and_tells_how_things_are(world: World) -> None:
    world.api.answer = answer(i1="InService", i2="Pending:Wait")
    world.well = {"i-1", "i-2"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.passes, "no pass was made")
        assert world.nginx.servers == servers(1, 2), "what waits for the unit finds Nginx with its servers"
        await world.until(lambda: world.api.told, "the launch does not go on")
        await world.until(lambda: world.published()["members"], "nothing is told")

    world.run(scenario)
    assert world.api.told[0] == ("i-2", LAUNCH.name)
    state = world.published()
    assert [each["address"] for each in state["upstreams"]] == ["10.0.0.1", "10.0.0.2"]
    assert state["last_answer_age_seconds"] < 5
    assert (state["error"], state["nginx"], state["wanted"]) == (None, True, 2)
    assert state["members"][1]["lifecycle"] == "Pending:Wait"
    assert state["members"][1]["probe"] == "HTTP 200"


def test_an_unchanged_list_is_not_applied_again(world: World) -> None:
    world.api.answer, world.well = answer(i1="InService"), {"i-1"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.passes > 10, "it does not go on")

    world.run(scenario)
    assert world.nginx.lists == [servers(1)]


@pytest.mark.parametrize(
    "problem",
    [
        throttled(),
        EndpointConnectionError(endpoint_url="https://autoscaling.us-east-1.amazonaws.com"),
        KeyError("AutoScalingGroups"),
    ],
)
def test_an_api_that_fails_leaves_the_list_and_probes_go_on(problem: Exception, world: World) -> None:
    world.api.answer = answer(i1="InService", i2="InService", i3="InService")
    world.well = {"i-1", "i-2", "i-3"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.nginx.servers == servers(1, 2, 3), "the servers are not there")
        answered = world.published()["last_answer_at"]
        world.api.answer, before = problem, world.api.asked
        await world.until(lambda: world.api.asked > before + 5, "it is not asked again")
        await world.until(lambda: world.published()["error"], "nothing is said")
        state = world.published()
        assert [each["instance_id"] for each in state["upstreams"]] == ["i-1", "i-2", "i-3"], "the last good list"
        assert state["last_answer_at"] >= answered
        world.well = {"i-1", "i-2"}
        await world.until(lambda: world.nginx.servers == servers(1, 2), "a dead server stays while the API is down")
        assert str(problem) in world.published()["error"], "what is wrong"

    world.run(scenario)


def test_an_api_that_says_that_nobody_is_there_is_not_believed_while_they_answer(world: World) -> None:
    world.api.answer, world.well = answer(i1="InService", i2="InService"), {"i-1", "i-2"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.nginx.servers == servers(1, 2), "the servers are not there")
        world.api.answer, before = answer(), world.api.asked
        await world.until(lambda: world.api.asked > before + 5, "it is not asked again")
        assert world.nginx.servers == servers(1, 2)
        assert "i-1, i-2" in world.published()["error"]
        world.api.has_ended = frozenset({"i-1"})
        await world.until(lambda: world.nginx.servers == servers(2), "EC2 says that it has ended")

    world.run(scenario)


def test_a_restart_takes_nobody_out_even_while_the_api_says_nothing(world: World) -> None:
    world.nginx.servers = servers(1, 2)
    world.api.answer, world.well = throttled(), {"i-1", "i-2"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.passes > 5, "no pass was made")

    world.run(scenario)
    assert world.nginx.lists == []


def test_no_hook_is_completed_when_nginx_refused_the_list(world: World) -> None:
    world.api.answer, world.well = answer(i13="Pending:Wait"), {"i-13"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.passes > 5, "no pass was made")

    world.run(scenario)
    assert world.api.told == [], "it would be in service without getting requests"
    assert "unlucky" in world.published()["error"]


def test_nginx_that_is_gone_for_a_while_is_a_problem_and_no_end(world: World) -> None:
    world.api.answer, world.well = answer(i1="InService"), {"i-1"}
    world.nginx.problem = BalancerError("no such file")

    async def scenario(_: Reconciler) -> None:
        await world.until(world.state.exists, "nothing is told")
        assert "no such file" in world.published()["error"]
        world.nginx.problem = None
        await world.until(lambda: world.nginx.servers == servers(1), "it does not go on")
        await world.until(lambda: world.published()["error"] is None, "all is well again")

    world.run(scenario)


def test_a_hook_that_could_not_be_completed_is_tried_again(world: World) -> None:
    world.api.answer, world.well, world.api.refuses = answer(i1="Pending:Wait"), {"i-1"}, 3

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.api.told, "it was not tried again")

    world.run(scenario)
    assert world.api.refuses == 0


def test_a_leaving_machine_is_let_go_once_its_requests_are_answered(world: World) -> None:
    world.api.answer, world.well = answer(i1="InService", i2="InService"), {"i-1", "i-2"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.nginx.servers == servers(1, 2), "the servers are not there")
        world.nginx.in_flight = {"i-2": 2}
        world.api.answer = answer(i1="InService", i2="Terminating:Wait")
        await world.until(lambda: world.nginx.servers == servers(1), "it still gets requests")
        await asyncio.sleep(0.3)
        assert world.api.told == [], "it answers two requests"
        assert world.published()["members"][1]["state"] == "draining"
        world.nginx.in_flight = {}
        await world.until(lambda: world.api.told, "it is not let go")

    world.run(scenario)
    assert world.api.told[0] == ("i-2", TERMINATE.name)


def test_a_leaving_machine_waits_for_the_other_edge(world: World) -> None:
    world.api.answer = answer(edges=("i-other",), i1="InService", i2="Terminating:Wait")
    world.well, world.nginx.servers = {"i-1", "i-2"}, servers(1)
    world.bucket.others["i-other"] = {"at": 9e9, "members": [{"id": "i-2", "state": "serving"}]}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.passes > 5, "no pass was made")
        await asyncio.sleep(0.3)
        assert world.api.told == [], "the other edge sends requests to it"
        world.bucket.others["i-other"] = {"at": 9e9, "members": [{"id": "i-2", "state": "out"}]}
        await world.until(lambda: world.api.told, "it is not let go")

    world.run(scenario)


def test_an_edge_that_cannot_be_asked_holds_a_leaving_machine(world: World) -> None:
    world.api.answer = answer(edges=("i-other",), i1="InService", i2="Terminating:Wait")
    world.well, world.nginx.servers, world.bucket.problem = {"i-1", "i-2"}, servers(1), throttled()

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.passes > 5, "no pass was made")
        await asyncio.sleep(0.3)

    world.run(scenario)
    assert world.api.told == []
    assert "i-other: report" in world.published()["error"]


def test_the_api_is_asked_more_often_during_a_drain_and_for_a_while_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def pause(_failures: int, _throttled: bool, urgent: bool = False) -> float:
        asked.append(urgent)
        return 0.02

    monkeypatch.setattr(retry, "pause", pause)
    at_rest = world.api.answer = answer(i1="InService", i2="InService")
    world.well = {"i-1", "i-2"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: len(asked) > 5, "it does not ask")
        assert not any(asked)
        world.api.answer = answer(i1="InService", i2="InService", drained=(2,))
        await world.until(lambda: world.published()["members"][1]["state"] == "draining", "it is not drained")
        world.api.answer = at_rest
        await world.until(lambda: world.published()["members"][1]["state"] == "serving", "it stays drained")
        assert asked[-1], "the next one is likely"
        monkeypatch.setattr("reconciler.loop.NEXT_DRAIN", 0.5)
        await world.until(lambda: not asked[-1], "it goes on for ever")

    world.run(scenario)


def test_a_drain_is_reported_step_by_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.report.LEAST_SECONDS", 0.0)
    world.api.answer, world.well = answer(i1="InService", i2="InService"), {"i-1", "i-2"}
    world.nginx.in_flight = {"i-2": 1}

    def states() -> list[str]:
        seen = [{each["id"]: each["state"] for each in report["members"]}.get("i-2") for report in world.bucket.written]
        return [state for before, state in zip([None, *seen], seen, strict=False) if state and state != before]

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: "serving" in states(), "it does not serve")
        world.api.answer = answer(i1="InService", i2="InService", drained=(2,))
        await world.until(lambda: states()[-1] == "draining", "it is not drained")
        world.nginx.in_flight = {}
        await world.until(lambda: states()[-1] == "out", "it does not get out")
        world.api.answer = answer(i1="InService", i2="InService")
        await world.until(lambda: states()[-1] == "serving", "it does not come back")

    world.run(scenario)
    assert states()[-4:] == ["serving", "draining", "out", "serving"]
    last = world.bucket.written[-1]
    assert (last["id"], last["tier"], last["error"]) == (ME, "edge", None)
    assert last["list_age"] < 5


def test_reports_that_fail_harm_nothing(world: World) -> None:
    world.api.answer, world.well, world.bucket.problem = answer(i1="Pending:Wait"), {"i-1"}, throttled()

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.api.told, "the launch does not go on")
        await world.until(lambda: "report" in (world.published()["error"] or ""), "nothing is said")

    world.run(scenario)
    assert world.nginx.servers == servers(1)


def test_a_machine_that_fails_for_long_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacements, "FAILING_SECONDS", 0.2)
    world.api.answer, world.well = answer(i1="InService", i2="InService"), {"i-1", "i-2"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.nginx.servers == servers(1, 2), "the servers are not there")
        world.well = {"i-1"}
        await world.until(lambda: world.api.told, "it is not given up")
        await asyncio.sleep(0.3)

    world.run(scenario)
    assert world.api.told == [("i-2", "unhealthy")], "once"


def test_a_machine_that_nginx_had_is_given_up_by_a_program_that_began_after_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacements, "FAILING_SECONDS", 0.2)
    world.nginx.servers = servers(1, 2)
    world.api.answer, world.well = answer(**dict.fromkeys(("i1", "i2", "i3", "i4"), "InService")), {"i-1", "i-4"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.api.told, "it is not given up")
        await asyncio.sleep(0.3)

    world.run(scenario)
    assert world.api.told == [("i-2", "unhealthy")], "the other one may boot"


def test_a_machine_that_fell_before_this_program_began_is_given_up_as_any_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is out of Nginx's list by then, and only the one before has seen it well."""
    world.api.answer, world.well = answer(**dict.fromkeys(("i1", "i2", "i3", "i4"), "InService")), {"i-1", "i-2", "i-4"}

    async def first(_: Reconciler) -> None:
        await world.until(lambda: world.nginx.servers == servers(1, 2, 4), "the servers are not there")
        world.well = {"i-1", "i-4"}
        await world.until(lambda: world.nginx.servers == servers(1, 4), "it still gets requests")

    async def second(_: Reconciler) -> None:
        await world.until(lambda: world.api.told, "it is not given up")
        await asyncio.sleep(0.3)

    world.run(first)
    assert world.published()["served"] == ["i-1", "i-2", "i-4"]
    monkeypatch.setattr(replacements, "FAILING_SECONDS", 0.2)
    # Nor does one forget it that ends before it has begun.
    world.nginx.problem = BalancerError("no such file")
    world.run(waiting_for(world, lambda: "no such file" in str(world.published()["error"])))
    world.nginx.problem = None
    world.run(second)
    assert world.api.told == [("i-2", "unhealthy")], "the one that was never seen well may boot"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}", '{"served": 5}', '{"served": null}', "\udcff"])
def test_what_the_one_before_has_told_may_be_anything(text: str, world: World) -> None:
    world.state.parent.mkdir()
    world.state.write_text(text, errors="surrogateescape")
    world.api.answer, world.well = answer(i1="InService"), {"i-1"}
    world.run(waiting_for(world, lambda: world.nginx.servers == servers(1)))
    assert world.published()["served"] == ["i-1"]


def test_nobody_is_given_up_on_an_old_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacements, "FAILING_SECONDS", 0.2)
    monkeypatch.setattr("reconciler.loop.FRESH_ANSWER_SECONDS", -1.0)
    world.api.answer, world.well = answer(i1="InService", i2="InService"), {"i-1", "i-2"}

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.nginx.servers == servers(1, 2), "the servers are not there")
        world.well = {"i-1"}
        await world.until(lambda: world.nginx.servers == servers(1), "it still gets requests")
        await asyncio.sleep(0.5)

    world.run(scenario)
    assert world.api.told == []


def test_an_event_has_the_api_asked_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "pause", lambda failures, throttled, urgent=False: 60.0)
    world.api.answer, world.well = answer(i1="InService"), {"i-1", "i-2"}

    async def scenario(reconciler: Reconciler) -> None:
        await world.until(lambda: world.nginx.servers == servers(1), "the server is not there")
        world.api.answer = answer(i1="InService", i2="InService")
        reconciler.wake()
        await world.until(lambda: world.nginx.servers == servers(1, 2), "it waits for its time")

    world.run(scenario)


def test_a_lasting_problem_is_logged_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.api.answer = throttled()

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.api.asked > 10, "it is not asked again")
        world.api.answer = replace(answer(), wanted=0)
        await world.until(lambda: world.published()["error"] is None, "all is well again")

    world.run(scenario)
    said = capsys.readouterr().out
    assert said.count("Rate exceeded") == 1, "every two seconds would fill the journal"
    assert said.count("all is well again") == 1


def test_what_is_wrong_with_the_queue_of_events_is_told_and_holds_nothing_up(world: World) -> None:
    world.api.answer, world.well = answer(i1="InService"), {"i-1"}
    world.events = Events(None, "https://queue", lambda: None)
    world.events.received, world.events.error = 3, "queue of events: it is gone"

    async def scenario(_: Reconciler) -> None:
        await world.until(lambda: world.passes, "no pass was made")
        assert world.nginx.servers == servers(1)
        told = world.published()
        assert (told["events_received"], told["error"]) == (3, "queue of events: it is gone")

    world.run(scenario)
