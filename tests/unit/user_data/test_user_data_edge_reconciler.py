"""The reconciler's hands: the API, Nginx's socket, the bucket, the queue; and the public address."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from edge_examples import LAUNCH, TERMINATE, member, server, servers
from expressway_edge import address
from moto import mock_aws
from reconciler import upstream
from reconciler.bucket import Reports
from reconciler.calls import Calls
from reconciler.events import Events
from reconciler.groups import Groups, NoAnswerError, Target
from reconciler.upstream import Balancer, BalancerError

ME = "i-me"


def target(name: str = "shop-app", *hooks: str, port: int = 3000) -> Target:
    return Target(name, port, "/readyz", hooks)


@pytest.fixture
def aws() -> Iterator[dict[str, Any]]:
    """A group of two instances, in the mocked API."""
    with mock_aws():
        ec2, autoscaling = (boto3.client(each, region_name="us-east-1") for each in ("ec2", "autoscaling"))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        image = "ami-12345678"
        autoscaling.create_launch_configuration(LaunchConfigurationName="app", ImageId=image, InstanceType="t3.small")

        def create(name: str, size: int) -> None:
            autoscaling.create_auto_scaling_group(
                AutoScalingGroupName=name,
                LaunchConfigurationName="app",
                MinSize=size,
                MaxSize=size,
                VPCZoneIdentifier=subnet,
            )

        create("shop-app", 2)
        yield {"ec2": ec2, "autoscaling": autoscaling, "image": image, "subnet": subnet, "create": create}


def groups(aws: dict[str, Any], *targets: Target, me: str = ME) -> Groups:
    return Groups(aws["autoscaling"], aws["ec2"], targets or [target()], me)


def test_the_group_is_seen_with_its_addresses(aws: dict[str, Any]) -> None:
    seen = groups(aws).observe()
    there = {
        each["InstanceId"]: each["PrivateIpAddress"]
        for reservation in aws["ec2"].describe_instances()["Reservations"]
        for each in reservation["Instances"]
    }
    assert {each.instance_id: each.address for each in seen.members} == there
    assert [(each.state, each.port, each.path) for each in seen.members] == [("InService", 3000, "/readyz")] * 2
    assert (seen.wanted, seen.edges) == (2, ())


def test_several_groups_are_one_list_each_with_its_port(aws: dict[str, Any]) -> None:
    aws["create"]("shop-blue", 1)
    seen = groups(aws, target(), target("shop-blue", port=4000)).observe()
    assert sorted((each.group, each.port) for each in seen.members) == [
        ("shop-app", 3000),
        ("shop-app", 3000),
        ("shop-blue", 4000),
    ]
    assert seen.wanted == 3


def test_the_other_machines_of_the_edges_own_group_are_seen(aws: dict[str, Any]) -> None:
    aws["create"]("shop-edge", 2)
    (edges,) = aws["autoscaling"].describe_auto_scaling_groups(AutoScalingGroupNames=["shop-edge"])["AutoScalingGroups"]
    me, other = sorted(each["InstanceId"] for each in edges["Instances"])
    assert groups(aws, me=me).observe().edges == (other,)


def test_a_fleet_at_rest_costs_two_questions_each_time(aws: dict[str, Any]) -> None:
    calls = Calls()
    for client in ("autoscaling", "ec2"):
        calls.watch(aws[client])
    asked = groups(aws, me=groups(aws).observe().members[0].instance_id)
    first = asked.observe()
    before = calls.a_minute()
    assert asked.observe() == first
    after = calls.a_minute()
    asked_again = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name)}
    assert asked_again == {"auto-scaling.DescribeAutoScalingGroups": 1, "ec2.DescribeTags": 1}, (
        "addresses never change, and tags are asked for by key"
    )


def test_a_machine_with_the_tag_is_to_be_drained_until_it_is_gone(aws: dict[str, Any]) -> None:
    asked = groups(aws)
    first = asked.observe().members[0].instance_id

    def drained() -> list[str]:
        return [each.instance_id for each in asked.observe().members if each.drain]

    aws["ec2"].create_tags(Resources=[first], Tags=[{"Key": "expressway:drain", "Value": ""}])
    assert drained() == [], "any value but an empty one"
    aws["ec2"].create_tags(Resources=[first], Tags=[{"Key": "expressway:drain", "Value": "deploy-7"}])
    assert drained() == [first]
    aws["ec2"].delete_tags(Resources=[first], Tags=[{"Key": "expressway:drain"}])
    assert drained() == []


def test_a_group_that_is_not_there_is_no_answer(aws: dict[str, Any]) -> None:
    with pytest.raises(NoAnswerError, match="there is no Auto Scaling group nothing"):
        groups(aws, target("nothing"), target()).observe()


def test_what_ec2_does_not_know_has_not_ended(aws: dict[str, Any]) -> None:
    asked = groups(aws)
    first, second = (each.instance_id for each in asked.observe().members)
    aws["ec2"].stop_instances(InstanceIds=[first])
    assert asked.ended([first, second, "i-00000000000000000"]) == {first}
    assert asked.ended([]) == frozenset()


def test_a_machine_is_given_up_to_auto_scaling(aws: dict[str, Any]) -> None:
    asked = groups(aws)
    first = asked.observe().members[0].instance_id
    asked.give_up(first)
    found = aws["autoscaling"].describe_auto_scaling_instances(InstanceIds=[first])["AutoScalingInstances"]
    assert [each["HealthStatus"].lower() for each in found] == ["unhealthy"]


class Waiting:
    """The Auto Scaling API with instances that wait in hooks; moto has none."""

    def __init__(self, message: str = "") -> None:
        self.message = message
        self.told: list[tuple[str, dict[str, Any]]] = []

    def describe_auto_scaling_instances(self, **_: object) -> dict[str, Any]:
        return {"AutoScalingInstances": []}

    def get_paginator(self, operation: str) -> "Waiting":
        self.operation = operation
        return self

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        states = {"i-1": "Terminating:Wait", "i-2": "Pending:Wait", "i-3": "InService"}
        instances = [{"InstanceId": each, "LifecycleState": state} for each, state in states.items()]
        group = {"AutoScalingGroupName": "shop-app", "DesiredCapacity": 2, "Instances": instances}
        return [{"AutoScalingGroups": [group], "Reservations": [], "Tags": []}]

    def describe_lifecycle_hooks(self, **_: object) -> dict[str, Any]:
        self.told.append(("describe_lifecycle_hooks", {}))
        hooks = {"launch": "LAUNCHING", "terminate": "TERMINATING", "warm": "LAUNCHING"}
        return {
            "LifecycleHooks": [
                {
                    "LifecycleHookName": name,
                    "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{transition}",
                    "HeartbeatTimeout": 600,
                }
                for name, transition in hooks.items()
            ]
        }

    def complete_lifecycle_action(self, **given: Any) -> None:
        self.told.append(("complete", given))
        if self.message:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": self.message}}, "Complete")

    def record_lifecycle_action_heartbeat(self, **given: Any) -> None:
        self.told.append(("beat", given))

    def set_instance_health(self, **given: Any) -> None:
        self.told.append(("health", given))


def test_a_machine_waits_for_our_hooks_on_its_own_transition() -> None:
    api = Waiting()
    seen = Groups(api, api, [target("shop-app", "launch", "terminate")], ME)
    assert [each.waits_for for each in seen.observe().members] == [(TERMINATE,), (LAUNCH,), ()]
    seen.observe()
    assert len(api.told) == 1, "hooks change with the stack, if ever"


def test_hooks_of_others_are_let_be() -> None:
    api = Waiting()
    seen = Groups(api, api, [target("shop-app", "terminate")], ME).observe()
    assert [each.waits_for for each in seen.members] == [(TERMINATE,), (), ()]
    assert not Groups(api, api, [target()], ME).observe().members[0].waits_for, "a group without hooks of ours"


def test_a_hook_is_completed_or_kept_waiting_by_name() -> None:
    api = Waiting()
    seen = Groups(api, api, [target()], ME)
    seen.complete(member(1, "Terminating:Wait"), TERMINATE)
    seen.beat(member(1, "Terminating:Wait"), TERMINATE)
    which = {"AutoScalingGroupName": "app", "LifecycleHookName": "terminate", "InstanceId": "i-1"}
    assert api.told == [("complete", which | {"LifecycleActionResult": "CONTINUE"}), ("beat", which)]


def test_a_machine_that_is_given_up_is_replaced_also_within_the_groups_grace_period() -> None:
    """That is ten minutes long, for boots; the reconciler has a rule of its own for machines that start."""
    api = Waiting()
    Groups(api, api, [target()], ME).give_up("i-1")
    health = {"InstanceId": "i-1", "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": False}
    assert api.told == [("health", health)]


def test_a_hook_that_is_completed_already_is_no_problem() -> None:
    late = Waiting("No active Lifecycle Action found with instance ID i-1")
    Groups(late, late, [target()], ME).complete(member(1, "Pending:Wait"), LAUNCH)
    refused = Waiting("not authorized")
    with pytest.raises(ClientError, match="not authorized"):
        Groups(refused, refused, [target()], ME).complete(member(1, "Pending:Wait"), LAUNCH)


class Nginx(socketserver.ThreadingUnixStreamServer):
    """A balancer's socket that answers what the test says."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.status, self.answer, self.put = 200, "{}", ""
        super().__init__(str(path), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        nginx = self.server
        assert isinstance(nginx, Nginx)
        if self.command == "PUT":
            nginx.put = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(nginx.status)
        self.end_headers()
        self.wfile.write(nginx.answer.encode())

    do_PUT = do_GET  # noqa: N815

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Nginx, Balancer]]:
    monkeypatch.setattr(upstream, "TIMEOUT", 20.0)
    path = tmp_path / "balancer.sock"
    with Nginx(path) as listening:
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield listening, Balancer(path)
        listening.shutdown()


def test_nginx_is_told_its_servers(nginx: tuple[Nginx, Balancer]) -> None:
    listening, balancer = nginx
    balancer.apply(servers(1, 2))
    assert json.loads(listening.put)["servers"] == [
        {"id": "i-1", "address": "10.0.0.1", "port": 3000},
        {"id": "i-2", "address": "10.0.0.2", "port": 3000},
    ]


def test_nginx_tells_what_it_has_and_counts_also_of_those_that_left(nginx: tuple[Nginx, Balancer]) -> None:
    listening, balancer = nginx
    one = {"id": "i-1", "address": "10.0.0.1", "port": 3000, "in_flight": 1}
    listening.answer = json.dumps({"servers": [one], "leaving": [one | {"id": "i-2", "in_flight": 4}]})
    traffic = balancer.read()
    assert traffic.servers == (server(1),)
    assert [traffic.in_flight(each) for each in ("i-1", "i-2", "i-3")] == [1, 4, 0]


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"servers": [{}]}', '{"servers": 7}', "<html>"])
def test_a_balancer_that_answers_something_else_is_an_error(answer: str, nginx: tuple[Nginx, Balancer]) -> None:
    listening, balancer = nginx
    listening.answer = answer
    with pytest.raises(BalancerError):
        balancer.read()


def test_a_list_that_nginx_refuses_is_an_error_with_its_words(nginx: tuple[Nginx, Balancer]) -> None:
    listening, balancer = nginx
    listening.status, listening.answer = 400, '{"error": "duplicate id i-1"}'
    with pytest.raises(BalancerError, match="duplicate id i-1"):
        balancer.apply(servers(1))


def test_no_nginx_is_an_error_that_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(BalancerError, match=r"balancer\.sock: .*No such file"):
        Balancer(tmp_path / "balancer.sock").read()


def test_reports_are_read_as_they_were_written_and_none_is_none(aws: dict[str, Any]) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="shop")
    reports = Reports(s3, "shop")
    reports.write({"id": "i-1", "members": []})
    assert reports.read("i-1") == {"id": "i-1", "members": []}
    assert s3.list_objects_v2(Bucket="shop")["Contents"][0]["Key"] == "reports/edge/i-1.json"
    assert reports.read("i-2") is None
    with pytest.raises(ClientError, match="NoSuchBucket"):
        Reports(s3, "nothing").read("i-1")


def test_an_event_wakes_and_is_gone(aws: dict[str, Any]) -> None:
    sqs = boto3.client("sqs", region_name="us-east-1")
    queue = sqs.create_queue(QueueName="events")["QueueUrl"]
    woken: list[int] = []
    events = Events(sqs, queue, lambda: woken.append(1))
    events.listen(0)
    assert not woken, "nothing has happened"
    for number in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody=str(number))
    while not woken:
        events.listen(0)
    for _ in range(3):
        events.listen(0)
    count = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert (count["ApproximateNumberOfMessages"], count["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


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
