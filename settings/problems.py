"""A configuration's mistakes, told so that each can be mended without reading code."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.planning import Finding


@dataclass(frozen=True)
class Problem:
    """One mistake."""

    path: str
    """The full key, such as `expressway:app.minSize`."""
    value: str
    """What is given, as text; empty when there is nothing to show."""
    rule: str
    """What should be so and isn't."""
    remedy: str
    """How to mend it."""

    @staticmethod
    def of(finding: Finding, outer: str = "") -> "Problem":
        """A broken rule of the components, at the key that `outer` and the finding's own path make."""
        found = finding.under(outer)
        return Problem(found.path, found.shown, found.rule, found.remedy)

    def __str__(self) -> str:
        given = f" = {self.value}" if self.value else ""
        return f"{self.path}{given}\n    {self.rule}\n    {self.remedy}"


class SettingsError(Exception):
    """A configuration can't be used: every mistake at once."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda each: each.path))
        count = f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {each}" for each in self.problems)]))
