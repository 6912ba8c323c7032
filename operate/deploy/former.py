"""What a group was like before a deploy, to which it goes back."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operate.fleet import Group, Template


@dataclass(frozen=True)
class Former:
    """A group before the deploy."""

    desired: int
    maximum: int
    template: Template | None
    """What most of its machines were launched from."""
    machines: frozenset[str]
    sick: frozenset[str]
    """Those that did not serve then."""

    @staticmethod
    def of(group: Group) -> "Former":
        """As it is now."""
        counted = Counter(each.template for each in group.machines if each.template and not each.leaving)
        return Former(
            desired=group.desired,
            maximum=group.maximum,
            template=counted.most_common(1)[0][0] if counted else group.template,
            machines=frozenset(each.id for each in group.machines),
            sick=frozenset(each.id for each in group.machines if not each.serving or each.failed),
        )

    @staticmethod
    def read(told: Mapping[str, Any]) -> "Former":
        """From a record."""
        template = told.get("template")
        return Former(
            desired=told["desired"],
            maximum=told["maximum"],
            template=Template(**template) if template else None,
            machines=frozenset(told["machines"]),
            sick=frozenset(told["sick"]),
        )

    def written(self) -> dict[str, Any]:
        """For a record."""
        return {
            "desired": self.desired,
            "maximum": self.maximum,
            "template": {"id": self.template.id, "version": self.template.version} if self.template else None,
            "machines": sorted(self.machines),
            "sick": sorted(self.sick),
        }
