"""What a check says: what is there, what should be, and how to mend the difference."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a finding stands."""

    OK = "ok"
    WARNING = "warning"
    """A deploy works, and something about it will surprise."""
    FAILED = "failed"
    """A deploy, or the site after it, fails."""
    UNCHECKED = "unchecked"
    """Nobody knows: the caller may not ask, or AWS did not answer."""


@dataclass(frozen=True)
class Finding:
    """One answer of one check."""

    check: str
    """The check, such as `quotas`."""
    status: Status
    what: str
    """What was found."""
    where: str = ""
    """The setting or the thing in the account that it is about."""
    rule: str = ""
    """What should be so; empty when it is."""
    mend: str = ""
    """How to make it so."""


def ok(check: str, what: str, where: str = "") -> Finding:
    """All is as it should be."""
    return Finding(check, Status.OK, what, where)


def warning(check: str, what: str, where: str, rule: str, mend: str) -> Finding:
    """Something to know before a deploy."""
    return Finding(check, Status.WARNING, what, where, rule, mend)


def failed(check: str, what: str, where: str, rule: str, mend: str) -> Finding:
    """Something to mend before a deploy."""
    return Finding(check, Status.FAILED, what, where, rule, mend)


def unchecked(check: str, what: str, where: str, mend: str) -> Finding:
    """A question that has no answer."""
    return Finding(check, Status.UNCHECKED, what, where, "", mend)
