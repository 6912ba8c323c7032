"""Secrets Manager."""

from tests.plan.provider_cases import Case

CASES = (
    Case(
        "aws:secretsmanager/secret:Secret",
        make=lambda world: {"description": "what it is", "recoveryWindowInDays": 7},
        changes={
            "name": lambda world: world.unique("another"),
            "description": None,
            "recoveryWindowInDays": 0,
        },
        untold=("recoveryWindowInDays",),
    ),
    Case(
        "aws:secretsmanager/secretVersion:SecretVersion",
        make=lambda world: {"secretId": world.secret(), "secretString": "hush"},
        changes={"secretId": lambda world: world.secret(), "secretString": "hush now"},
        leaves_nothing=False,
    ),
)
