"""What runs where: the release that is current, each machine with what it runs, and the deploy that is under way."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from operate import releases
from operate.deploy import Record, read
from operate.deploy.goal import Goal
from operate.fleet import DRAIN, IN_SERVICE, Fleet, Group, Machine, Observer
from operate.stack import Stack
from operate.traffic import Meter, Traffic


@dataclass(frozen=True)
class Row:
    """One machine, in words."""

    id: str
    tier: str
    release: str | None
    template_version: str | None
    state: str
    reason: str | None
    """Why it is so, where it isn't well."""
    lifecycle: str
    edge: str | None
    """What the edges see of it."""
    in_flight: int
    current: bool
    """Whether it runs what it should: the current release, on the group's launch template version."""
    traffic: Traffic | None = None
    """What it answers a second, where it was looked at before."""


@dataclass(frozen=True)
class Status:
    """A stack at one moment."""

    release: str
    deploy: str | None
    """The deploy that put it there; None for what Pulumi put there."""
    under_way: Record | None
    """A deploy that isn't over."""
    alive: bool
    """Whether somebody is at it."""
    desired: int
    template_version: str | None
    machines: tuple[Row, ...]
    list_age: float | None
    """Seconds since the edges' last good answer of the API, the worst of them."""
    edge_errors: tuple[str, ...]

    @property
    def settled(self) -> bool:
        """Whether every machine runs what it should, and no deploy is half done."""
        return self.under_way is None and all(row.current for row in self.machines)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        way = self.under_way
        return {
            "release": self.release,
            "deploy": self.deploy,
            "settled": self.settled,
            "under_way": None
            if way is None
            else {
                "id": way.id,
                "mode": way.mode,
                "phase": way.phase,
                "from": way.before.get("release_id"),
                "to": way.to.get("release_id"),
                "by": way.by,
                "at": way.at,
                "alive": self.alive,
                "reason": way.reason,
            },
            "desired": self.desired,
            "template_version": self.template_version,
            "list_age": self.list_age,
            "edge_errors": list(self.edge_errors),
            "machines": [asdict(row) for row in self.machines],
        }


def look(stack: Stack) -> Status:
    """The stack as it is."""
    return Watch(stack).look()


class Watch:
    """Looks at a stack again and again; from the second look on, it sees what each machine answers."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._observer = Observer(stack)
        self._meter = Meter()

    def look(self) -> Status:
        """The stack as it is now; botocore's errors, and ReleaseError, when AWS does not say."""
        stack, fleet = self._stack, self._observer.look()
        found = read(stack.client("s3"), stack.bucket)
        return _status(fleet, releases.pointer(stack), found[0] if found else None, self._meter.look(fleet.edges))


def _status(fleet: Fleet, pointer: Mapping[str, Any], record: Record | None, traffic: Mapping[str, Traffic]) -> Status:
    way = record if record and not record.over else None
    ages = [each.list_age for each in fleet.edges if each.list_age is not None]
    return Status(
        release=str(pointer["release_id"]),
        deploy=pointer.get("deploy"),
        under_way=way,
        alive=way is not None and way.alive(time.time()),
        desired=fleet.app.desired,
        template_version=fleet.app.template.version if fleet.app.template else None,
        machines=tuple(replace(row, traffic=traffic.get(row.id)) for row in rows(fleet, str(pointer["release_id"]))),
        list_age=max(ages, default=None),
        edge_errors=tuple(f"{each.id}: {each.error}" for each in fleet.edges if each.error),
    )


def rows(fleet: Fleet, release: str) -> list[Row]:
    """One for each machine, in the order in which a request meets the tiers."""
    edge, app = Goal(None, fleet.edge.template), Goal(release, fleet.app.template)
    return [
        *(_row(each, "edge", edge, fleet.edge) for each in fleet.edge.machines),
        *(_row(each, "app", app, fleet.app) for each in fleet.app.machines),
    ]


def _row(machine: Machine, tier: str, goal: Goal, group: Group) -> Row:
    report = machine.report
    old = machine.template is not None and group.template is not None and machine.template != group.template
    state = _edge_state(machine) if tier == "edge" else _app_state(machine)
    reason = report.reason if report else None
    if reason is None and state not in ("serving", "leaving"):
        reason = next((view.reason for view in machine.views if view.reason), None)
    return Row(
        id=machine.id,
        tier=tier,
        release=machine.release,
        template_version=machine.template.version if machine.template else None,
        state=state,
        reason=reason,
        lifecycle=machine.lifecycle,
        edge=", ".join(sorted({view.state for view in machine.views})) or None,
        in_flight=sum(view.in_flight for view in machine.views),
        current=not old and goal.ready(machine),
    )


def _app_state(machine: Machine) -> str:
    if machine.leaving:
        return "leaving"
    if machine.failed:
        return "failed"
    if machine.serving:
        return "serving"
    if DRAIN in machine.tags:
        return "out" if machine.out else "draining"
    if not machine.healthy:
        return "unhealthy"
    state = machine.report.state if machine.report and machine.report.state else "booting"
    return "not in service" if state == "ready" else state


def _edge_state(machine: Machine) -> str:
    if machine.leaving:
        return "leaving"
    if machine.lifecycle != IN_SERVICE:
        return "booting"
    if not machine.healthy:
        return "unhealthy"
    return "serving" if machine.reporting else "silent"
