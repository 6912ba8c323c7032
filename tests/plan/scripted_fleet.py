"""App servers and an edge that do what a script says, on the lab's API: for tests of whoever deploys to them.

They say of themselves what real ones say (reports in the bucket), complete the lifecycle hooks, and follow their tags;
nothing boots. What a release does is in its name: `good-1`, `crashes-1`, `errors-1`, `hangs-1`.
"""

import contextlib
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import ClientError

from operate.stack import Stack
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, TERMINATING, Fleet, hook

LAUNCH, TERMINATE = "launch", "terminate"


class ScriptedFleet:
    """A stack of one edge and two app servers, whose pointer names `good-1`."""

    def __init__(self, api: ApiServer, size: int = 2, **group: Any) -> None:
        self.fleet = Fleet(api)
        self.s3, self.ssm, self.ec2 = api.client("s3"), api.client("ssm"), api.client("ec2")
        self.bucket, self.parameter = f"{self.fleet.unique}-bucket", f"{self.fleet.unique}-pointer"
        self.s3.create_bucket(Bucket=self.bucket)
        self.point("good-1")
        self.app = self.fleet.create(
            size,
            hook(LAUNCHING, name=LAUNCH),
            hook(TERMINATING, name=TERMINATE),
            **{"MinSize": 1, "MaxSize": size, **group},
        )
        self.edge = self.fleet.create(1, MaxSize=1, MinSize=1)
        outputs = {
            "artifactBucket": self.bucket,
            "releaseParameter": self.parameter,
            "appGroupName": self.app,
            "edgeGroupName": self.edge,
            "region": "us-east-1",
        }
        self.outputs = outputs
        self.stack = Stack.of(outputs, boto3.Session("test", "test"), api.endpoint)
        self.boots: dict[str, str] = {}
        """What each machine runs."""
        self.states: dict[str, tuple[str, str | None]] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self.fewest = size
        """The fewest that ever served since `watch`."""
        self.served: set[str] = set()
        self.drained: list[set[str]] = []
        self.errors = 0
        self._written: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def point(self, release: str) -> None:
        """Move the pointer past any deploy, as Pulumi did at first."""
        value = json.dumps({"release_id": release, "key": f"releases/{release}", "sha256": "0" * 64})
        self.ssm.put_parameter(Name=self.parameter, Value=value, Type="String", Overwrite=True)

    def release(self) -> str:
        """What the pointer names."""
        value: dict[str, str] = json.loads(self.ssm.get_parameter(Name=self.parameter)["Parameter"]["Value"])
        return value["release_id"]

    def running(self) -> dict[str, str]:
        """What each machine of the group runs."""
        return {each["InstanceId"]: self.boots[each["InstanceId"]] for each in self.fleet.members(self.app)}

    def new_template(self, group: str | None = None) -> str:
        """What `pulumi up` does after a change of user data: another version, and the group on it."""
        made = self.ec2.create_launch_template_version(
            LaunchTemplateId=self.fleet.template, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.medium"}
        )
        version = str(made["LaunchTemplateVersion"]["VersionNumber"])
        self.fleet.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=group or self.app,
            LaunchTemplate={"LaunchTemplateId": self.fleet.template, "Version": version},
        )
        return version

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(ClientError):
                self._turn()
            time.sleep(0.05)

    def _turn(self) -> None:
        members = self.fleet.members(self.app)
        ids = [each["InstanceId"] for each in members]
        tags: dict[str, dict[str, str]] = {}
        for each in self.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": ids}])["Tags"] if ids else []:
            tags.setdefault(each["ResourceId"], {})[each["Key"]] = each["Value"]
        serving: set[str] = set()
        for member in members:
            if self._machine(member["InstanceId"], member["LifecycleState"], tags.get(member["InstanceId"], {})):
                serving.add(member["InstanceId"])
        seen = [
            {"id": id_, "state": "serving" if id_ in serving else "out", "in_flight": 0, **self._counted(id_)}
            for id_ in ids
            if id_ in serving or id_ in self.served
        ]
        for edge in self.fleet.members(self.edge):
            key = f"reports/edge/{edge['InstanceId']}.json"
            self._write(key, {"list_age": 1.0, "error": None, "members": seen})
        self.served |= serving
        if len(self.served) >= len(ids):
            self.fewest = min(self.fewest, len(serving))
        for member in members:
            if member["LifecycleState"] == "Terminating:Wait":
                self.fleet.complete(self.app, member["InstanceId"], name=TERMINATE)
            elif member["LifecycleState"] == "Pending:Wait" and member["InstanceId"] in serving:
                self.fleet.complete(self.app, member["InstanceId"], name=LAUNCH)

    def _machine(self, id_: str, lifecycle: str, tags: dict[str, str]) -> bool:
        """Whether it gets requests."""
        deploy = tags.get("expressway:deploy")
        if id_ not in self.boots or self.states[id_][1] != deploy:
            self.boots[id_] = self.release()
            kind = self.boots[id_].partition("-")[0]
            self.states[id_] = ({"crashes": "failed", "hangs": "starting"}.get(kind, "ready"), deploy)
        state = self.states[id_][0]
        report: dict[str, Any] = {"release": self.boots[id_], "deploy": deploy, "state": state, "reason": None}
        if state == "failed":
            report |= {"reason": "the app exits at once (1)", "log": ["Error: no such column"]}
        self._write(f"reports/app/{id_}.json", report)
        gone = lifecycle.startswith("Terminating") or bool(tags.get("expressway:drain"))
        return state == "ready" and not gone

    def _counted(self, id_: str) -> dict[str, Any]:
        counted = self.counts.setdefault(id_, {"requests": 0, "5xx": 0})
        counted["requests"] += 20
        if self.boots[id_].startswith("errors"):
            counted["5xx"] += 20
            self.errors += 20
        return {
            "requests": counted["requests"],
            "connect_failures": 0,
            "statuses": {"5xx": counted["5xx"]},
            "buckets": {"0.005": counted["requests"], "+Inf": counted["requests"]},
        }

    def _write(self, key: str, content: dict[str, Any]) -> None:
        body = json.dumps(content)
        if self._written.get(key) != body:
            self._written[key] = body
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())

    @contextmanager
    def at_work(self) -> Generator["ScriptedFleet"]:
        """The machines are there, and serve."""
        self._thread.start()
        try:
            deadline = time.monotonic() + 60
            while self.fleet.states(self.app) != ["InService"] * self.fewest or len(self.served) < self.fewest:
                assert time.monotonic() < deadline, self.fleet.members(self.app)
                time.sleep(0.1)
            yield self
        finally:
            self._stop.set()
            self._thread.join(30)
            self.fleet.clean_up()
