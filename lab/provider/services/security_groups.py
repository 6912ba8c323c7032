"""VPC: security groups and their rules."""

from typing import Any, ClassVar

from lab.provider.aws import Aws
from lab.provider.resource import Autoname, Created, Properties, Resource
from lab.provider.services.network import arn, tag_specification
from lab.provider.values import present


class SecurityGroup(Resource):
    """A group without rules: rules are resources of their own, and what AWS puts into a new group is taken out."""

    pulumi_type = "aws:ec2/securityGroup:SecurityGroup"
    optional = ("vpcId", "description")
    autoname = Autoname()
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it, and empty it."""
        identifier = aws("ec2").create_security_group(
            GroupName=inputs["name"],
            Description=inputs.get("description", "Managed by Pulumi"),
            TagSpecifications=tag_specification("security-group", inputs["tagsAll"]),
            **present(VpcId=inputs.get("vpcId")),
        )["GroupId"]
        _empty(aws, identifier)
        return Created(identifier, {"arn": arn(aws, "security-group", identifier), "ownerId": aws.account()})


class DefaultSecurityGroup(Resource):
    """A VPC's own default group, adopted and emptied."""

    pulumi_type = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    required = ("vpcId",)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Find it, and empty it."""
        filters = [
            {"Name": "vpc-id", "Values": [inputs["vpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        group = aws("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]
        identifier = group["GroupId"]
        _empty(aws, identifier)
        if specification := tag_specification("security-group", inputs["tagsAll"]):
            aws("ec2").create_tags(Resources=[identifier], Tags=specification[0]["Tags"])
        outputs = {"arn": arn(aws, "security-group", identifier), "name": "default", "ownerId": aws.account()}
        return Created(identifier, outputs)


class _Rule(Resource):
    required = ("securityGroupId", "ipProtocol")
    optional = (
        "fromPort",
        "toPort",
        "cidrIpv4",
        "cidrIpv6",
        "referencedSecurityGroupId",
        "prefixListId",
        "description",
    )
    tagged = True
    direction: ClassVar[str]

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Authorize it."""
        description = present(Description=inputs.get("description"))
        permission: dict[str, Any] = {
            "IpProtocol": str(inputs["ipProtocol"]),
            **present(FromPort=inputs.get("fromPort"), ToPort=inputs.get("toPort")),
        }
        for given, peers, peer in (
            ("cidrIpv4", "IpRanges", "CidrIp"),
            ("cidrIpv6", "Ipv6Ranges", "CidrIpv6"),
            ("referencedSecurityGroupId", "UserIdGroupPairs", "GroupId"),
            ("prefixListId", "PrefixListIds", "PrefixListId"),
        ):
            if given in inputs:
                permission[peers] = [{peer: inputs[given], **description}]
        authorize = getattr(aws("ec2"), f"authorize_security_group_{self.direction}")
        rule = authorize(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            TagSpecifications=tag_specification("security-group-rule", inputs["tagsAll"]),
        )["SecurityGroupRules"][0]
        identifier = rule["SecurityGroupRuleId"]
        outputs = {"arn": arn(aws, "security-group-rule", identifier), "securityGroupRuleId": identifier}
        return Created(identifier, outputs)


class SecurityGroupIngressRule(_Rule):
    """Who may come in."""

    pulumi_type = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    direction = "ingress"


class SecurityGroupEgressRule(_Rule):
    """Where traffic may go."""

    pulumi_type = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    direction = "egress"


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
