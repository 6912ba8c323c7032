"""How a component refuses its arguments: every finding at once, before it asks AWS for anything."""

import pulumi

from .planning import NAME_LIMITS, Finding, check_name


def require(component: str, name: str, findings: list[Finding]) -> None:
    """Raise InputPropertiesError when the name or an argument breaks a rule.

    The message repeats every detail: a plugin host hands only the message on to programs in other languages.
    """
    wrong = check_name(name, NAME_LIMITS[component]) + findings
    if not wrong:
        return
    details: list[pulumi.InputPropertyErrorDetails] = [
        {"property_path": each.path, "reason": f"{each.value!r}: {each.rule}. {each.remedy}"} for each in wrong
    ]
    lines = [f"{detail['property_path']}: {detail['reason']}" for detail in details]
    raise pulumi.InputPropertiesError("\n".join([f"{component} {name!r} can't be made:", *lines]), details)
