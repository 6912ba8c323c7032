"""Scaling activities: what a group did, when and why, newest first."""

import json
from typing import Any

from moto.autoscaling import models
from moto.core.utils import utcnow

KEPT = 200


class Activity(models.Activity):
    """One entry of a group's history; moto ends each at its start, and has no message."""

    def __init__(
        self, group: Any, description: str, cause: str, zone: str | None = None, subnet: str | None = None
    ) -> None:
        started = utcnow()
        super().__init__(description, f"At {started:%Y-%m-%dT%H:%M:%SZ} {cause}", group, start_time=started)
        self.end_time: Any = None
        self.status_message: str | None = None
        self.auto_scaling_group_arn = group.arn
        place = {"Subnet ID": subnet, "Availability Zone": zone}
        self.details = json.dumps({key: value for key, value in place.items() if value})

    @property
    def waits(self) -> bool:
        """Whether a lifecycle action holds it."""
        return self.status_code == "MidLifecycleAction"

    def wait(self) -> None:
        """A lifecycle action holds it."""
        self.status_code, self.progress = "MidLifecycleAction", 60

    def finish(self, status: str, message: str | None = None) -> None:
        """End it: Successful, Failed or Cancelled."""
        self.status_code, self.progress, self.end_time = status, 100, utcnow()
        self.status_message = message or self.status_message


def record(group: Any, description: str, cause: str, zone: str | None = None, subnet: str | None = None) -> Activity:
    """Begin an activity in the group's history."""
    activity = Activity(group, description, cause, zone, subnet)
    history(group).insert(0, activity)
    del history(group)[KEPT:]
    return activity


def history(group: Any) -> list[Activity]:
    """The group's activities, newest first."""
    if not hasattr(group, "activities"):
        group.activities = []
    return group.activities
