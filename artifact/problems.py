"""The two ways to fail: the app isn't fit to be deployed, or building it went wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake in an app's folder."""

    path: str
    """Where it is: the folder, or `package.json: scripts.start`."""
    rule: str
    """What should be so and isn't."""
    remedy: str
    """How to mend it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}. {self.remedy}"


class AppError(Exception):
    """The folder isn't an app that can be built: every reason at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class BuildError(Exception):
    """A tool failed while building; the message ends with what it printed last."""
