"""The machines of a stack as they are now: what Auto Scaling says, what they say, and what the edges see of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from operate.reports import AppReport, EdgeReport, EdgeView, Reports
from operate.stack import Stack

DRAIN, DEPLOY = "expressway:drain", "expressway:deploy"
"""Tags of an instance: the edges take it out of service; it installs the release that is current."""

LEAVING = ("Terminating", "Terminated", "Detach")

IN_SERVICE = "InService"


@dataclass(frozen=True)
class Template:
    """A launch template's version."""

    id: str
    version: str


@dataclass(frozen=True)
class Machine:
    """One machine of a group."""

    id: str
    lifecycle: str
    """Auto Scaling's word: Pending:Wait, InService, ..."""
    healthy: bool = True
    template: Template | None = None
    report: AppReport | None = None
    """What an app server says of itself."""
    views: tuple[EdgeView, ...] = ()
    """What each edge that reports sees of it; one that does not know it has no view."""
    watched: int = 0
    """How many edges report."""
    reporting: bool = True
    """Of an edge: whether its own report is fresh, where any edge reports at all."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """DRAIN and DEPLOY, where they are set."""

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out."""
        return self.lifecycle.startswith(LEAVING)

    @property
    def serving(self) -> bool:
        """Whether every edge that reports sends it requests. Where none reports, Auto Scaling's word has to do."""
        if self.lifecycle != IN_SERVICE or not self.healthy:
            return False
        return len(self.views) == self.watched and all(view.state == "serving" for view in self.views)

    @property
    def out(self) -> bool:
        """Whether no edge sends it requests, and none waits for its answer."""
        return self.watched > 0 and all(view.state in ("out", "joining") for view in self.views)

    @property
    def failed(self) -> bool:
        """Whether its release doesn't run there."""
        return self.report is not None and self.report.state == "failed"

    @property
    def release(self) -> str | None:
        """What it runs, as far as it said."""
        return self.report.release if self.report else None


@dataclass(frozen=True)
class Group:
    """An Auto Scaling group."""

    name: str
    desired: int
    minimum: int
    maximum: int
    template: Template | None
    """None where it isn't given by number."""
    machines: tuple[Machine, ...]


@dataclass(frozen=True)
class Fleet:
    """Both groups, and what the edges report."""

    app: Group
    edge: Group
    edges: tuple[EdgeReport, ...]


class Observer:
    """Looks at a stack's machines, again and again."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._reports = Reports(stack.client("s3"), stack.bucket)

    def look(self) -> Fleet:
        """The fleet as it is; botocore's errors when AWS does not say."""
        stack = self._stack
        answer = stack.client("autoscaling").describe_auto_scaling_groups(
            AutoScalingGroupNames=[stack.app_group, stack.edge_group]
        )
        groups = {each["AutoScalingGroupName"]: each for each in answer["AutoScalingGroups"]}
        app, edge = groups[stack.app_group], groups[stack.edge_group]
        app_ids, edge_ids = ([each["InstanceId"] for each in group["Instances"]] for group in (app, edge))
        reports, edges = self._reports.app(app_ids), self._reports.edge(edge_ids)
        watching = [each for each in edges if each.fresh]
        tags = self._tags(app_ids)
        fresh = {each.id for each in watching}
        return Fleet(
            app=_group(
                app,
                lambda member: Machine(
                    **_basics(member),
                    report=reports.get(member["InstanceId"]),
                    views=tuple(
                        view for each in watching if (view := each.members.get(member["InstanceId"])) is not None
                    ),
                    # Edges that once reported and are silent now see nothing, which is no reason to believe the best.
                    watched=max(len(watching), min(1, len(edges))),
                    tags=tags.get(member["InstanceId"], {}),
                ),
            ),
            edge=_group(
                edge,
                lambda member: Machine(**_basics(member), reporting=not edges or member["InstanceId"] in fresh),
            ),
            edges=tuple(edges),
        )

    def _tags(self, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        if not ids:
            return {}
        ec2, found = self._stack.client("ec2"), dict[str, dict[str, str]]()
        # By key alone: a filter takes 200 values, and a fleet may be larger than that.
        for page in ec2.get_paginator("describe_tags").paginate(Filters=[{"Name": "key", "Values": [DRAIN, DEPLOY]}]):
            for tag in page["Tags"]:
                if tag["ResourceId"] in ids:
                    found.setdefault(tag["ResourceId"], {})[tag["Key"]] = tag["Value"]
        return found


def resize(stack: Stack, group: Group, desired: int) -> None:
    """Have a group want so many machines, at once; which go, when there are too many, Auto Scaling chooses."""
    stack.client("autoscaling").set_desired_capacity(
        AutoScalingGroupName=group.name, DesiredCapacity=desired, HonorCooldown=False
    )


def _group(told: Mapping[str, Any], machine: Any) -> Group:
    return Group(
        name=told["AutoScalingGroupName"],
        desired=told["DesiredCapacity"],
        minimum=told["MinSize"],
        maximum=told["MaxSize"],
        template=_template(told),
        machines=tuple(sorted((machine(each) for each in told["Instances"]), key=lambda each: each.id)),
    )


def _basics(member: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": member["InstanceId"],
        "lifecycle": member["LifecycleState"],
        "healthy": str(member.get("HealthStatus", "Healthy")).upper() == "HEALTHY",
        "template": _template(member),
    }


def _template(holder: Mapping[str, Any]) -> Template | None:
    told = holder.get("LaunchTemplate") or {}
    version = str(told.get("Version", ""))
    return Template(str(told.get("LaunchTemplateId", "")), version) if version.isdigit() else None
