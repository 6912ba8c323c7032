"""IAM's SimulatePrincipalPolicy, which moto lacks: what a user's or a role's own policies allow.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html. Of conditions, those on equal and
similar text are understood; a statement with another is an error, rather than a wrong answer.
"""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, Policy
from moto.iam.responses import IamResponse

from lab.api.patching import add

ALLOWED, DENIED, NOT_ALLOWED = "allowed", "explicitDeny", "implicitDeny"

CONDITIONS = {"StringEquals": str.__eq__, "StringLike": fnmatchcase}


def install() -> None:
    """Give moto's IAM the call. Once a process, before the first request."""
    add(IamResponse, "simulate_principal_policy", _simulate)


def decide(policies: list[dict[str, Any]], action: str, resource: str, context: Mapping[str, str]) -> str:
    """IAM's decision on one action: a denial wins, and what nobody allows is not allowed."""
    decision = NOT_ALLOWED
    for policy in policies:
        for statement in _several(policy["Statement"]):
            if not _applies(statement, action, resource, context):
                continue
            if statement["Effect"] == "Deny":
                return DENIED
            decision = ALLOWED
    return decision


def _simulate(response: Any) -> ActionResult:
    asked = response._get_params()
    source = asked["PolicySourceArn"]
    backend: IAMBackend = response.backend
    policies = [_document(each) for each in _policies(backend, source)]
    context = {each["ContextKeyName"]: each["ContextKeyValues"][0] for each in asked.get("ContextEntries", [])}
    results = [
        {"EvalActionName": action, "EvalResourceName": arn, "EvalDecision": decide(policies, action, arn, context)}
        for action in asked["ActionNames"]
        for arn in asked.get("ResourceArns") or ["*"]
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _policies(backend: IAMBackend, source: str) -> Iterator[Any]:
    """Every policy of the user or the role, inline, attached or a group's."""
    kind, _, path = source.split(":", 5)[5].partition("/")
    name = path.rpartition("/")[2]
    if kind == "user":
        user = backend.get_user(name)
        yield from user.policies.values()
        yield from user.managed_policies.values()
        for group in backend.get_groups_for_user(name):
            yield from group.policies.values()
            yield from group.managed_policies.values()
    elif kind == "role":
        role = backend.get_role(name)
        yield from role.policies.values()
        yield from role.managed_policies.values()
    else:
        raise NotFoundException(f"Invalid Entity Arn: {source} does not clearly define entity type and name.")


def _document(policy: Any) -> dict[str, Any]:
    text = policy
    if isinstance(policy, Policy):
        text = next(version.document for version in policy.versions if version.is_default)
    return json.loads(text) if isinstance(text, str) else text


def _applies(statement: dict[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    if unknown := statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}:
        raise NotImplementedError(f"policy statements with {', '.join(sorted(unknown))}")
    actions = any(_matches(action.lower(), each.lower()) for each in _several(statement["Action"]))
    resources = any(_matches(resource, each) for each in _several(statement["Resource"]))
    return actions and resources and _holds(statement.get("Condition", {}), context)


def _matches(value: str, pattern: str) -> bool:
    # Most patterns are plain names, and compiling each costs more than everything else.
    return value == pattern or ("*" in pattern and fnmatchcase(value, pattern))


def _holds(conditions: dict[str, dict[str, Any]], context: Mapping[str, str]) -> bool:
    for operator, tests in conditions.items():
        if operator not in CONDITIONS:
            raise NotImplementedError(f"the condition {operator}")
        for key, values in tests.items():
            if key not in context or not any(CONDITIONS[operator](context[key], each) for each in _several(values)):
                return False
    return True


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
