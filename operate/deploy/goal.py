"""What a deploy wants of every machine of a group, and how far each one is. Pure."""

from dataclasses import dataclass
from enum import Enum

from operate.fleet import Group, Machine, Template


class Standing(Enum):
    """How a machine stands to the goal."""

    CURRENT = "current"
    OLD = "old"
    UNKNOWN = "unknown"
    """It starts, and hasn't said yet with what."""
    LEAVING = "leaving"


@dataclass(frozen=True)
class Goal:
    """Which release, from which launch template version, all machines are to run."""

    release: str | None
    """None for machines that run no release: edges."""
    template: Template | None
    """None where any will do."""
    distrusted: frozenset[str] = frozenset()
    """Machines to be replaced whatever they say later: they started on something else."""

    def standing(self, machine: Machine) -> Standing:
        """How `machine` stands to it."""
        if machine.leaving:
            return Standing.LEAVING
        if machine.id in self.distrusted:
            return Standing.OLD
        if self.template is not None and machine.template is not None and machine.template != self.template:
            return Standing.OLD
        if self.release is None or machine.release == self.release:
            return Standing.CURRENT
        # What it was launched with can't be told before it has said so; one that serves and is silent is of before.
        starting = machine.lifecycle.startswith("Pending")
        return Standing.UNKNOWN if starting and machine.release is None else Standing.OLD

    def of(self, group: Group, *standings: Standing) -> list[Machine]:
        """The group's machines that stand so."""
        return [each for each in group.machines if self.standing(each) in standings]

    def ready(self, machine: Machine) -> bool:
        """Whether it is current and does its work."""
        if self.standing(machine) is not Standing.CURRENT or not machine.serving or not machine.reporting:
            return False
        return self.release is None or (machine.report is not None and machine.report.state == "ready")

    def reached(self, group: Group, wanted: int) -> bool:
        """Whether all machines are there and none of before is left."""
        ready = [each for each in group.machines if self.ready(each)]
        return len(ready) == len(group.machines) and len(ready) >= wanted


def failing(group: Group, goal: Goal, tag: str, known: frozenset[str]) -> Machine | None:
    """A machine on which the goal failed. The `known` ones count only where they speak of the deploy `tag`."""
    for each in group.machines:
        if not each.failed or each.leaving or each.report is None:
            continue
        fresh = each.id not in known and goal.standing(each) is not Standing.OLD
        if fresh or each.report.deploy == tag:
            return each
    return None
