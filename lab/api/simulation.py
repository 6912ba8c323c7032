"""IAM's SimulatePrincipalPolicy, which moto lacks: what a user's or a role's own policies allow.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend
from moto.iam.responses import IamResponse

from lab.api.authorization.policy import Statement, decide
from lab.api.authorization.principals import held_by
from lab.api.patching import add

ALLOWED, DENIED, NOT_ALLOWED = "allowed", "explicitDeny", "implicitDeny"


def install() -> None:
    """Give moto's IAM the call. Once a process, before the first request."""
    add(IamResponse, "simulate_principal_policy", _simulate)


def _simulate(response: Any) -> ActionResult:
    asked = response._get_params()
    statements = _statements(response.backend, asked["PolicySourceArn"])
    # A key that the simulated call does not have is equal to nothing.
    context = {key: "" for each in statements for keys in each.document.get("Condition", {}).values() for key in keys}
    context |= {each["ContextKeyName"]: each["ContextKeyValues"][0] for each in asked.get("ContextEntries", [])}
    results: list[dict[str, str]] = []
    for action in asked["ActionNames"]:
        for resource in asked.get("ResourceArns") or ["*"]:
            decision = decide(statements, action, [resource], context)
            said = ALLOWED if decision.allowed else DENIED if decision.denied else NOT_ALLOWED
            results.append({"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": said})
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _statements(backend: IAMBackend, source: str) -> list[Statement]:
    """Every statement that applies to the user, its groups included, or to the role."""
    kind, _, path = source.split(":", 5)[5].partition("/")
    name = path.rpartition("/")[2]
    holders: list[Any]
    if kind == "user":
        holders = [backend.get_user(name), *backend.get_groups_for_user(name)]
    elif kind == "role":
        holders = [backend.get_role(name)]
    else:
        raise NotFoundException(f"Invalid Entity Arn: {source} does not clearly define entity type and name.")
    return [statement for holder in holders for statement in held_by(holder)]
