"""How a target is, from the answers to its probes. Pure.

Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

INITIAL, HEALTHY, UNHEALTHY = "initial", "healthy", "unhealthy"


@dataclass(frozen=True)
class Result:
    """What one probe met. `reason` is a code of DescribeTargetHealth, None for the answer that was wanted."""

    reason: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Health:
    """A target's state, and how many probes in a row went one way."""

    state: str = INITIAL
    reason: str | None = "Elb.InitialHealthChecking"
    description: str | None = "Initial health checks in progress"
    passed: int = 0
    failed: int = 0

    def after(self, result: Result, healthy: int, unhealthy: int) -> "Health":
        """After another probe. One passed is enough for a target that is new; one that failed needs `healthy`."""
        if result.reason is None:
            seen = replace(self, passed=self.passed + 1, failed=0)
            if self.state == INITIAL or seen.passed >= healthy:
                return replace(seen, state=HEALTHY, reason=None, description=None)
            return seen
        seen = replace(self, passed=0, failed=self.failed + 1)
        if seen.failed >= unhealthy:
            return replace(seen, state=UNHEALTHY, reason=result.reason, description=result.description)
        return seen


def serving(states: Mapping[str, str]) -> Collection[str]:
    """Who of the targets with these states gets requests: where none is healthy, those that are not, as on AWS."""
    healthy = [target for target, state in states.items() if state == HEALTHY]
    return healthy or [target for target, state in states.items() if state == UNHEALTHY]


def matches(status: int, codes: str) -> bool:
    """Whether an HTTP status is one of `codes`, such as `200` or `200-299,404`."""
    for part in codes.split(","):
        first, _, last = part.partition("-")
        if int(first) <= status <= int(last or first):
            return True
    return False
