"""The times that a database can be had of."""

from dataclasses import dataclass
from datetime import UTC, datetime

from operate.database.instance import RequestError


@dataclass(frozen=True)
class Window:
    """The times that a database can be had of; None where RDS doesn't say."""

    earliest: datetime | None
    latest: datetime | None

    def __str__(self) -> str:
        first, last = (written(each) if each else "not known" for each in (self.earliest, self.latest))
        return f"earliest {first}, latest {last}"

    def require(self, identifier: str, at: datetime) -> None:
        """RequestError where that database can't be had of a time."""
        if (self.earliest and at < self.earliest) or (self.latest and at > self.latest):
            raise RequestError(f"{identifier} can't be had of {written(at)}: {self}")


def written(at: datetime) -> str:
    """A time as one writes it, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
