"""The reconciler's own process against the lab's API, with machines on loopback addresses and a balancer's socket."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plan.lab_api_server import ApiServer, free_port
from tests.plan.lab_fleet import LAUNCHING, TERMINATING, Fleet, eventually, hook
from tests.plan.machine_session import MachineSession, with_permissions
from tests.plan.reconciler_world import EDGE, Balancer, Machine, Process, Trouble, listening

REGION = "us-east-1"


class World:
    """A group whose machines are servers on this host, and a reconciler before it."""

    def __init__(self, api: ApiServer, directory: Path, balancer: Balancer) -> None:
        self.fleet = Fleet(api, "127.20")
        self.balancer = balancer
        self.port = free_port()
        self.machines: dict[str, Machine] = {}
        self.bucket = f"edge-{self.fleet.unique}"
        self.s3 = api.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        hooks = (hook(LAUNCHING, name="launch"), hook(TERMINATING, name="terminate"))
        self.group = self.fleet.create(0, *hooks, MaxSize=8)
        self.trouble = Trouble(api.endpoint)
        machine = {
            "region": REGION,
            "bucket": self.bucket,
            "upstream": {
                "auto_scaling_group": self.group,
                "port": self.port,
                "readiness_path": "/readyz",
                "lifecycle_hooks": ["launch", "terminate"],
                "tracks_requests": False,
            },
        }
        session = with_permissions(api, self._permissions())
        credentials = {name.upper(): value for name, value in session.credentials.items()}
        self.process = Process(directory, self.trouble.url, machine, credentials)
        self.session: MachineSession = session

    def _permissions(self) -> list[dict[str, Any]]:
        """Those of components/load_balancer.py; the lab's API enforces them."""
        described = self.fleet.describe(self.group)
        reports = f"arn:aws:s3:::{self.bucket}/reports/edge/*"
        return [
            {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": reports},
            {
                "Action": [
                    "autoscaling:CompleteLifecycleAction",
                    "autoscaling:RecordLifecycleActionHeartbeat",
                    "autoscaling:SetInstanceHealth",
                ],
                "Resource": described["AutoScalingGroupARN"],
            },
            {
                "Action": [
                    "autoscaling:DescribeAutoScalingGroups",
                    "autoscaling:DescribeAutoScalingInstances",
                    "autoscaling:DescribeLifecycleHooks",
                    "ec2:DescribeInstances",
                    "ec2:DescribeTags",
                ],
                "Resource": "*",
            },
        ]

    def scale(self, size: int) -> None:
        self.fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=size)

    def boot(self, ready: bool = True) -> list[str]:
        """Let every machine that waits in its launch hook run its app; those that do so now."""
        new = []
        for each in self.fleet.members(self.group):
            if each["LifecycleState"] == "Pending:Wait" and each["InstanceId"] not in self.machines:
                address = self.fleet.instance(each["InstanceId"])["PrivateIpAddress"]
                self.machines[each["InstanceId"]] = Machine(address, self.port, ready)
                new.append(each["InstanceId"])
        return new

    def fill(self, size: int) -> set[str]:
        """Have so many machines in service and in the list."""
        self.scale(size)

        def full() -> bool:
            self.boot()
            return self.fleet.states(self.group) == ["InService"] * size and len(self.balancer.ids) == size

        eventually(full, f"not {size} machines serve: {self.process.log.read_text()}")
        return self.fleet.ids(self.group)

    def report(self) -> dict[str, str]:
        """Each machine's state in the bucket's report."""
        found = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        if not found:
            return {}
        assert [each["Key"] for each in found] == [f"reports/edge/{EDGE}.json"]
        body = self.s3.get_object(Bucket=self.bucket, Key=found[0]["Key"])["Body"].read()
        return {each["id"]: each["state"] for each in json.loads(body)["members"]}

    def close(self) -> None:
        if self.process.running and self.process.running.poll() is None:
            self.process.kill()
        for each in self.machines.values():
            each.stop()
        self.trouble.shutdown()
        self.trouble.server_close()
        self.fleet.clean_up()


@pytest.fixture
def world(api: ApiServer, tmp_path: Path) -> Iterator[World]:
    with listening(tmp_path / "balancer.sock") as balancer:
        made = World(api, tmp_path, balancer)
        made.process.start()
        yield made
        made.close()


def test_a_machine_joins_serves_drains_and_leaves_by_its_requests(world: World) -> None:
    world.scale(2)
    eventually(lambda: len(world.boot(ready=False)) > 0 or len(world.machines) == 2, "no machine launches")
    eventually(lambda: bool(world.boot(ready=False)) or len(world.machines) == 2, "no second machine launches")
    eventually(lambda: len(world.process.published().get("members", [])) == 2, "they are not seen")
    assert not world.balancer.ids, "not ready yet"
    waits: list[float] = []
    for instance_id, machine in world.machines.items():
        began = time.monotonic()
        machine.ready = True
        eventually(lambda instance_id=instance_id: instance_id in world.balancer.ids, "a ready machine gets nothing")
        waits.append(time.monotonic() - began)
    # 0.3 s at rest, on a host of its own.
    assert min(waits) < 1.0, f"from ready to its first request: {waits} s"
    eventually(lambda: world.fleet.states(world.group) == ["InService"] * 2, "their launches do not go on")

    one, two = sorted(world.fleet.ids(world.group))
    world.fleet.ec2.create_tags(Resources=[two], Tags=[{"Key": "expressway:drain", "Value": "deploy-1"}])
    world.balancer.in_flight[two] = 1
    eventually(lambda: world.report().get(two) == "draining", f"it is not drained: {world.report()}")
    assert set(world.balancer.ids) == {one}
    world.balancer.in_flight.clear()
    eventually(lambda: world.report().get(two) == "out", f"it is not out: {world.report()}")
    world.fleet.ec2.delete_tags(Resources=[two], Tags=[{"Key": "expressway:drain"}])
    eventually(lambda: world.report() == {one: "serving", two: "serving"}, "it does not come back")

    world.fleet.autoscaling.terminate_instance_in_auto_scaling_group(
        InstanceId=two, ShouldDecrementDesiredCapacity=True
    )
    world.balancer.in_flight[two] = 1
    eventually(lambda: set(world.balancer.ids) == {one}, "a leaving machine gets requests")
    time.sleep(3)
    assert world.fleet.states(world.group) == ["InService", "Terminating:Wait"], "it answers a request"
    world.balancer.in_flight.clear()
    eventually(lambda: world.fleet.ids(world.group) == {one}, "it is not let go")
    assert all(ids for _, ids in world.balancer.lists), "the list was empty"
    calls = world.process.published()["calls_a_minute"]
    assert calls["auto-scaling.DescribeAutoScalingGroups"] <= 75, calls


def test_a_machine_that_is_gone_is_out_in_five_seconds_and_a_group_of_none_is_believed(world: World) -> None:
    first, *_ = sorted(world.fill(3))
    world.machines[first].stop()
    began = time.monotonic()
    eventually(lambda: first not in world.balancer.ids, "a dead machine gets requests")
    assert time.monotonic() - began < 8, "5 s, and what a busy host adds"
    world.scale(0)
    eventually(lambda: world.fleet.states(world.group) == [], f"it does not end: {world.process.log.read_text()}")
    assert not world.balancer.ids


@pytest.mark.parametrize("mode", ["down", "throttled", "empty", "garbage"])
def test_an_api_in_trouble_changes_nothing_and_its_age_shows(mode: str, world: World) -> None:
    there = world.fill(2)
    lists = len(world.balancer.lists)
    world.trouble.mode = mode
    asked = world.trouble.asked
    eventually(lambda: bool(world.process.published()["error"]), "nothing is said")
    eventually(lambda: world.trouble.asked > asked + 3, "it is not asked again")
    time.sleep(4)
    assert world.balancer.ids == there
    assert len(world.balancer.lists) == lists, "the list was touched"
    if mode != "empty":
        # It tells so at its next pass, which a busy host may hold up.
        eventually(lambda: world.process.published()["last_answer_age_seconds"] > 4, "its age doesn't show")
    world.trouble.mode = "pass"
    eventually(lambda: world.process.published()["error"] is None, f"{world.process.published()}")
    assert world.balancer.ids == there


def test_killed_twenty_times_at_any_instant_it_loses_nothing(world: World) -> None:
    """While machines come and go; then all is as it had been without."""
    world.fill(2)
    chance = random.Random(8)  # noqa: S311, instants
    world.balancer.lists.clear()
    for number in range(20):
        world.scale(3 if number % 4 < 2 else 2)
        time.sleep(chance.uniform(0, 1.5))
        world.boot()
        world.process.kill()
        assert world.balancer.ids, "nobody gets requests"
        world.process.start()
    there = world.fill(3)
    eventually(lambda: world.process.published()["error"] is None, f"{world.process.published()}")
    assert world.balancer.ids == there
    assert all(ids for _, ids in world.balancer.lists), "the list was empty"
