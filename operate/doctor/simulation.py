"""What the caller's own policies allow, as IAM itself works it out.

IAM's simulation knows the caller's policies, boundary and the organization's, but neither the policies of buckets and
keys nor those of the session.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from .account import Account
from .identity import Caller, principal

AT_ONCE = 50
"""Actions in one question; the answer has an entry for each."""


class Simulation:
    """Questions about one caller."""

    def __init__(self, account: Account, caller: Caller) -> None:
        self.account = caller.account
        self._aws = account
        self._caller = caller
        self._principal = ""

    def denied(self, actions: Sequence[str], resource: str, context: Mapping[str, str]) -> list[str]:
        """Those of `actions` that the caller may not do. NotPermittedError when the caller may not know."""
        if self._caller.is_root:
            return []
        self._principal = self._principal or principal(self._aws, self._caller)
        found: list[str] = []
        for some in _portions(actions):
            results = self._aws.every(
                "iam",
                "SimulatePrincipalPolicy",
                "EvaluationResults",
                PolicySourceArn=self._principal,
                ActionNames=some,
                ResourceArns=[resource],
                ContextEntries=[
                    {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                    for key, value in context.items()
                ],
            )
            found += [each["EvalActionName"] for each in results if each["EvalDecision"] != "allowed"]
        return found


def _portions(actions: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(actions)
    while some := list(islice(rest, AT_ONCE)):
        yield some
