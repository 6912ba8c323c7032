"""The reconciler's hands: the upstream file, the API, a whole pass; and the public address."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from expressway_edge import address
from expressway_machine import readiness
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from reconciler import observe, upstream
from reconciler.loop import Reconciler
from reconciler.model import Member, Observation, Server

HOOKS = ("up", "down")

ONE, TWO, THREE = (Server(f"i-{each}", f"10.0.0.{each}") for each in (1, 2, 3))


@given(st.lists(st.integers(1, 250), unique=True))
def test_what_is_written_is_what_is_read(numbers: list[int]) -> None:
    servers = tuple(sorted(Server(f"i-{each:x}", f"10.0.0.{each}") for each in numbers))
    assert upstream.parse(upstream.render(servers, 3000)) == servers


def test_a_stand_in_answers_when_no_server_can() -> None:
    assert "server 127.0.0.1:8081;" in upstream.render((), 3000), "Nginx refuses an upstream of backups alone"
    assert "server 127.0.0.1:8081 backup;" in upstream.render((ONE,), 3000), "it must not get a share of the requests"


def test_the_fewer_servers_the_harder_it_is_to_be_avoided() -> None:
    assert "max_fails=0;" in upstream.render((ONE,), 3000), "there is no other to ask"
    assert upstream.render((ONE, TWO), 3000).count("max_fails=3 fail_timeout=5s;") == 2
    assert upstream.render((ONE, TWO, THREE), 3000).count("max_fails=1 fail_timeout=10s;") == 3


@pytest.fixture
def nginx(tmp_path: Path) -> upstream.Nginx:
    """Nginx, played by programs that note when they are run, and refuse a file that says so."""
    refuse = f"if grep -q 10.0.0.3 {tmp_path}/upstream.conf; then echo 'no such host' >&2; exit 1; fi"
    return upstream.Nginx(
        tmp_path / "upstream.conf",
        tmp_path / "loaded",
        test=("sh", "-c", f"echo test >> {tmp_path}/ran; {refuse}"),
        reload=("sh", "-c", f"echo reload >> {tmp_path}/ran"),
    )


def ran(nginx: upstream.Nginx) -> list[str]:
    """What was run since the last question."""
    path = nginx.path.parent / "ran"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_a_list_is_tested_and_then_loaded(nginx: upstream.Nginx) -> None:
    assert nginx.apply(upstream.render((ONE,), 3000)) is True
    assert ran(nginx) == ["test", "reload"]
    assert nginx.servers() == (ONE,)


def test_the_same_list_is_not_loaded_again(nginx: upstream.Nginx) -> None:
    nginx.apply(upstream.render((ONE,), 3000))
    ran(nginx)
    assert nginx.apply(upstream.render((ONE,), 3000)) is False
    assert ran(nginx) == [], "a reload costs keep-alive clients a request"


def test_a_list_that_nginx_refuses_is_rolled_back(nginx: upstream.Nginx) -> None:
    nginx.apply(upstream.render((ONE,), 3000))
    ran(nginx)
    with pytest.raises(upstream.ApplyError, match="no such host"):
        nginx.apply(upstream.render((ONE, THREE), 3000))
    assert ran(nginx) == ["test"], "it was loaded all the same"
    assert nginx.servers() == (ONE,), "a restart of Nginx would fail"


def test_a_reload_that_did_not_happen_is_repeated(nginx: upstream.Nginx) -> None:
    broken = replace(nginx, reload=("sh", "-c", "echo not running >&2; exit 1"))
    with pytest.raises(upstream.ApplyError, match="not running"):
        broken.apply(upstream.render((ONE,), 3000))
    assert nginx.apply(upstream.render((ONE,), 3000)) is True, "the file is there, but Nginx hasn't read it"
    assert ran(nginx)[-1] == "reload"


class Group(observe.Group):
    """A group whose answers the test gives."""

    def __init__(self) -> None:
        self.answer: Observation | Exception = Observation(())
        self.completed: list[tuple[str, str]] = []
        self.refuses: list[ClientError] = []

    def observe(self) -> Observation:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def complete(self, instance_id: str, hook: str) -> None:
        if self.refuses:
            raise self.refuses.pop()
        self.completed.append((instance_id, hook))


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def reconciler(group: Group, nginx: upstream.Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reconciler:
    """A reconciler that finds everybody ready."""

    def probe(address: str, port: int, path: str) -> readiness.Answer:
        return readiness.Answer((port, path) == (3000, "/readyz"), address)

    monkeypatch.setattr(readiness, "probe", probe)
    return Reconciler(group, nginx, 3000, "/readyz", tmp_path / "run/reconciler.json")


def published(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "run/reconciler.json").read_text())


def test_a_pass_puts_the_group_into_nginx_and_tells(reconciler: Reconciler, group: Group, tmp_path: Path) -> None:
    group.answer = Observation(
        (Member("i-1", "InService", "10.0.0.1"), Member("i-2", "Pending:Wait", "10.0.0.2")), ("hook",)
    )
    reconciler.run_pass()
    assert group.completed == [("i-2", "hook")], "its launch goes on"
    state = published(tmp_path)
    assert [each["address"] for each in state["upstreams"]] == ["10.0.0.1", "10.0.0.2"]
    assert state["reloads"] == 1
    assert state["last_answer_age_seconds"] < 5
    assert state["error"] is None
    reconciler.run_pass()
    assert published(tmp_path)["reloads"] == 1, "nothing changed"


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeAutoScalingGroups"),
        EndpointConnectionError(endpoint_url="https://autoscaling.us-east-1.amazonaws.com"),
        observe.NoAnswerError("there is no Auto Scaling group shop-app"),
    ],
)
def test_an_api_that_fails_leaves_nginx_alone_and_the_answer_ages(
    error: Exception, reconciler: Reconciler, group: Group, nginx: upstream.Nginx, tmp_path: Path
) -> None:
    group.answer = Observation((Member("i-1", "InService", "10.0.0.1"),))
    reconciler.run_pass()
    answered = published(tmp_path)["last_answer_at"]
    ran(nginx)
    group.answer = error
    reconciler.run_pass()
    assert ran(nginx) == [], "nothing was asked of Nginx"
    state = published(tmp_path)
    assert [each["instance_id"] for each in state["upstreams"]] == ["i-1"], "the last good list"
    assert state["last_answer_at"] == answered, "no new answer"
    assert str(error) in state["error"], "what is wrong"


def test_no_hook_is_completed_when_nginx_refused_the_list(reconciler: Reconciler, group: Group, tmp_path: Path) -> None:
    group.answer = Observation((Member("i-3", "Pending:Wait", "10.0.0.3"),), ("hook",))
    reconciler.run_pass()
    assert group.completed == [], "it would be in service without getting requests"
    assert "no such host" in published(tmp_path)["error"]


def test_a_hook_that_could_not_be_completed_is_tried_again(
    reconciler: Reconciler, group: Group, tmp_path: Path
) -> None:
    group.answer = Observation((Member("i-1", "Pending:Wait", "10.0.0.1"),), ("hook",))
    group.refuses = [ClientError({"Error": {"Code": "Throttling", "Message": "slow down"}}, "CompleteLifecycleAction")]
    reconciler.run_pass()
    assert "slow down" in published(tmp_path)["error"]
    reconciler.run_pass()
    assert group.completed == [("i-1", "hook")]
    assert published(tmp_path)["error"] is None, "all is well again"


def test_a_leaving_machine_is_let_go_once_its_drain_is_over(
    reconciler: Reconciler, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving = Member("i-2", "Terminating:Wait", "10.0.0.2")
    group.answer = Observation((Member("i-1", "InService", "10.0.0.1"), leaving), (), ("down",))
    for now in (100.0, 110.0, 120.0):
        assert group.completed == [], f"let go before {now - 100} s"
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        reconciler.run_pass()
    assert group.completed == [("i-2", "down")]


def test_a_lasting_problem_is_logged_once(
    reconciler: Reconciler, group: Group, capsys: pytest.CaptureFixture[str]
) -> None:
    group.answer = observe.NoAnswerError("gone")
    for _ in range(3):
        reconciler.run_pass()
    group.answer = Observation(())
    reconciler.run_pass()
    assert capsys.readouterr().out.count("gone") == 1, "every two seconds would fill the journal"


@pytest.fixture
def aws() -> Iterator[dict[str, Any]]:
    """A group of two instances, in the mocked API."""
    with mock_aws():
        ec2, autoscaling = (boto3.client(each, region_name="us-east-1") for each in ("ec2", "autoscaling"))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        image = "ami-12345678"
        autoscaling.create_launch_configuration(LaunchConfigurationName="app", ImageId=image, InstanceType="t3.small")
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName="shop-app",
            LaunchConfigurationName="app",
            MinSize=2,
            MaxSize=2,
            VPCZoneIdentifier=subnet,
        )
        yield {"ec2": ec2, "autoscaling": autoscaling, "image": image, "subnet": subnet}


def test_the_group_is_seen_with_its_addresses(aws: dict[str, Any]) -> None:
    group = observe.Group(aws["autoscaling"], aws["ec2"], "shop-app", HOOKS)
    seen = group.observe()
    there = {
        each["InstanceId"]: each["PrivateIpAddress"]
        for reservation in aws["ec2"].describe_instances()["Reservations"]
        for each in reservation["Instances"]
    }
    assert {each.instance_id: each.address for each in seen.members} == there
    assert [each.state for each in seen.members] == ["InService", "InService"]


def test_addresses_are_asked_for_once(aws: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    group = observe.Group(aws["autoscaling"], aws["ec2"], "shop-app", HOOKS)
    first = group.observe()
    monkeypatch.setattr(aws["ec2"], "get_paginator", None)
    assert group.observe() == first, "they never change"


def test_a_group_that_is_not_there_is_no_answer(aws: dict[str, Any]) -> None:
    with pytest.raises(observe.NoAnswerError, match="nothing"):
        observe.Group(aws["autoscaling"], aws["ec2"], "nothing", HOOKS).observe()


class Waiting:
    """The Auto Scaling API with an instance that waits in a hook; moto has none."""

    def __init__(self, message: str = "") -> None:
        self.message = message

    def get_paginator(self, _: str) -> "Waiting":
        return self

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        instances = [{"InstanceId": "i-1", "LifecycleState": "Terminating:Wait"}]
        return [{"AutoScalingGroups": [{"Instances": instances}]}]

    def describe_lifecycle_hooks(self, **_: object) -> dict[str, Any]:
        transitions = {"up": "autoscaling:EC2_INSTANCE_LAUNCHING", "down": "autoscaling:EC2_INSTANCE_TERMINATING"}
        hooks = [{"LifecycleHookName": name, "LifecycleTransition": each} for name, each in transitions.items()]
        return {"LifecycleHooks": hooks}

    def complete_lifecycle_action(self, **_: object) -> None:
        raise ClientError({"Error": {"Code": "ValidationError", "Message": self.message}}, "CompleteLifecycleAction")


def test_hooks_are_told_apart_by_their_transition() -> None:
    seen = observe.Group(Waiting(), None, "shop-app", HOOKS).observe()
    assert (seen.launch_hooks, seen.terminate_hooks) == (("up",), ("down",))


def test_hooks_of_others_are_let_be() -> None:
    seen = observe.Group(Waiting(), None, "shop-app", ["down"]).observe()
    assert (seen.launch_hooks, seen.terminate_hooks) == ((), ("down",))


def test_a_hook_that_is_completed_already_is_no_problem() -> None:
    observe.Group(Waiting("No active Lifecycle Action found with instance ID i-1"), None, "shop-app", HOOKS).complete(
        "i-1", "up"
    )
    with pytest.raises(ClientError, match="not authorized"):
        observe.Group(Waiting("not authorized"), None, "shop-app", HOOKS).complete("i-1", "up")


def test_only_those_that_may_have_traffic_are_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def probe(address: str, port: int, path: str) -> readiness.Answer:
        asked.append(f"{address}:{port}{path}")
        return readiness.Answer(address == "10.0.0.1", "")

    monkeypatch.setattr(readiness, "probe", probe)
    members = [
        Member("i-1", "InService", "10.0.0.1"),
        Member("i-2", "Pending:Wait", "10.0.0.2"),
        Member("i-3", "Terminating:Wait", "10.0.0.3"),
        Member("i-4", "InService", None),
    ]
    with ThreadPoolExecutor() as pool:
        assert observe.probe_all(members, 3000, "/readyz", pool) == {"i-1": True, "i-2": False}
    assert sorted(asked) == ["10.0.0.1:3000/readyz", "10.0.0.2:3000/readyz"]


def test_the_public_address_is_claimed_and_taken_over(aws: dict[str, Any]) -> None:
    ec2 = aws["ec2"]
    eip = ec2.allocate_address(Domain="vpc")
    old, new = (
        ec2.run_instances(ImageId=aws["image"], MinCount=1, MaxCount=1, SubnetId=aws["subnet"])["Instances"][0][
            "InstanceId"
        ]
        for _ in range(2)
    )
    for instance_id in (old, old, new):
        assert address.claim(ec2, eip["AllocationId"], instance_id, pause=0) == eip["PublicIp"]
        holder = ec2.describe_addresses(AllocationIds=[eip["AllocationId"]])["Addresses"][0]["InstanceId"]
        assert holder == instance_id, "who was last has it"


def test_an_address_that_cannot_be_claimed_is_named(aws: dict[str, Any]) -> None:
    with pytest.raises(OSError, match="eipalloc-none"):
        address.claim(aws["ec2"], "eipalloc-none", "i-1", patience=0, pause=0)
