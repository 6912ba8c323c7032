"""The rules as Pulumi's policies: what the engine sends becomes plain data, what a rule says becomes a violation."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_policy import (
    Policy,
    PolicyConfigSchema,
    PolicyProviderResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from . import RULES, STACK_RULES
from .model import UNKNOWN, Resource, Rule, StackRule, settings


def policies() -> list[Policy]:
    """All rules."""
    return [*(_for_resources(rule) for rule in RULES), *(_for_stack(rule) for rule in STACK_RULES)]


def plain(value: Any) -> Any:
    """Pulumi's proxy, which raises on what isn't known yet, as plain data with UNKNOWN in those places."""
    if isinstance(value, Mapping):
        return {key: _known(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(value, index) for index in range(len(value))]
    # The engine's numbers are all floats.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _known(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def _for_resources(rule: Rule) -> Policy:
    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        seen = Resource(
            args.resource_type, args.name, plain(args.props), urn=args.urn, provider=_configuration(args.provider)
        )
        for violation in rule.check(seen, settings(rule, pulumi.get_stack(), args.get_config())):
            report_violation(violation, None)

    return ResourceValidationPolicy(
        rule.name, rule.says, validate=validate, config_schema=_schema(rule), url=rule.source
    )


def _for_stack(rule: StackRule) -> Policy:
    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        seen = [
            Resource(
                each.resource_type,
                each.name,
                plain(each.props),
                urn=each.urn,
                provider=_configuration(each.provider),
                references={
                    name: frozenset(other.urn for other in others)
                    for name, others in each.property_dependencies.items()
                },
            )
            for each in args.resources
        ]
        for resource, violation in rule.check(seen, settings(rule, pulumi.get_stack(), args.get_config())):
            report_violation(violation, resource.urn)

    return StackValidationPolicy(rule.name, rule.says, validate=validate, config_schema=_schema(rule), url=rule.source)


def _configuration(provider: PolicyProviderResource | None) -> Mapping[str, Any]:
    return plain(provider.props) if provider else {}


def _schema(rule: Rule | StackRule) -> PolicyConfigSchema | None:
    return PolicyConfigSchema({name: dict(schema) for name, schema in rule.options.items()}) if rule.options else None
