"""SSM."""

from tests.plan.provider_cases import Case

CASES = (
    Case(
        "aws:ssm/parameter:Parameter",
        make=lambda world: {"type": "String", "value": "first", "description": "what it is"},
        changes={
            "name": "another-name",
            "type": "SecureString",
            "value": "second",
            "description": "what it is now",
            "tier": "Advanced",
            "allowedPattern": "^[a-z]+$",
        },
    ),
)
