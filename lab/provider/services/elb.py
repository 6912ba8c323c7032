"""Elastic Load Balancing: Application and Network Load Balancers, their target groups and listeners.

What of it a machine of the lab does: docs/lab.md.
"""

from typing import Any

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import Spec, aws_tags, present, translate, unless_default, untranslate

LOAD_BALANCER = "terraform-provider-aws internal/service/elbv2/load_balancer.go, ForceNew"
TARGET_GROUP = "terraform-provider-aws internal/service/elbv2/target_group.go, ForceNew"
LISTENER = "terraform-provider-aws internal/service/elbv2/listener.go, ForceNew"

KIND = "application"
TARGET_KIND = "instance"
DELAY_SECONDS = 300
DELAY = "deregistration_delay.timeout_seconds"

HEALTH_CHECK: Spec = {
    "enabled": "HealthCheckEnabled",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "interval": "HealthCheckIntervalSeconds",
    "timeout": "HealthCheckTimeoutSeconds",
    "healthyThreshold": "HealthyThresholdCount",
    "unhealthyThreshold": "UnhealthyThresholdCount",
    "matcher": ("Matcher", lambda codes: {"HttpCode": codes}),
}
ACTION: Spec = {
    "type": "Type",
    "targetGroupArn": "TargetGroupArn",
    "fixedResponse": (
        "FixedResponseConfig",
        {"contentType": "ContentType", "messageBody": "MessageBody", "statusCode": "StatusCode"},
    ),
    "redirect": (
        "RedirectConfig",
        {
            "host": "Host",
            "path": "Path",
            "port": "Port",
            "protocol": "Protocol",
            "query": "Query",
            "statusCode": "StatusCode",
        },
    ),
}


class LoadBalancer(Resource):
    """What other stacks put before their machines; ours is Nginx, on a machine of its own."""

    pulumi_type = "aws:lb/loadBalancer:LoadBalancer"
    optional = ("loadBalancerType", "internal", "securityGroups", "subnets")
    autoname = Autoname(longest=32)
    tagged = True
    computed = ("internal", "securityGroups", "subnets")
    defaults = {"loadBalancerType": KIND}
    replaces_on = {"name": LOAD_BALANCER, "loadBalancerType": LOAD_BALANCER, "internal": LOAD_BALANCER}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        made = aws("elbv2").create_load_balancer(
            Name=inputs["name"],
            Type=inputs.get("loadBalancerType", KIND),
            Scheme="internal" if inputs.get("internal") else "internet-facing",
            **present(SecurityGroups=inputs.get("securityGroups"), Subnets=inputs.get("subnets"), Tags=_tags(inputs)),
        )["LoadBalancers"][0]
        return Created(made["LoadBalancerArn"], _balancer_outputs(made))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = aws("elbv2").describe_load_balancers(LoadBalancerArns=[identifier])["LoadBalancers"][0]
        inputs = {
            "name": found["LoadBalancerName"],
            "loadBalancerType": unless_default(found["Type"], KIND, state.get("loadBalancerType")),
            "internal": found["Scheme"] == "internal",
            "securityGroups": found.get("SecurityGroups") or None,
            "subnets": [zone["SubnetId"] for zone in found["AvailabilityZones"]],
            "tags": tags.of_elb(aws, identifier),
        }
        return Found(identifier, inputs, _balancer_outputs(found))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        elb = aws("elbv2")
        if old.get("securityGroups") != new.get("securityGroups") and "securityGroups" in new:
            elb.set_security_groups(LoadBalancerArn=identifier, SecurityGroups=new["securityGroups"])
        if old.get("subnets") != new.get("subnets") and "subnets" in new:
            elb.set_subnets(LoadBalancerArn=identifier, Subnets=new["subnets"])
        tags.set_elb(aws, identifier, old["tagsAll"], new["tagsAll"])
        return _balancer_outputs(elb.describe_load_balancers(LoadBalancerArns=[identifier])["LoadBalancers"][0])

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("elbv2").delete_load_balancer(LoadBalancerArn=identifier)


class TargetGroup(Resource):
    """Who gets a load balancer's requests, and how it is told whether they are well."""

    pulumi_type = "aws:lb/targetGroup:TargetGroup"
    optional = ("port", "protocol", "vpcId", "targetType", "healthCheck", "deregistrationDelay")
    autoname = Autoname(longest=32)
    tagged = True
    defaults = {"targetType": TARGET_KIND}
    replaces_on = dict.fromkeys(("name", "port", "protocol", "vpcId", "targetType"), TARGET_GROUP)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        made = aws("elbv2").create_target_group(
            Name=inputs["name"],
            TargetType=inputs.get("targetType", TARGET_KIND),
            **present(
                Port=inputs.get("port"),
                Protocol=inputs.get("protocol"),
                VpcId=inputs.get("vpcId"),
                Tags=_tags(inputs),
            ),
            **translate(inputs.get("healthCheck", {}), HEALTH_CHECK, "healthCheck"),
        )["TargetGroups"][0]
        _set_delay(aws, made["TargetGroupArn"], inputs)
        return Created(made["TargetGroupArn"], _target_outputs(made))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = aws("elbv2").describe_target_groups(TargetGroupArns=[identifier])["TargetGroups"][0]
        inputs = {
            "name": found["TargetGroupName"],
            "port": found.get("Port"),
            "protocol": found.get("Protocol"),
            "vpcId": found.get("VpcId"),
            "targetType": unless_default(found["TargetType"], TARGET_KIND, state.get("targetType")),
            "healthCheck": _health_check(found, state.get("healthCheck")),
            "deregistrationDelay": unless_default(
                _delay(aws, identifier), DELAY_SECONDS, state.get("deregistrationDelay")
            ),
            "tags": tags.of_elb(aws, identifier),
        }
        return Found(identifier, inputs, _target_outputs(found))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        if old.get("healthCheck") != new.get("healthCheck"):
            check = translate(new.get("healthCheck", {}), HEALTH_CHECK, "healthCheck")
            aws("elbv2").modify_target_group(TargetGroupArn=identifier, **check)
        if old.get("deregistrationDelay") != new.get("deregistrationDelay"):
            _set_delay(aws, identifier, {"deregistrationDelay": DELAY_SECONDS, **new})
        tags.set_elb(aws, identifier, old["tagsAll"], new["tagsAll"])
        return _target_outputs(aws("elbv2").describe_target_groups(TargetGroupArns=[identifier])["TargetGroups"][0])

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("elbv2").delete_target_group(TargetGroupArn=identifier)


class Listener(Resource):
    """A port of a load balancer, and where its requests go."""

    pulumi_type = "aws:lb/listener:Listener"
    required = ("loadBalancerArn", "defaultActions")
    optional = ("port", "protocol")
    tagged = True
    replaces_on = {"loadBalancerArn": LISTENER}
    computed = ("protocol",)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        made = aws("elbv2").create_listener(
            LoadBalancerArn=inputs["loadBalancerArn"], **present(Tags=_tags(inputs)), **_listener(inputs)
        )["Listeners"][0]
        return Created(made["ListenerArn"], {"arn": made["ListenerArn"]})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = aws("elbv2").describe_listeners(ListenerArns=[identifier])["Listeners"][0]
        inputs = {
            "loadBalancerArn": found["LoadBalancerArn"],
            "port": found.get("Port"),
            "protocol": found.get("Protocol"),
            "defaultActions": untranslate(found["DefaultActions"], ACTION),
            "tags": tags.of_elb(aws, identifier),
        }
        return Found(identifier, inputs, {"arn": identifier})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        changed = {key: value for key, value in new.items() if old.get(key) != value}
        aws("elbv2").modify_listener(ListenerArn=identifier, **_listener(changed))
        tags.set_elb(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {"arn": identifier}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("elbv2").delete_listener(ListenerArn=identifier)


def _tags(inputs: Properties) -> list[dict[str, str]] | None:
    """None for none: this service refuses an empty list."""
    return aws_tags(inputs["tagsAll"]) or None


def _balancer_outputs(balancer: Properties) -> Properties:
    arn = balancer["LoadBalancerArn"]
    return {
        "arn": arn,
        "arnSuffix": arn.partition(":loadbalancer/")[2],
        "dnsName": balancer["DNSName"],
        "vpcId": balancer["VpcId"],
        "zoneId": balancer["CanonicalHostedZoneId"],
    }


def _target_outputs(group: Properties) -> Properties:
    arn = group["TargetGroupArn"]
    return {"arn": arn, "arnSuffix": arn.rpartition(":")[2]}


def _listener(inputs: Properties) -> Properties:
    actions = inputs.get("defaultActions")
    return present(
        Port=inputs.get("port"),
        Protocol=inputs.get("protocol"),
        DefaultActions=None if actions is None else translate(actions, ACTION, "defaultActions"),
    )


def _health_check(found: Properties, known: Properties | None) -> Properties | None:
    """Of a target group's health check what the program names; all of it has defaults."""
    found = {**found, "Matcher": found.get("Matcher", {}).get("HttpCode")}
    check: dict[str, Any] = untranslate(found, HEALTH_CHECK)
    return {key: value for key, value in check.items() if known is None or key in known} or None


def _delay(aws: Aws, arn: str) -> int:
    attributes = aws("elbv2").describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    return next(int(each["Value"]) for each in attributes if each["Key"] == DELAY)


def _set_delay(aws: Aws, arn: str, inputs: Properties) -> None:
    if "deregistrationDelay" in inputs:
        attributes = [{"Key": DELAY, "Value": str(inputs["deregistrationDelay"])}]
        aws("elbv2").modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)


RESOURCES: tuple[type[Resource], ...] = (LoadBalancer, TargetGroup, Listener)
