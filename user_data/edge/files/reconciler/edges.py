"""What the edges of one group tell each other, through their reports. Pure."""

from collections.abc import Mapping
from typing import Any


def may_use(instance_id: str, since: float, reports: Mapping[str, Any]) -> bool:
    """Whether another edge may still have requests for a machine that has been leaving since `since`.

    `reports` are the other edges', by their id; None for one that never made any, and so has had no requests. Only one
    that was made after the machine began to leave says that it is out. Times are seconds since the epoch.
    """
    return any(not _is_out(instance_id, since, each) for each in reports.values() if each is not None)


def _is_out(instance_id: str, since: float, report: Any) -> bool:
    try:
        states = {each["id"]: each["state"] for each in report["members"]}
        return report["at"] >= since and states.get(instance_id, "out") == "out"
    except (KeyError, TypeError):
        return False
