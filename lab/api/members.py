"""An instance of an Auto Scaling group: moto's, with what it waits for and where it came from."""

from typing import Any

from moto.autoscaling import models

from lab.api import lifecycle
from lab.api.activities import Activity

PENDING, IN_SERVICE, STANDBY = "Pending", "InService", "Standby"
LAUNCHING = (PENDING, "Pending:Wait", "Pending:Proceed")
LEAVING = ("Terminating", "Terminating:Wait", "Terminating:Proceed")
RESTING = ("EnteringStandby", STANDBY)

HEALTHY, UNHEALTHY = "Healthy", "Unhealthy"


class Member(models.InstanceState):
    """One instance of a group, with the lifecycle actions that it waits for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actions: list[lifecycle.Action] = []
        self.activity: Activity | None = None
        self.availability_zone: str = self.instance.placement.zone or ""
        self.template: tuple[str, str, int] | None = None
        """Id, name and version of the launch template that it was launched from."""
        self.since: float | None = None
        """When it came into service, by the step's clock; None before."""

    @property
    def launch_template(self) -> dict[str, Any] | None:
        """The version that the instance was launched from; moto shows the template's default one."""
        if self.template is None:
            return super().launch_template
        identifier, name, version = self.template
        return {"LaunchTemplateId": identifier, "LaunchTemplateName": name, "Version": version}

    @property
    def version(self) -> int:
        """The template's version, for the termination policy."""
        return self.template[2] if self.template else 0

    @property
    def counts(self) -> bool:
        """Whether it is part of the desired capacity."""
        return self.lifecycle_state in (*LAUNCHING, IN_SERVICE)

    @property
    def warm(self) -> bool:
        """Whether it is in the group's warm pool."""
        return self.lifecycle_state.startswith("Warmed:")

    def ready(self, now: float, warm_up: float = 0) -> bool:
        """In service, healthy, and warmed up."""
        serves = self.lifecycle_state == IN_SERVICE and self.health_status == HEALTHY
        return serves and self.since is not None and now >= self.since + warm_up
