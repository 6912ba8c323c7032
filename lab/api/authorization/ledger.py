"""Which permissions were used: for a test that none is left that nothing uses, and for whoever wants fewer."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from lab.api.authorization.policy import ANY, Statement, Use


class Ledger:
    """Counts what let calls through."""

    def __init__(self) -> None:
        self._uses: Counter[tuple[str, str, str, str]] = Counter()

    def record(self, owner: str, uses: Iterable[Use]) -> None:
        """`owner`, as `role/name`, was let through by these."""
        self._uses.update((owner, each.statement.policy, each.action, each.resource) for each in uses)

    def report(self, roles: Mapping[str, Iterable[Statement]]) -> list[dict[str, Any]]:
        """Each statement that allows something, with how often each of its actions and resources did so."""
        return [
            {
                "role": role.removeprefix("role/"),
                "policy": statement.policy,
                "actions": self._counted(role, statement, "Action"),
                "resources": self._counted(role, statement, "Resource"),
            }
            for role, statements in roles.items()
            for statement in statements
            if statement.document["Effect"] == "Allow"
        ]

    def _counted(self, role: str, statement: Statement, element: str) -> dict[str, int]:
        actions, resources = _patterns(statement, "Action"), _patterns(statement, "Resource")
        counted = dict.fromkeys(actions if element == "Action" else resources, 0)
        for action, resource in itertools.product(actions, dict.fromkeys([*resources, ANY])):
            uses = self._uses[role, statement.policy, action, resource]
            # A call of which nobody can say the resource may have been about any of them.
            for pattern in [action] if element == "Action" else resources if resource == ANY else [resource]:
                counted[pattern] += uses
        return counted


def _patterns(statement: Statement, element: str) -> list[str]:
    given = statement.document.get(element, f"Not{element}")
    return given if isinstance(given, list) else [given]
