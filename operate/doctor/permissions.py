"""Whether the caller may do what a deploy does: the very actions of the deployer's policy, asked of IAM."""

from collections.abc import Iterator

from operate import deployer

from .account import Account
from .finding import Finding, failed, ok, warning
from .identity import Caller
from .simulation import Simulation
from .wanted import Wanted

CHECK = "permissions"

SHOWN = 8
"""Actions that a finding names; a caller without any policy lacks them all."""


def check_permissions(account: Account, caller: Caller, wanted: Wanted, simulation: Simulation) -> Iterator[Finding]:
    """Every action of the policy, on things that are called as the stack's will be."""
    if caller.is_root:
        rule = "nothing limits the account's owner, and nobody else can be told apart from it"
        mend = "Deploy as a user or role with the deployer's policy (docs/doctor.md)."
        yield warning(CHECK, "these are the credentials of the account's owner", "", rule, mend)
        return
    missing: dict[str, None] = {}
    for statement in deployer.statements(account.partition, caller.account, account.region):
        for context in _contexts(statement):
            for resource in _examples(statement, wanted.stack):
                missing |= dict.fromkeys(simulation.denied(statement.actions, resource, context))
    yield judge(list(missing))


def judge(missing: list[str]) -> Finding:
    """What a deploy needs, and the caller may not."""
    if not missing:
        return ok(CHECK, "IAM allows all that a deploy does")
    named = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
    mend = "Attach both policies of docs/reference/deployer-policy*.json to it (docs/doctor.md says how)."
    return failed(CHECK, f"IAM does not allow {named}", "", "a deploy calls them", mend)


def _examples(statement: deployer.Statement, stack: str) -> list[str]:
    """A thing for each pattern, called as one of this stack would be."""
    if statement.resources == deployer.EVERYTHING:
        return ["*"]
    return [each.replace("*", stack, 1).replace("*", "0123456") for each in statement.resources]


def _contexts(statement: deployer.Statement) -> list[dict[str, str]]:
    if not statement.condition:
        return [{}]
    return [{key: value} for key, values in statement.condition.items() for value in values]
