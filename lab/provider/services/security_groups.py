"""VPC: security groups and their rules."""

from collections.abc import Collection
from typing import Any, ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.services.network import ChangesByTags, arn, await_shutdowns, tag_specification
from lab.provider.values import present, unless_default

_SOURCES = "terraform-provider-aws internal/service/ec2/"
GROUP = f"{_SOURCES}vpc_security_group.go, ForceNew"
DEFAULT_GROUP = f"{_SOURCES}vpc_default_security_group.go, ForceNew"
RULE = f"{_SOURCES}vpc_security_group_ingress_rule.go, RequiresReplace"
DESCRIPTION = "Managed by Pulumi"

PEERS = {
    "cidrIpv4": ("IpRanges", "CidrIp", "CidrIpv4"),
    "cidrIpv6": ("Ipv6Ranges", "CidrIpv6", "CidrIpv6"),
    "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId", "ReferencedGroupId"),
    "prefixListId": ("PrefixListIds", "PrefixListId", "PrefixListId"),
}
"""Who is at a rule's other end -> where a permission has it, the name there, and the name in a rule's change."""


class SecurityGroup(ChangesByTags):
    """A group without rules: rules are resources of their own, and what AWS puts into a new group is taken out."""

    pulumi_type = "aws:ec2/securityGroup:SecurityGroup"
    optional = ("vpcId", "description")
    autoname = Autoname()
    replaces_on = {"name": GROUP, "vpcId": GROUP, "description": GROUP}
    computed = ("vpcId",)
    defaults = {"description": DESCRIPTION}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Without the rule that EC2 puts into a new group: it lets nothing out either."""
        identifier = aws("ec2").create_security_group(
            GroupName=inputs["name"],
            Description=inputs.get("description", DESCRIPTION),
            TagSpecifications=tag_specification("security-group", inputs["tagsAll"]),
            **present(VpcId=inputs.get("vpcId")),
        )["GroupId"]
        _empty(aws, identifier)
        return Created(identifier, _group_outputs(aws, identifier))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The group without its rules."""
        group = aws("ec2").describe_security_groups(GroupIds=[identifier])["SecurityGroups"][0]
        inputs = {
            "name": group["GroupName"],
            "description": unless_default(group["Description"], DESCRIPTION, state.get("description")),
            "vpcId": group["VpcId"],
            "tags": tags.as_map(group.get("Tags", [])),
        }
        return Found(identifier, inputs, _group_outputs(aws, identifier))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Refused by the API while a machine or another group's rule refers to it."""
        await_shutdowns(aws, "instance.group-id", identifier)
        aws("ec2").delete_security_group(GroupId=identifier)


class DefaultSecurityGroup(ChangesByTags):
    """A VPC's own default group, adopted and emptied."""

    pulumi_type = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    required = ("vpcId",)
    replaces_on = {"vpcId": DEFAULT_GROUP}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Find it, and empty it."""
        filters = [
            {"Name": "vpc-id", "Values": [inputs["vpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        group = aws("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]
        identifier = group["GroupId"]
        _empty(aws, identifier)
        tags.set_ec2(aws, identifier, tags.as_map(group.get("Tags", [])), inputs["tagsAll"])
        return Created(identifier, {**_group_outputs(aws, identifier), "name": "default"})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The VPC's default group, as long as the VPC is there."""
        group = aws("ec2").describe_security_groups(GroupIds=[identifier])["SecurityGroups"][0]
        inputs = {"vpcId": group["VpcId"], "tags": tags.as_map(group.get("Tags", []))}
        return Found(identifier, inputs, {**_group_outputs(aws, identifier), "name": "default"})

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Nothing: it is AWS's, and goes with its VPC."""


class _Rule(Resource):
    required = ("securityGroupId", "ipProtocol")
    optional = ("fromPort", "toPort", *PEERS, "description")
    tagged = True
    replaces_on = {"securityGroupId": RULE}
    direction: ClassVar[str]

    @override
    def replacing(self, old: Properties, new: Properties) -> Collection[str]:
        """Also the peer, when it becomes one of another kind: AWS's call can't change that."""
        kinds = {key for key in PEERS if (key in old) != (key in new)}
        return {*super().replacing(old, new), *kinds}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Authorize it."""
        permission: dict[str, Any] = {
            "IpProtocol": str(inputs["ipProtocol"]),
            **present(FromPort=inputs.get("fromPort"), ToPort=inputs.get("toPort")),
        }
        for key, (peers, peer, _) in PEERS.items():
            if key in inputs:
                permission[peers] = [{peer: inputs[key], **present(Description=inputs.get("description"))}]
        authorize = getattr(aws("ec2"), f"authorize_security_group_{self.direction}")
        rule = authorize(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            TagSpecifications=tag_specification("security-group-rule", inputs["tagsAll"]),
        )["SecurityGroupRules"][0]
        return Created(rule["SecurityGroupRuleId"], self._outputs(aws, rule["SecurityGroupRuleId"]))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The rule; AWS has -1 for ports that were not given."""
        rule = aws("ec2").describe_security_group_rules(SecurityGroupRuleIds=[identifier])["SecurityGroupRules"][0]
        inputs = {
            "securityGroupId": rule["GroupId"],
            "ipProtocol": rule["IpProtocol"],
            "fromPort": unless_default(rule.get("FromPort"), -1, state.get("fromPort")),
            "toPort": unless_default(rule.get("ToPort"), -1, state.get("toPort")),
            "cidrIpv4": rule.get("CidrIpv4"),
            "cidrIpv6": rule.get("CidrIpv6"),
            "referencedSecurityGroupId": rule.get("ReferencedGroupInfo", {}).get("GroupId"),
            "prefixListId": rule.get("PrefixListId"),
            "description": rule.get("Description") or None,
            "tags": tags.as_map(rule.get("Tags", [])),
        }
        return Found(identifier, inputs, self._outputs(aws, identifier))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """The whole rule anew, under its id."""
        if any(old.get(key) != new.get(key) for key in ("ipProtocol", *self.optional)):
            rule = {
                "IpProtocol": str(new["ipProtocol"]),
                "Description": new.get("description", ""),
                **present(FromPort=new.get("fromPort"), ToPort=new.get("toPort")),
                **{name: new[key] for key, (_, _, name) in PEERS.items() if key in new},
            }
            aws("ec2").modify_security_group_rules(
                GroupId=new["securityGroupId"],
                SecurityGroupRules=[{"SecurityGroupRuleId": identifier, "SecurityGroupRule": rule}],
            )
        tags.set_ec2(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Revoke it."""
        revoke = getattr(aws("ec2"), f"revoke_security_group_{self.direction}")
        revoke(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[identifier])

    def _outputs(self, aws: Aws, identifier: str) -> Properties:
        return {"arn": arn(aws, "security-group-rule", identifier), "securityGroupRuleId": identifier}


class SecurityGroupIngressRule(_Rule):
    """Who may come in."""

    pulumi_type = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    direction = "ingress"


class SecurityGroupEgressRule(_Rule):
    """Where traffic may go."""

    pulumi_type = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    direction = "egress"


def _group_outputs(aws: Aws, identifier: str) -> Properties:
    return {"arn": arn(aws, "security-group", identifier), "ownerId": aws.account()}


def _empty(aws: Aws, group: str) -> None:
    found = aws("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    if found["IpPermissions"]:
        aws("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=found["IpPermissions"])
    if found["IpPermissionsEgress"]:
        aws("ec2").revoke_security_group_egress(GroupId=group, IpPermissions=found["IpPermissionsEgress"])


RESOURCES: tuple[type[Resource], ...] = (
    SecurityGroup,
    DefaultSecurityGroup,
    SecurityGroupIngressRule,
    SecurityGroupEgressRule,
)
