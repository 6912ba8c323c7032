"""CloudWatch Logs."""

from tests.plan.provider_cases import Case

CASES = (
    Case(
        "aws:cloudwatch/logGroup:LogGroup",
        make=lambda world: {"retentionInDays": 30},
        changes={"name": "another-name", "retentionInDays": None},
    ),
)
