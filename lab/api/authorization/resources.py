"""Which resources a call is about, by ARN: the services that the stack's machines call.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.secretsmanager.models import secretsmanager_backends

from lab.api.authorization.calls import Call

EVERYTHING: Final = ("*",)
"""What a call is about that AWS can't restrict to resources."""

Place = tuple[str, str, str]
"""Partition, region and account."""


def resources(call: Call, place: Place) -> Sequence[str] | None:
    """The ARNs; None for a call of which the lab does not know it."""
    service, _, operation = call.action.partition(":")
    if service == "s3":
        return _s3(operation, call.parameters, place)
    finder = _FINDERS.get(call.action)
    if finder is not None:
        return finder(call.parameters, place)
    if service in ("ec2", "autoscaling") and operation.startswith("Describe"):
        return EVERYTHING
    if call.action == "cloudwatch:PutMetricData":
        return EVERYTHING
    return None


def _s3(operation: str, given: Mapping[str, Any], place: Place) -> Sequence[str]:
    bucket, key = given.get("Bucket"), given.get("Key")
    if bucket is None:
        return EVERYTHING
    arn = f"arn:{place[0]}:s3:::{bucket}"
    if operation == "DeleteObject" and key is None:
        return [f"{arn}/{each['Key']}" for each in given["Delete"]["Objects"]]
    return [arn if key is None else f"{arn}/{key}"]


def _parameter(name: str, place: Place) -> str:
    if name.startswith("arn:"):
        return name
    # A version or a label may follow the name.
    return f"{_arn('ssm', place)}:parameter/{name.partition(':')[0].removeprefix('/')}"


def _parameters(field: str) -> Callable[[Mapping[str, Any], Place], Sequence[str]]:
    def find(given: Mapping[str, Any], place: Place) -> Sequence[str]:
        value = given[field]
        return [_parameter(each, place) for each in (value if isinstance(value, list) else [value])]

    return find


def _secret(given: Mapping[str, Any], place: Place) -> Sequence[str]:
    identifier = given["SecretId"]
    secrets = secretsmanager_backends[place[2]][place[1]].secrets
    found = secrets.get(identifier)
    if found is not None:
        return [found.arn]
    return [identifier if identifier.startswith("arn:") else f"{_arn('secretsmanager', place)}:secret:{identifier}"]


def _group(given: Mapping[str, Any], place: Place) -> Sequence[str]:
    groups = autoscaling_backends[place[2]][place[1]].autoscaling_groups
    name = given.get("AutoScalingGroupName")
    members = {member.instance_id: group for group in groups.values() for member in group.instance_states}
    group = groups.get(name) if name else members.get(given.get("InstanceId", ""))
    if group is not None:
        return [group.arn]
    return [f"{_arn('autoscaling', place)}:autoScalingGroup:*:autoScalingGroupName/{name or '*'}"]


def _address_and_machine(given: Mapping[str, Any], place: Place) -> Sequence[str]:
    """An address that is associated: itself, and the machine and the interface that get it."""
    found = [f"elastic-ip/{given.get('AllocationId', '*')}"]
    instance, interface = given.get("InstanceId"), given.get("NetworkInterfaceId")
    backend = ec2_backends[place[2]][place[1]]
    known = next((each for each in backend.all_instances() if each.id == instance), None)
    if interface is None and known is not None:
        interface = known.nics[0].id
    found += [f"instance/{instance}"] if instance else []
    found += [f"network-interface/{interface}"] if interface else []
    return [f"{_arn('ec2', place)}:{each}" for each in found]


def _instances(given: Mapping[str, Any], place: Place) -> Sequence[str]:
    return [f"{_arn('ec2', place)}:instance/{each}" for each in given["InstanceIds"]]


def _queue(given: Mapping[str, Any], place: Place) -> Sequence[str]:
    name = given.get("QueueName") or given.get("QueueUrl", "*").rpartition("/")[2]
    return [f"{_arn('sqs', place)}:{name}"]


def _log_stream(given: Mapping[str, Any], place: Place) -> Sequence[str]:
    """The stream, by which AWS also judges its creation where a policy names the group and all that is in it."""
    return [f"{_arn('logs', place)}:log-group:{given['logGroupName']}:log-stream:{given['logStreamName']}"]


def _arn(service: str, place: Place) -> str:
    partition, region, account = place
    return f"arn:{partition}:{service}:{region}:{account}"


_FINDERS: Final[dict[str, Callable[[Mapping[str, Any], Place], Sequence[str]]]] = {
    "autoscaling:CompleteLifecycleAction": _group,
    "autoscaling:RecordLifecycleActionHeartbeat": _group,
    "autoscaling:SetDesiredCapacity": _group,
    "autoscaling:SetInstanceHealth": _group,
    "autoscaling:TerminateInstanceInAutoScalingGroup": _group,
    "ec2:AssociateAddress": _address_and_machine,
    "ec2:RebootInstances": _instances,
    "ec2:StartInstances": _instances,
    "ec2:StopInstances": _instances,
    "ec2:TerminateInstances": _instances,
    "logs:CreateLogStream": _log_stream,
    "logs:PutLogEvents": _log_stream,
    "secretsmanager:DescribeSecret": _secret,
    "secretsmanager:GetSecretValue": _secret,
    "secretsmanager:PutSecretValue": _secret,
    "sqs:ChangeMessageVisibility": _queue,
    "sqs:DeleteMessage": _queue,
    "sqs:GetQueueAttributes": _queue,
    "sqs:GetQueueUrl": _queue,
    "sqs:ReceiveMessage": _queue,
    "sqs:SendMessage": _queue,
    "ssm:GetParameter": _parameters("Name"),
    "ssm:GetParameters": _parameters("Names"),
    "ssm:GetParametersByPath": _parameters("Path"),
    "ssm:PutParameter": _parameters("Name"),
}
