"""Security group rules as AWS has them: one with a group at its other end has a description, and can be changed.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html
"""

from typing import Any

from moto.ec2.models import security_groups

from lab.api.patching import around, instead

ALL_PROTOCOLS = "-1"


def install() -> None:
    """Change moto's EC2. Once a process, before the first request."""
    instead(security_groups.SecurityGroupRule, "description", property(_description))
    around(security_groups.SecurityGroupBackend, "modify_security_group_rules", _modify)


def _description(rule: Any) -> str | None:
    return rule.ip_range.get("Description") or rule.source_group.get("Description")


def _modify(original: Any, backend: Any, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
    for change in rules.values():
        if change.get("IpProtocol") == ALL_PROTOCOLS:
            change.setdefault("FromPort", -1)
            change.setdefault("ToPort", -1)
    original(backend, group_id, rules)
    group = backend.get_security_group_by_name_or_id(group_id)
    for identifier, change in rules.items():
        rule = group.get_rule(identifier)
        if rule.ip_protocol == ALL_PROTOCOLS:
            rule.from_port = rule.to_port = None
        if block := change.get("CidrIpv6"):
            rule.ip_range["CidrIpv6"] = block
        if peer := change.get("ReferencedGroupId"):
            # moto has the description where an address range would be.
            rule.source_group |= {"GroupId": peer, "Description": rule.ip_range.pop("Description", "")}
        if prefixes := change.get("PrefixListId"):
            rule.prefix_list_id = prefixes
