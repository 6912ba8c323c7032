"""The reconciler's hands: the balancer's socket, the API, a whole pass; and the public address."""

import http.server
import json
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
from reconciler.model import Member, Observation

HOOKS = ("up", "down")


class NginxBalancer(socketserver.ThreadingUnixStreamServer):
    """Nginx's end of the socket, as far as the reconciler sees it. It refuses a list with 10.0.0.3."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.servers: list[dict[str, Any]] = []
        self.asked: list[str] = []
        super().__init__(str(path), Asked)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


class Asked(http.server.BaseHTTPRequestHandler):
    server: NginxBalancer  # pyright: ignore[reportIncompatibleVariableOverride]

    def address_string(self) -> str:
        return "local"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Nothing: pytest's output is for the tests."""

    def do_GET(self) -> None:
        self.server.asked.append("GET")
        none = {"in_flight": 0, "requests": 0, "connect_failures": 0, "aside_for": 0, "seconds": 0}
        told = [
            {key: value for key, value in each.items() if key != "max_conns"} | none | {"statuses": {}, "buckets": {}}
            for each in self.server.servers
        ]
        self._answer(200, {"servers": told, "leaving": []})

    def do_PUT(self) -> None:
        self.server.asked.append("PUT")
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if any(each["address"] == "10.0.0.3" for each in document["servers"]):
            self._answer(400, {"error": "not an address of mine"})
            return
        self.server.servers = document["servers"]
        self._answer(200, {"applied": len(document["servers"])})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[NginxBalancer]:
    with NginxBalancer(tmp_path / "balancer.sock") as server:
        yield server
        server.shutdown()


@pytest.fixture
def balancer(nginx: NginxBalancer, tmp_path: Path) -> upstream.Balancer:
    return upstream.Balancer(tmp_path / "balancer.sock")


def changes(nginx: NginxBalancer) -> int:
    """How many lists Nginx was given since the last question."""
    count = nginx.asked.count("PUT")
    nginx.asked.clear()
    return count


@given(st.lists(st.integers(1, 250), unique=True))
def test_a_list_is_told_whole(numbers: list[int]) -> None:
    servers = [upstream.Entry(f"i-{each:x}", f"10.0.1.{each}", 3000, each) for each in numbers]
    with tempfile.TemporaryDirectory() as folder, NginxBalancer(Path(folder) / "s") as server:
        balancer = upstream.Balancer(Path(folder) / "s")
        balancer.apply(servers)
        assert [upstream.Entry(**each) for each in server.servers] == servers
        assert [(each.id, each.address, each.port) for each in balancer.read().servers] == [
            (each.id, each.address, each.port) for each in servers
        ]
        server.shutdown()


def test_a_list_that_nginx_refuses_is_an_error_that_says_why(balancer: upstream.Balancer) -> None:
    balancer.apply([upstream.Entry("i-1", "10.0.0.1", 3000)])
    with pytest.raises(upstream.ApplyError, match="not an address of mine"):
        balancer.apply([upstream.Entry("i-3", "10.0.0.3", 3000)])
    assert [each.id for each in balancer.read().servers] == ["i-1"]


def test_an_nginx_that_does_not_answer_is_an_error_that_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(upstream.ApplyError, match=r"/none\.sock gives no good answer: .*No such file"):
        upstream.Balancer(tmp_path / "none.sock").read()


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
def reconciler(
    group: Group, balancer: upstream.Balancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Reconciler:
    """A reconciler that finds everybody ready."""

    def probe(address: str, port: int, path: str) -> readiness.Answer:
        return readiness.Answer((port, path) == (3000, "/readyz"), address)

    monkeypatch.setattr(readiness, "probe", probe)
    return Reconciler(group, balancer, 3000, "/readyz", tmp_path / "run/reconciler.json")


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
    assert state["changes"] == 1
    assert state["last_answer_age_seconds"] < 5
    assert state["error"] is None
    reconciler.run_pass()
    assert published(tmp_path)["changes"] == 1, "nothing changed"


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeAutoScalingGroups"),
        EndpointConnectionError(endpoint_url="https://autoscaling.us-east-1.amazonaws.com"),
        observe.NoAnswerError("there is no Auto Scaling group shop-app"),
    ],
)
def test_an_api_that_fails_leaves_nginx_alone_and_the_answer_ages(
    error: Exception, reconciler: Reconciler, group: Group, nginx: NginxBalancer, tmp_path: Path
) -> None:
    group.answer = Observation((Member("i-1", "InService", "10.0.0.1"),))
    reconciler.run_pass()
    answered = published(tmp_path)["last_answer_at"]
    changes(nginx)
    group.answer = error
    reconciler.run_pass()
    assert changes(nginx) == 0, "nothing was asked of Nginx"
    state = published(tmp_path)
    assert [each["instance_id"] for each in state["upstreams"]] == ["i-1"], "the last good list"
    assert state["last_answer_at"] == answered, "no new answer"
    assert str(error) in state["error"], "what is wrong"


def test_no_hook_is_completed_when_nginx_refused_the_list(reconciler: Reconciler, group: Group, tmp_path: Path) -> None:
    group.answer = Observation((Member("i-3", "Pending:Wait", "10.0.0.3"),), ("hook",))
    reconciler.run_pass()
    assert group.completed == [], "it would be in service without getting requests"
    assert "not an address of mine" in published(tmp_path)["error"]


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
