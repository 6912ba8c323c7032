"""The edge's watch over itself: who takes the public address, and when a machine reports itself as broken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from expressway_edge import nginx
from health import observe
from health.rules import NGINX_PATIENCE, RECONCILER_PATIENCE, SETTLED, Edge, broken, takes_address
from health.watch import Watch
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from tests.paths import ROOT

NGINX_CONF = ROOT / "user_data/edge/files/nginx"


def edge(name: str, state: str = "InService", *, healthy: bool = True, launched: float = 0.0) -> Edge:
    return Edge(name, state, healthy, launched)


OLD, NEW = edge("i-b", launched=1), edge("i-a", launched=2)


def test_an_address_that_nobody_has_is_taken_by_the_newest_that_serves_and_by_no_other() -> None:
    assert takes_address("i-a", None, [OLD, NEW], holder_runs=False)
    assert not takes_address("i-b", None, [OLD, NEW], holder_runs=False), "two would take it from each other for ever"
    assert takes_address("i-b", None, [OLD], holder_runs=False)


@pytest.mark.parametrize("state", ["Pending", "Pending:Wait", "Pending:Proceed", "InService"])
def test_a_member_that_serves_or_is_about_to_keeps_the_address(state: str) -> None:
    held_by_other = edge("i-z", state, launched=0)
    assert not takes_address("i-a", "i-z", [held_by_other, NEW], holder_runs=True)


@pytest.mark.parametrize(
    "holder",
    [
        edge("i-z", "Terminating:Wait", launched=3),
        edge("i-z", "Terminating", launched=3),
        edge("i-z", "Standby", launched=3),
        edge("i-z", "InService", healthy=False, launched=3),
    ],
)
def test_a_member_that_is_on_its_way_out_loses_the_address(holder: Edge) -> None:
    assert takes_address("i-a", "i-z", [holder, NEW], holder_runs=True), "it may run for minutes yet"


def test_an_address_that_somebody_has_put_elsewhere_stays_there() -> None:
    assert not takes_address("i-a", "i-other", [NEW], holder_runs=True), "a page for maintenance, perhaps"
    assert takes_address("i-a", "i-other", [NEW], holder_runs=False), "a machine that is gone"


@pytest.mark.parametrize(
    "me",
    [
        edge("i-me", "Pending:Wait"),
        edge("i-me", "Standby"),
        edge("i-me", "Terminating:Wait"),
        edge("i-me", healthy=False),
    ],
)
def test_a_machine_that_the_group_does_not_count_on_takes_nothing(me: Edge) -> None:
    assert not takes_address("i-me", None, [me], holder_runs=False)
    assert not takes_address("i-me", None, [], holder_runs=False), "nor one that is in no group"


states = st.sampled_from(["Pending", "Pending:Wait", "InService", "Standby", "Terminating", "Terminating:Wait"])
members = st.lists(
    st.builds(edge, st.sampled_from("abcdef"), states, healthy=st.booleans(), launched=st.integers(0, 3).map(float)),
    unique_by=lambda each: each.instance_id,
)


@given(members, st.sampled_from([None, *"abcdef", "stranger"]), st.booleans())
def test_whatever_the_group_looks_like_one_at_most_takes_the_address_and_then_it_stays(
    group: list[Edge], holder: str | None, runs: bool
) -> None:
    takers = [each for each in group if takes_address(each.instance_id, holder, group, holder_runs=runs)]
    assert len(takers) <= 1
    if holder is None and any(each.serves for each in group):
        assert takers, "nobody has it, and there is one that could"
    for taker in takers:
        assert taker.serves
        after = [each for each in group if takes_address(each.instance_id, taker.instance_id, group, holder_runs=runs)]
        assert not after, "they fight for it"


FIT = {"nginx": 0.0, "reconciler": 0.0}


@pytest.mark.parametrize(("name", "patience"), [("nginx", NGINX_PATIENCE), ("reconciler", RECONCILER_PATIENCE)])
def test_a_service_that_is_gone_for_long_breaks_the_machine(name: str, patience: float) -> None:
    assert broken(1000, FIT) is None
    assert broken(1000, FIT | {name: patience - 1}) is None
    reason = broken(1000, FIT | {name: patience})
    assert reason == f"no sign of {name} for {patience:.0f} s"


def test_a_machine_that_is_just_booting_is_not_judged() -> None:
    assert broken(SETTLED - 1, {"nginx": SETTLED, "reconciler": SETTLED}) is None
    assert broken(SETTLED, {"nginx": SETTLED, "reconciler": SETTLED})


def test_every_limit_leaves_the_service_manager_the_time_to_mend_it_first() -> None:
    units = ROOT / "user_data/edge/files/units"
    watchdog = int((units / "expressway-reconciler.service").read_text().partition("WatchdogSec=")[2].split()[0])
    assert watchdog < RECONCILER_PATIENCE, "a pass that hangs would cost the machine"
    assert "\nRestart=always\n" in (units / "nginx.service.conf").read_text(), "nothing would be mended in that time"


def test_nginx_is_asked_for_a_page_that_it_has(edge_machine: dict[str, Any]) -> None:
    host, port, path = observe.STATUS
    text = nginx.render(NGINX_CONF, edge_machine, (1, 26, 3))
    server = text[text.index(f"listen {host}:{port}") :].partition("\n    }")[0]
    assert f"location = {path}" in server or f"location {path}" in server


class Api:
    """The API with one address and one group; `down` makes each call fail."""

    def __init__(self, *members: Edge, holder: str | None = "i-me") -> None:
        self.group, self.held_by = list(members), holder
        self.down = self.report_refused = False
        self.running: set[str] = set()
        self.reports = self.calls = 0

    def holder(self) -> str | None:
        self._answer()
        return self.held_by

    def members(self) -> tuple[Edge, ...]:
        self._answer()
        return tuple(self.group)

    def runs(self, instance_id: str) -> bool:
        self._answer()
        return instance_id in self.running

    def report(self) -> None:
        self._answer()
        if self.report_refused:
            raise ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "SetInstanceHealth")
        self.reports += 1

    def _answer(self) -> None:
        self.calls += 1
        if self.down:
            raise EndpointConnectionError(endpoint_url="https://ec2")


class Machine:
    """A machine under watch, with a clock of its own."""

    def __init__(self, tmp_path: Path, api: Api) -> None:
        self.api, self.state = api, tmp_path / "health.json"
        self.now, self.claims = 0.0, 0
        self.signs = {"nginx": True, "reconciler": True}
        self.watch = self.begin()

    def begin(self) -> Watch:
        checks = {name: lambda name=name: self.signs[name] for name in self.signs}
        api: Any = self.api
        return Watch(api, "i-me", self.claim, self.state, checks, clock=lambda: self.now)

    def claim(self) -> str:
        if self.api.down:
            raise OSError("eipalloc-1 can't be claimed")
        self.claims += 1
        self.api.held_by = "i-me"
        return "198.51.100.3"

    def run(self, seconds: float) -> None:
        """Passes for so long, five seconds apart."""
        end = self.now + seconds
        while self.now < end:
            self.watch.run_pass()
            self.now += 5

    @property
    def published(self) -> dict[str, Any]:
        return json.loads(self.state.read_text())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, Api(edge("i-me", launched=1)))


def test_in_peace_one_question_is_asked_in_a_pass(machine: Machine) -> None:
    machine.run(60)
    assert machine.api.calls == 12, "a question each five seconds is what a healthy edge costs"
    assert machine.claims == 0
    assert machine.published["address_holder"] == "i-me"
    assert machine.published["error"] is None


def test_a_lost_address_is_back_with_the_next_pass(machine: Machine) -> None:
    machine.api.held_by = None
    machine.run(5)
    assert (machine.claims, machine.published["address_holder"]) == (1, "i-me")
    machine.run(60)
    assert machine.claims == 1


def test_a_stopped_strangers_address_is_taken_and_a_running_ones_is_not(machine: Machine) -> None:
    machine.api.held_by, machine.api.running = "i-other", {"i-other"}
    machine.run(60)
    assert machine.claims == 0
    machine.api.running = set()
    machine.run(5)
    assert machine.claims == 1


def test_a_machine_without_nginx_takes_no_address(machine: Machine) -> None:
    machine.signs["nginx"], machine.api.held_by = False, None
    machine.run(20)
    assert machine.claims == 0, "another one may yet answer there"


@pytest.mark.parametrize("name", ["nginx", "reconciler"])
def test_a_machine_that_broke_reports_itself_once(
    machine: Machine, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.run(SETTLED + 10)
    machine.signs[name] = False
    machine.run(RECONCILER_PATIENCE + 60)
    assert machine.api.reports == 1
    assert machine.published["reported"].startswith(f"no sign of {name} for ")
    assert capsys.readouterr().out.count("reported as unhealthy") == 1


def test_a_watch_begun_anew_makes_no_second_report(machine: Machine) -> None:
    machine.run(SETTLED + 10)
    machine.signs["nginx"] = False
    machine.run(60)
    machine.watch = machine.begin()
    machine.run(SETTLED + 60)
    assert machine.api.reports == 1


def test_services_that_come_back_in_time_are_not_reported(machine: Machine) -> None:
    machine.run(SETTLED)
    for _ in range(20):
        machine.signs["nginx"] = False
        machine.run(NGINX_PATIENCE - 5)
        machine.signs["nginx"] = True
        machine.run(5)
    assert machine.api.reports == 0


def test_a_machine_that_the_group_does_not_count_on_reports_nothing(machine: Machine) -> None:
    machine.signs["nginx"] = False
    for state in ("Pending:Wait", "Standby", "Terminating:Wait"):
        machine.api.group = [edge("i-me", state)]
        machine.run(SETTLED + 60)
    assert machine.api.reports == 0, "the launch hook, the operator or the group's own end decides"
    machine.api.group = []
    machine.run(60)
    assert machine.api.reports == 0


def test_an_api_that_is_down_changes_nothing_and_is_told_once(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.api.held_by, machine.api.down = None, True
    machine.run(SETTLED + RECONCILER_PATIENCE)
    assert (machine.claims, machine.api.reports) == (0, 0)
    assert "EndpointConnectionError" in machine.published["error"]
    machine.api.down = False
    machine.run(5)
    assert (machine.claims, machine.published["error"]) == (1, None)
    said = capsys.readouterr().out
    assert said.count("EndpointConnectionError") == 1
    assert "all is well again" in said


def test_a_report_that_is_refused_is_made_again(machine: Machine) -> None:
    machine.run(SETTLED)
    machine.signs["nginx"], machine.api.report_refused = False, True
    machine.run(60)
    assert machine.published["reported"] is None
    machine.api.report_refused = False
    machine.run(5)
    assert machine.api.reports == 1


def test_an_address_that_cannot_be_had_does_not_keep_a_broken_machine_in_place(machine: Machine) -> None:
    machine.run(SETTLED)
    machine.signs["reconciler"] = False

    def refuse() -> str:
        raise OSError("eipalloc-1 can't be claimed")

    machine.watch.claim, machine.api.held_by = refuse, None
    machine.run(RECONCILER_PATIENCE + 10)
    assert machine.api.reports == 1
    assert "can't be claimed" in machine.published["error"]


def test_a_heartbeat_counts_for_as_long_as_it_is_young(tmp_path: Path) -> None:
    beat = tmp_path / "reconciler.json"
    assert not observe.reconciler_beats(60, beat), "it has never been there"
    beat.write_text("{}")
    assert observe.reconciler_beats(60, beat)
    assert not observe.reconciler_beats(-1, beat)


@pytest.fixture
def aws() -> Iterator[dict[str, Any]]:
    """An edge group of two, and an address."""
    with mock_aws():
        ec2, autoscaling = (boto3.client(each, region_name="us-east-1") for each in ("ec2", "autoscaling"))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        image = ec2.register_image(Name="debian")["ImageId"]
        autoscaling.create_launch_configuration(LaunchConfigurationName="edge", ImageId=image, InstanceType="t3.small")
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName="shop-edge",
            LaunchConfigurationName="edge",
            MinSize=2,
            MaxSize=2,
            VPCZoneIdentifier=subnet,
        )
        (group,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        eip = ec2.allocate_address(Domain="vpc")["AllocationId"]
        yield {
            "ec2": ec2,
            "autoscaling": autoscaling,
            "eip": eip,
            "ids": [each["InstanceId"] for each in group["Instances"]],
        }


def test_the_api_is_read_as_it_is(aws: dict[str, Any]) -> None:
    me, other = aws["ids"]
    api = observe.Api(aws["autoscaling"], aws["ec2"], me, aws["eip"])
    assert api.holder() is None
    aws["ec2"].associate_address(AllocationId=aws["eip"], InstanceId=other)
    assert api.holder() == other
    found = {each.instance_id: each for each in api.members()}
    assert found.keys() == {me, other}
    assert all(each.serves and each.launched > 0 for each in found.values())
    api.report()
    assert {each.instance_id: each.serves for each in api.members()} == {me: False, other: True}
    assert api.runs(other)
    aws["ec2"].stop_instances(InstanceIds=[other])
    assert not api.runs(other)
    assert not api.runs("i-0123456789abcdef0"), "one that EC2 has forgotten"


def test_a_machine_in_no_group_has_no_members(aws: dict[str, Any]) -> None:
    assert observe.Api(aws["autoscaling"], aws["ec2"], "i-alone", aws["eip"]).members() == ()


def test_a_machines_launch_is_asked_for_once(aws: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    api = observe.Api(aws["autoscaling"], aws["ec2"], aws["ids"][0], aws["eip"])
    first = api.members()
    monkeypatch.setattr(aws["ec2"], "describe_instances", None)
    assert api.members() == first, "it never changes"
