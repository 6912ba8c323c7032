"""What an operation that was killed had begun to create: the API may have it, and the state has no id for it.

The engine writes down what it begins before it asks the provider. After a kill it makes such a resource a second time,
and where AWS takes no two of them the operation fails; on AWS somebody has to look for the first one. The lab holds one
stack, so one that no state knows is the killed operation's, and nobody uses it yet: it is taken away.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from lab.aws import Aws, says_missing
from lab.provider import registry, tags
from lab.provider.errors import ResourceError
from lab.provider.resource import Properties, Resource

TAGGED: Final = {
    "aws:ec2/eip:Eip": "eipalloc-",
    "aws:ec2/internetGateway:InternetGateway": "igw-",
    "aws:ec2/launchTemplate:LaunchTemplate": "lt-",
    "aws:ec2/natGateway:NatGateway": "nat-",
    "aws:ec2/routeTable:RouteTable": "rtb-",
    "aws:ec2/securityGroup:SecurityGroup": "sg-",
    "aws:ec2/subnet:Subnet": "subnet-",
    "aws:ec2/vpc:Vpc": "vpc-",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce-",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "sgr-",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "sgr-",
}
"""Types that EC2 gives an id of their own, and how such an id begins.

Each is known by its tags, which it has from the first moment on.
"""
PLACED: Final = {
    "aws:autoscaling/policy:Policy": "{autoscalingGroupName}/{name}",
    "aws:cloudwatch/dashboard:Dashboard": "{dashboardName}",
    "aws:ec2/route:Route": "{routeTableId}_{destinationCidrBlock}",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "{subnetId}/{routeTableId}",
    "aws:iam/rolePolicy:RolePolicy": "{role}:{name}",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "{role}/{policyArn}",
    "aws:rds/proxyTarget:ProxyTarget": "{dbProxyName}/{targetGroupName}/RDS_INSTANCE/{dbInstanceIdentifier}",
    "aws:sns/topic:Topic": "arn:aws:sns:{region}:{account}:{name}",
}
"""Types that are part of something else, or not known by their name alone, and how an import names them.

Other types with a name of their own are known by that.
"""
BALANCING: Final = {
    "aws:lb/listener:Listener": ("describe_listeners", "Listener", "Port", "port"),
    "aws:lb/loadBalancer:LoadBalancer": ("describe_load_balancers", "LoadBalancer", "LoadBalancerName", "name"),
    "aws:lb/targetGroup:TargetGroup": ("describe_target_groups", "TargetGroup", "TargetGroupName", "name"),
}
"""Types with an ARN for an id, and how to find it: the call, what it lists, and a field that is what an input was."""
REPEATABLE: Final = (
    "aws:autoscaling/lifecycleHook:LifecycleHook",
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:sns/topicSubscription:TopicSubscription",
    "aws:sqs/queuePolicy:QueuePolicy",
)
"""Types that are set on something else: setting them again is as good."""


def remove_begun(aws: Aws, deployment: Mapping[str, Any]) -> None:
    """Take away what `deployment`, an exported state, has as being created and the API has as created."""
    known = {(resource["type"], resource.get("id")) for resource in deployment.get("resources") or ()}
    for operation in deployment.get("pending_operations") or ():
        begun = operation["resource"]
        if operation["type"] == "creating" and begun["type"].startswith("aws:"):
            try:
                _remove(aws, registry.resource(begun["type"]), begun.get("inputs", {}), known)
            except Exception as error:
                raise ResourceError(begun["type"], begun["urn"].rpartition("::")[2], error) from error


def _remove(aws: Aws, kind: Resource, inputs: Properties, known: Set[tuple[str, str]]) -> None:
    for identifier in _candidates(aws, kind, inputs):
        try:
            found = kind.read(aws, identifier, {})
            if found and (kind.pulumi_type, found.id) not in known:
                kind.delete(aws, found.id, {**inputs, **found.inputs, **found.outputs})
        except Exception as error:
            if not says_missing(error):
                raise


def _candidates(aws: Aws, kind: Resource, inputs: Properties) -> Iterator[str]:
    """The ids by which the API may know what was begun."""
    token = kind.pulumi_type
    if token in TAGGED:
        found: dict[str, list[Any]] = {}
        for page in aws("ec2").get_paginator("describe_tags").paginate():
            for tag in page["Tags"]:
                found.setdefault(tag["ResourceId"], []).append(tag)
        for identifier, its in found.items():
            if identifier.startswith(TAGGED[token]) and tags.as_map(its) == inputs["tagsAll"]:
                yield identifier
    elif token in BALANCING:
        call, noun, field, name = BALANCING[token]
        beneath = {"LoadBalancerArn": inputs["loadBalancerArn"]} if "loadBalancerArn" in inputs else {}
        for each in getattr(aws("elbv2"), call)(**beneath)[f"{noun}s"]:
            if each[field] == inputs[name]:
                yield each[f"{noun}Arn"]
    elif token in PLACED:
        yield PLACED[token].format(**inputs, region=aws.region, account=aws.account())
    elif kind.autoname and token not in REPEATABLE:
        yield inputs[kind.autoname.input]
