"""The policies of the machines' roles are enforced: by action, by resource, in AWS's words."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.plan.applied_stack import Applied
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, Fleet, eventually, hook
from tests.plan.machine_session import MachineSession, assume, with_permissions

HERE = "us-east-1:123456789012"


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, int, str]:
    """Code, HTTP status and message of the refusal of a call."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def role_of(applied: Applied, tier: str) -> MachineSession:
    """A machine of the real program's `tier`, through the instance profile that its launch template names."""
    instance = applied.instances(tier)[0]
    name = instance["IamInstanceProfile"]["Arn"].rpartition("/")[2]
    profile = applied.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return assume(applied.api, profile["Roles"][0]["RoleName"], instance["InstanceId"])


@pytest.fixture(scope="module")
def bucket(api: ApiServer) -> str:
    name = f"authorization-{uuid.uuid4().hex[:8]}"
    api.client("s3").create_bucket(Bucket=name)
    for key in ("bundles/a", "private/a"):
        api.client("s3").put_object(Bucket=name, Key=key, Body=b"content")
    return name


def test_an_object_is_read_where_a_statement_covers_it_and_refused_in_s3s_words_elsewhere(
    api: ApiServer, bucket: str
) -> None:
    machine = with_permissions(api, [{"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/bundles/*"}])
    s3 = machine.client("s3")
    assert s3.get_object(Bucket=bucket, Key="bundles/a")["Body"].read() == b"content"
    assert refusal(s3.get_object, Bucket=bucket, Key="private/a") == (
        "AccessDenied",
        403,
        f"User: {machine.arn} is not authorized to perform: s3:GetObject on resource: "
        f'"arn:aws:s3:::{bucket}/private/a" because no identity-based policy allows the s3:GetObject action',
    )
    assert refusal(s3.put_object, Bucket=bucket, Key="bundles/a", Body=b"other")[0] == "AccessDenied"
    assert refusal(s3.list_objects_v2, Bucket=bucket)[2].count("s3:ListBucket") == 2
    assert refusal(s3.head_object, Bucket=bucket, Key="private/a")[:2] == ("403", 403), "HEAD has no body to say more"
    assert refusal(s3.list_buckets)[2].count("s3:ListAllMyBuckets") == 2


def test_only_who_may_list_a_bucket_learns_that_an_object_is_missing(api: ApiServer, bucket: str) -> None:
    arn = f"arn:aws:s3:::{bucket}"
    reads = {"Action": "s3:GetObject", "Resource": f"{arn}/*"}
    blind = with_permissions(api, [reads]).client("s3")
    code, status, message = refusal(blind.get_object, Bucket=bucket, Key="bundles/none")
    assert (code, status) == ("AccessDenied", 403), "a machine can't tell a missing bundle from a forbidden one"
    assert "s3:ListBucket" in message, message
    seeing = with_permissions(api, [reads, {"Action": "s3:ListBucket", "Resource": arn}]).client("s3")
    assert refusal(seeing.get_object, Bucket=bucket, Key="bundles/none")[0] == "NoSuchKey"


def test_a_parameter_is_read_by_its_own_arn(api: ApiServer) -> None:
    for name in ("/auth/release", "/auth/other"):
        api.client("ssm").put_parameter(Name=name, Type="String", Value="v", Overwrite=True)
    allowed = {"Action": "ssm:GetParameter", "Resource": f"arn:aws:ssm:{HERE}:parameter/auth/release"}
    machine = with_permissions(api, [allowed])
    ssm = machine.client("ssm")
    assert ssm.get_parameter(Name="/auth/release")["Parameter"]["Value"] == "v"
    assert ssm.get_parameter(Name="/auth/release:1")["Parameter"]["Value"] == "v", "a version is no other parameter"
    assert refusal(ssm.get_parameter, Name="/auth/other") == (
        "AccessDeniedException",
        400,
        f"User: {machine.arn} is not authorized to perform: ssm:GetParameter on resource: "
        f"arn:aws:ssm:{HERE}:parameter/auth/other because no identity-based policy allows the ssm:GetParameter action",
    )
    assert refusal(ssm.get_parameters, Names=["/auth/release"])[0] == "AccessDeniedException", "another action"


@pytest.mark.parametrize("by", ["ARN", "Name"])
def test_a_secret_is_read_by_its_own_arn_however_it_is_named(api: ApiServer, by: str) -> None:
    manager = api.client("secretsmanager")
    mine, other = (manager.create_secret(Name=uuid.uuid4().hex, SecretString="s") for _ in range(2))
    machine = with_permissions(api, [{"Action": "secretsmanager:GetSecretValue", "Resource": mine["ARN"]}])
    secrets = machine.client("secretsmanager")
    assert secrets.get_secret_value(SecretId=mine[by])["SecretString"] == "s"
    code, status, message = refusal(secrets.get_secret_value, SecretId=other[by])
    assert (code, status) == ("AccessDeniedException", 400), message
    assert f"on resource: {other['ARN']} because" in message, message
    assert refusal(secrets.put_secret_value, SecretId=mine[by], SecretString="x")[0] == "AccessDeniedException"


def test_a_lifecycle_action_is_completed_by_whoever_may_on_that_group(api: ApiServer) -> None:
    fleet = Fleet(api)
    mine, other = (fleet.create(1, hook(LAUNCHING)) for _ in range(2))
    try:
        for group in (mine, other):
            eventually(lambda group=group: fleet.states(group) == ["Pending:Wait"], f"{group} waits for its hook")
        arn = fleet.describe(mine)["AutoScalingGroupARN"]
        machine = with_permissions(api, [{"Action": "autoscaling:CompleteLifecycleAction", "Resource": arn}])
        autoscaling = machine.client("autoscaling")

        def complete(group: str) -> dict[str, Any]:
            return {
                "AutoScalingGroupName": group,
                "LifecycleHookName": "hook",
                "InstanceId": fleet.ids(group).pop(),
                "LifecycleActionResult": "CONTINUE",
            }

        autoscaling.complete_lifecycle_action(**complete(mine))
        assert fleet.states(mine) == ["InService"]
        code, status, message = refusal(autoscaling.complete_lifecycle_action, **complete(other))
        assert (code, status) == ("AccessDenied", 403), message
        assert f"on resource: {fleet.describe(other)['AutoScalingGroupARN']} because" in message, message
        assert fleet.states(other) == ["Pending:Wait"], "what is refused is not done"
        assert refusal(autoscaling.describe_auto_scaling_groups) == (
            "AccessDenied",
            403,
            f"User: {machine.arn} is not authorized to perform: autoscaling:DescribeAutoScalingGroups "
            "because no identity-based policy allows the autoscaling:DescribeAutoScalingGroups action",
        )
    finally:
        fleet.clean_up()


@pytest.mark.parametrize("missing", ["elastic-ip", "instance", "network-interface"])
def test_an_address_is_associated_by_whoever_may_for_address_machine_and_interface(
    api: ApiServer, missing: str
) -> None:
    fleet = Fleet(api)
    group = fleet.create(1, VPCZoneIdentifier=fleet.public)
    try:
        instance = fleet.ids(group).pop()
        address = fleet.ec2.allocate_address(Domain="vpc")["AllocationId"]
        kinds = {kind: f"arn:aws:ec2:{HERE}:{kind}/*" for kind in ("instance", "network-interface")}
        kinds["elastic-ip"] = f"arn:aws:ec2:{HERE}:elastic-ip/{address}"

        def ec2(resources: list[str]) -> Any:
            return with_permissions(api, [{"Action": "ec2:AssociateAddress", "Resource": resources}]).client("ec2")

        wanted = {"AllocationId": address, "InstanceId": instance}
        without = [arn for kind, arn in kinds.items() if kind != missing]
        code, status, message = refusal(ec2(without).associate_address, **wanted)
        assert (code, status) == ("UnauthorizedOperation", 403), message
        assert message.startswith("You are not authorized to perform this operation. User: arn:aws:sts:"), message
        assert f"arn:aws:ec2:{HERE}:{missing}/" in message, message
        ec2(list(kinds.values())).associate_address(**wanted)
    finally:
        fleet.clean_up()


def test_describing_needs_a_permission_on_everything(api: ApiServer) -> None:
    one = f"arn:aws:ec2:{HERE}:instance/i-1"
    narrow = with_permissions(api, [{"Action": "ec2:DescribeInstances", "Resource": one}])
    code, status, message = refusal(narrow.client("ec2").describe_instances)
    assert (code, status) == ("UnauthorizedOperation", 403), "AWS can't restrict it to resources"
    assert "on resource" not in message, message
    wide = with_permissions(api, [{"Action": "ec2:DescribeInstances", "Resource": "*"}])
    assert wide.client("ec2").describe_instances()["Reservations"] is not None


@pytest.mark.parametrize(
    ("service", "call", "action"),
    [
        ("service-quotas", "list_aws_default_service_quotas", "servicequotas:ListAWSDefaultServiceQuotas"),
        ("cloudwatch", "list_metrics", "cloudwatch:ListMetrics"),
        ("rds", "describe_db_instances", "rds:DescribeDBInstances"),
        ("sqs", "list_queues", "sqs:ListQueues"),
    ],
)
def test_a_service_is_known_by_iams_name_whatever_its_requests_are_signed_for(
    api: ApiServer, service: str, call: str, action: str
) -> None:
    given = {"ServiceCode": "vpc"} if service == "service-quotas" else {}
    _, _, message = refusal(getattr(with_permissions(api, []).client(service), call), **given)
    assert f"is not authorized to perform: {action} because" in message, message
    allowed = with_permissions(api, [{"Action": action, "Resource": "*"}])
    getattr(allowed.client(service), call)(**given)


def test_a_role_without_policies_may_learn_who_it_is_and_nothing_else(api: ApiServer) -> None:
    machine = with_permissions(api, [])
    assert machine.client("sts").get_caller_identity()["Arn"] == machine.arn
    assert refusal(machine.client("iam").list_roles)[0] == "AccessDenied"
    assert refusal(machine.client("rds").describe_db_instances)[0] == "AccessDenied"


def test_a_policy_that_is_attached_counts_as_one_that_is_written_into_the_role(api: ApiServer) -> None:
    machine, iam = with_permissions(api, []), api.client("iam")
    role = machine.arn.split("/")[1]
    statement = {"Effect": "Allow", "Action": "ec2:DescribeAddresses", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    policy = iam.create_policy(PolicyName=role, PolicyDocument=document)["Policy"]["Arn"]
    ec2 = machine.client("ec2")
    assert refusal(ec2.describe_addresses)[0] == "UnauthorizedOperation"
    iam.attach_role_policy(RoleName=role, PolicyArn=policy)
    ec2.describe_addresses()
    iam.detach_role_policy(RoleName=role, PolicyArn=policy)
    assert refusal(ec2.describe_addresses)[0] == "UnauthorizedOperation", "what is taken away counts at once"


def test_an_iam_user_may_do_what_its_policies_say(api: ApiServer) -> None:
    iam, name = api.client("iam"), uuid.uuid4().hex
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    user = MachineSession(api, f"arn:aws:iam::123456789012:user/{name}", keys)
    _, _, message = refusal(user.client("ec2").describe_vpcs)
    assert f"User: {user.arn} is not authorized" in message, message
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    user.client("ec2").describe_vpcs()


def test_a_policy_that_cannot_be_judged_is_an_error_that_says_so(api: ApiServer) -> None:
    tagged = {"Condition": {"StringEquals": {"aws:ResourceTag/stack": "lab"}}}
    machine = with_permissions(api, [{"Action": "ec2:DescribeAddresses", "Resource": "*"} | tagged])
    code, status, message = refusal(machine.client("ec2").describe_addresses)
    assert (code, status) == ("NotImplemented", 501), message
    assert "aws:ResourceTag/stack" in message, message


def test_the_programs_roles_may_do_what_their_machines_do_and_no_more(applied: Applied) -> None:
    app, edge = role_of(applied, "app"), role_of(applied, "edge")
    bucket, parameter = applied.outputs["artifactBucket"], applied.outputs["releaseParameter"]
    stored = applied.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    release = next(each["Key"] for each in stored if each["Key"].startswith("releases/"))
    app.client("s3").get_object(Bucket=bucket, Key=release)
    app.client("ssm").get_parameter(Name=parameter)
    assert refusal(edge.client("s3").get_object, Bucket=bucket, Key=release)[0] == "AccessDenied"
    assert refusal(edge.client("ssm").get_parameter, Name=parameter)[0] == "AccessDeniedException"
    for secret in applied.client("secretsmanager").list_secrets()["SecretList"]:
        value = {"SecretId": secret["ARN"]}
        assert refusal(edge.client("secretsmanager").get_secret_value, **value)[0] == "AccessDeniedException"
    edge.client("autoscaling").describe_auto_scaling_groups()
    assert refusal(app.client("autoscaling").describe_auto_scaling_groups)[0] == "AccessDenied"
    assert refusal(app.client("s3").put_object, Bucket=bucket, Key=release, Body=b"evil")[0] == "AccessDenied"


def test_the_labs_own_keys_may_do_everything_and_count_as_no_use(api: ApiServer, applied: Applied) -> None:
    role = role_of(applied, "edge").arn.split("/")[1]

    def counted() -> list[dict[str, Any]]:
        return [each for each in api.control("permissions") if each["role"] == role]

    before = counted()
    assert before, "the role's statements are listed, used or not"
    assert any("autoscaling:CompleteLifecycleAction" in each["actions"] for each in before), before
    api.client("autoscaling").describe_auto_scaling_groups()
    assert counted() == before
    role_of(applied, "edge").client("autoscaling").describe_auto_scaling_groups()
    assert counted() != before, "what a machine does is counted"


def test_a_machine_writes_to_the_group_that_its_policy_names_and_to_no_other(api: ApiServer) -> None:
    for group in ("own-logs", "others-logs"):
        api.client("logs").create_log_group(logGroupName=group)
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    logs = with_permissions(api, [{"Action": actions, "Resource": f"arn:aws:logs:{HERE}:log-group:own-logs:*"}]).client(
        "logs"
    )
    logs.create_log_stream(logGroupName="own-logs", logStreamName="i-1/app")
    events = [{"timestamp": int(time.time() * 1000), "message": "mine"}]
    logs.put_log_events(logGroupName="own-logs", logStreamName="i-1/app", logEvents=events)
    for call, given in ((logs.create_log_stream, {}), (logs.put_log_events, {"logEvents": events})):
        code, _, said = refusal(call, logGroupName="others-logs", logStreamName="i-1/app", **given)
        assert code == "AccessDeniedException", said
    assert refusal(logs.filter_log_events, logGroupName="own-logs")[0] == "AccessDeniedException", "it reads none"


def test_a_metric_is_published_in_the_namespace_that_a_condition_names_and_in_no_other(api: ApiServer) -> None:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html
    condition = {"StringEquals": {"cloudwatch:namespace": "Expressway"}}
    allowed = {"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": condition}
    cloudwatch = with_permissions(api, [allowed]).client("cloudwatch")
    data = [{"MetricName": "RequestsPerServer", "Value": 12.5, "StorageResolution": 1}]
    cloudwatch.put_metric_data(Namespace="Expressway", MetricData=data)
    code, _, said = refusal(cloudwatch.put_metric_data, Namespace="Other", MetricData=data)
    # With the suffix in CloudWatch's JSON, and without in its older protocol.
    assert code.startswith("AccessDenied")
    assert "cloudwatch:PutMetricData" in said
