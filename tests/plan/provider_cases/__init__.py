"""One case per resource type, for the provider's contract: how to make one, and another value for each input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.plan.provider_world import World


@dataclass(frozen=True)
class Together:
    """Values of several inputs at once, and which of them replace."""

    values: Mapping[str, Any]
    replaces: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """`make` gives the inputs of a new resource of `type`; it may create in `world` what they refer to.

    `changes` has another valid value for every input that the type takes (None: taken away), or a function of the
    world that gives it; or a `Together` where other inputs have to change along. `untold` are inputs that the API
    never tells, such as what matters at a deletion only. `import_id` turns the resource's id and inputs into the id
    that `pulumi import` takes, where that is another. `refused` are inputs whose change the AWS provider refuses.
    """

    type: str
    make: Any
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    untold: tuple[str, ...] = ()
    importable: bool = True
    import_id: Callable[[str, dict[str, Any]], str] = lambda identifier, _inputs: identifier
    refused: tuple[str, ...] = ()
    leaves_nothing: bool = True
    """Whether a delete takes it away; what belongs to AWS, such as a VPC's own security group, stays."""


def all_cases() -> tuple[Case, ...]:
    """The cases of every service."""
    from tests.plan.provider_cases import (
        autoscaling,
        cloudwatch,
        ec2,
        elasticache,
        elb,
        events,
        iam,
        logs,
        network,
        rds,
        s3,
        secretsmanager,
        security_groups,
        sns,
        sqs,
        ssm,
    )

    return (
        *autoscaling.CASES,
        *cloudwatch.CASES,
        *ec2.CASES,
        *elasticache.CASES,
        *elb.CASES,
        *events.CASES,
        *iam.CASES,
        *logs.CASES,
        *network.CASES,
        *rds.CASES,
        *s3.CASES,
        *secretsmanager.CASES,
        *security_groups.CASES,
        *sns.CASES,
        *sqs.CASES,
        *ssm.CASES,
    )


def value(given: Any, world: World) -> Any:
    """A change's value."""
    if isinstance(given, Together):
        return replace(given, values={key: value(each, world) for key, each in given.values.items()})
    return given(world) if callable(given) else given
