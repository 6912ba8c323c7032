"""The least that whoever deploys must be allowed, worked out from the resource types that the program uses."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LARGEST = 6144
"""Characters of a managed policy, blanks not counted.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

EVERYTHING = ("*",)

OPEN, NAMED = "deployer-policy", "deployer-policy-named"
"""What works on everything in the account, and what is restricted to the stack's own names."""

_OPERATIONS = ("create", "read", "update", "delete")


@dataclass(frozen=True)
class Statement:
    """Actions on the same things, under the same condition."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    """ARNs with asterisks, or EVERYTHING."""
    condition: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def as_json(self) -> dict[str, Any]:
        """As IAM takes it."""
        made: dict[str, Any] = {"Effect": "Allow", "Action": list(self.actions), "Resource": list(self.resources)}
        if self.resources == EVERYTHING:
            made["Resource"] = "*"
        if self.condition:
            made["Condition"] = {"StringEquals": {key: list(values) for key, values in self.condition.items()}}
        return made


@cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """permissions.toml."""
    return tomllib.loads(Path(__file__).with_name("permissions.toml").read_text(encoding="utf-8"))


def types() -> frozenset[str]:
    """The resource types and functions that the table knows."""
    return frozenset(name for name in table() if ":" in name)


def statements(partition: str = "aws", account: str = "*", region: str = "*") -> list[Statement]:
    """Everything that is needed, each action once for the same resources. Open ones come first."""
    wanted: dict[tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]], set[str]] = {}
    for entry in table().values():
        ends: list[str] = entry.get("on", [])
        on = tuple(f"arn:{partition}:{end.format(account=account, region=region)}" for end in ends) or EVERYTHING
        condition = tuple((key, tuple(values)) for key, values in entry.get("condition", {}).items())
        actions = {action for key in (*_OPERATIONS, "actions") for action in entry.get(key, [])}
        wanted.setdefault((on, condition), set()).update(actions)
        wanted.setdefault((EVERYTHING, ()), set()).update(entry.get("anywhere", []))
    open_ones = wanted.pop((EVERYTHING, ()), set[str]())
    made = [Statement(tuple(sorted(open_ones)), EVERYTHING)]
    for (on, condition), actions in wanted.items():
        # What may be done to everything need not be allowed again.
        if rest := sorted(actions - open_ones):
            made.append(Statement(tuple(rest), on, dict(condition)))
    return made


def documents(partition: str = "aws", account: str = "*", region: str = "*") -> dict[str, dict[str, Any]]:
    """The policies by name, each small enough for IAM to take it as a managed policy."""
    all_of_them = statements(partition, account, region)
    return {
        OPEN: _document(each for each in all_of_them if each.resources == EVERYTHING),
        NAMED: _document(each for each in all_of_them if each.resources != EVERYTHING),
    }


def size(document: Mapping[str, Any]) -> int:
    """How many characters IAM counts."""
    return len(json.dumps(document, separators=(",", ":")))


def _document(parts: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [each.as_json() for each in parts]}
