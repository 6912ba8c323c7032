"""App servers and a load balancer in stacks that have neither the other nor anything else of these components."""

import base64
from pathlib import Path
from typing import Any, cast

import example_args
import pulumi
import pytest
from recording import Recording, record

from components import AppServers, LoadBalancer, Release

GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
TARGET_GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop/0123456789abcdef"
QUEUE = "arn:aws:iam::123456789012:policy/queue"

pytestmark = pytest.mark.usefixtures("user_data")


def app(**more: Any) -> Recording:
    return record(lambda: AppServers("app", cast(Any, {**example_args.app_servers(), **more})))


def edge(**targets: Any) -> Recording:
    args = cast(Any, example_args.load_balancer())
    changed = {**args, "targets": {**args["targets"], **targets}}
    return record(lambda: LoadBalancer("edge", cast(Any, changed)))


def hooks(made: Recording) -> list[str]:
    return [each["name"] for each in made.one(GROUP).inputs["initialLifecycleHooks"]]


def actions(made: Recording) -> set[str]:
    """All that the roles may do."""
    granted: set[str] = set()
    for policy in made.all("aws:iam/rolePolicy:RolePolicy"):
        for statement in made.statements(policy.name):
            action = statement["Action"]
            granted |= set(action) if isinstance(action, list) else {action}
    return granted


def test_behind_target_groups_the_load_balancer_decides_on_health() -> None:
    group = app(target_group_arns=[TARGET_GROUP]).one(GROUP).inputs
    assert group["targetGroupArns"] == [TARGET_GROUP]
    assert group["healthCheckType"] == "ELB"
    assert app().one(GROUP).inputs["healthCheckType"] == "EC2", "without one nobody else can tell"


@pytest.mark.parametrize("more", [{"target_group_arns": [TARGET_GROUP]}, {"launch_completed_by": "machine"}])
def test_without_an_edge_a_machine_completes_its_launch_and_nothing_waits_for_an_edge(more: dict[str, Any]) -> None:
    made = app(**more)
    assert hooks(made) == ["launch"], "nobody would complete one on terminating"
    assert made.machine("app")["launch_hook"] == "launch"
    (complete, ask) = made.statements("app-launch")
    arn = "arn:aws:autoscaling:us-east-1:123456789012:app-group"
    assert complete == {"Effect": "Allow", "Action": "autoscaling:CompleteLifecycleAction", "Resource": arn}
    assert ask["Action"] == "autoscaling:DescribeAutoScalingInstances"


@pytest.mark.parametrize("more", [{}, {"target_group_arns": [TARGET_GROUP], "launch_completed_by": "edge"}])
def test_with_an_edge_the_machine_leaves_the_hooks_to_it(more: dict[str, Any]) -> None:
    made = app(**more)
    assert hooks(made) == ["launch", "terminate"]
    assert made.machine("app")["launch_hook"] is None
    assert not {each for each in actions(made) if each.startswith("autoscaling:")}


def test_a_load_balancer_of_others_is_let_in_by_its_security_group() -> None:
    made = app(ingress={"alb": "sg-alb"}, port=8080)
    (rule,) = [each for each in made.all(INGRESS) if each.inputs["securityGroupId"] == "app-group-id"]
    assert rule.name == "app-from-alb"
    assert (rule.inputs["referencedSecurityGroupId"], rule.inputs["fromPort"], rule.inputs["toPort"]) == (
        "sg-alb",
        8080,
        8080,
    )
    assert not [each for each in made.all(EGRESS) if each.inputs["securityGroupId"] == "sg-alb"], "theirs to keep"


def test_the_app_may_call_out_where_it_is_said_and_nowhere_else() -> None:
    def open_to_all(made: Recording) -> set[int]:
        return {each.inputs["fromPort"] for each in made.all(EGRESS) if each.inputs.get("cidrIpv4") == "0.0.0.0/0"}

    assert open_to_all(app()) == {80, 443}
    assert open_to_all(app(outgoing_ports=[587, 3478])) == {80, 443, 587, 3478}
    assert {"app-to-587"} <= app(outgoing_ports=[587]).one(GROUP).depends_on, "open before the app starts"


@pytest.mark.parametrize("as_output", [False, True])
def test_machines_are_in_further_security_groups(as_output: bool) -> None:
    def program() -> None:
        further: Any = pulumi.Output.from_input(["sg-monitoring"]) if as_output else ["sg-monitoring"]
        AppServers("app", {**example_args.app_servers(), "security_group_ids": further})
        LoadBalancer("edge", {**example_args.load_balancer(), "security_group_ids": further})

    made = record(program)
    for name in ("app", "edge"):
        template = made.one(TEMPLATE, f"{name}-template").inputs
        assert template["vpcSecurityGroupIds"] == [f"{name}-group-id", "sg-monitoring"]


def test_the_role_is_an_output_to_add_to() -> None:
    def program() -> None:
        servers = AppServers("app", example_args.app_servers())
        pulumi.export("role", {"name": servers.role_name, "arn": servers.role_arn})

    assert record(program).outputs["role"] == {
        "name": "app-role",
        "arn": "arn:aws:iam:us-east-1:123456789012:app-role",
    }


def test_further_policies_are_attached_before_a_machine_starts() -> None:
    made = app(policy_arns={"queue": QUEUE})
    attachment = made.one("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert (attachment.name, attachment.inputs) == ("app-policy-queue", {"role": "app-role", "policyArn": QUEUE})
    assert "app-policy-queue" in made.one(GROUP).depends_on


def test_a_role_that_is_there_is_used_and_gets_what_the_machines_need() -> None:
    def program() -> None:
        AppServers("app", {**example_args.app_servers(), "role_name": "theirs"})
        LoadBalancer("edge", {**example_args.load_balancer(), "role_name": "theirs"})

    made = record(program)
    assert not made.all("aws:iam/role:Role")
    for name in ("app", "edge"):
        assert made.one("aws:iam/rolePolicy:RolePolicy", f"{name}-boot").inputs["role"] == "theirs"
        assert made.one("aws:iam/instanceProfile:InstanceProfile", f"{name}-profile").inputs["role"] == "theirs"


def test_the_apps_packages_are_installed_with_the_machines_own() -> None:
    def installed(*packages: str) -> str:
        user_data = app(packages=list(packages)).one(TEMPLATE).inputs["userData"]
        return base64.b64decode(user_data).decode().partition("packages=")[2].partition("\n")[0]

    assert installed() == "python3-boto3"
    assert installed("ffmpeg", "g++", "python3-boto3") == "python3-boto3 ffmpeg g++", "each once"


def test_monitoring_and_credits_are_as_aws_has_them_until_they_are_said() -> None:
    template = app().one(TEMPLATE).inputs
    assert "monitoring" not in template
    assert "creditSpecification" not in template
    template = app(detailed_monitoring=True, cpu_credits="standard").one(TEMPLATE).inputs
    assert template["monitoring"] == {"enabled": True}
    assert template["creditSpecification"] == {"cpuCredits": "standard"}


def test_only_burstable_types_have_credits() -> None:
    assert app(instance_type="t4g.small", cpu_credits="unlimited").one(TEMPLATE).inputs["creditSpecification"]
    with pytest.raises(pulumi.InputPropertiesError, match=r"m7i\.large must be a burstable type"):
        app(instance_type="m7i.large", cpu_credits="unlimited")


def test_targets_tell_the_edge_which_hooks_are_its() -> None:
    def program(**more: Any) -> Recording:
        def both() -> None:
            servers = AppServers("app", cast(Any, {**example_args.app_servers(), **more}))
            LoadBalancer("edge", {**example_args.load_balancer(), "targets": servers.targets})

        return record(both)

    assert program().machine("edge")["upstream"]["lifecycle_hooks"] == ["launch", "terminate"]
    assert program(launch_completed_by="machine").machine("edge")["upstream"]["lifecycle_hooks"] == []


def test_before_a_group_without_hooks_the_edge_may_complete_none() -> None:
    def completes(made: Recording) -> list[str]:
        statements = (each for policy in ("edge-boot", "edge-launch") for each in made.statements(policy))
        return [each["Resource"] for each in statements if "autoscaling:CompleteLifecycleAction" in each["Action"]]

    (own,) = completes(edge(lifecycle_hooks=[]))
    assert own.endswith(":edge-group"), "those of its own group"
    (_, same) = completes(edge())
    assert same == own


def test_a_load_balancer_by_itself_keeps_its_files_in_a_bucket_of_its_own() -> None:
    args = cast(Any, example_args.load_balancer())
    del args["bucket"], args["bucket_arn"]
    made = record(lambda: LoadBalancer("edge", args))
    bucket = made.one("aws:s3/bucket:Bucket")
    assert bucket.inputs["forceDestroy"] is True, "nothing but the component's own is in it"
    closed = made.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert closed["blockPublicPolicy"] is True
    uploaded = made.one("aws:s3/bucketObjectv2:BucketObjectv2", "edge-bundle")
    assert {"edge-versioning", "edge-tls-only"} <= uploaded.depends_on, "stored earlier, it would have no version"
    assert made.machine("edge")["bucket"] == "edge-bucket"
    (read,) = [each for each in made.statements("edge-boot") if each["Action"] == "s3:GetObject"]
    bundles = "arn:aws:s3:us-east-1:123456789012:edge-bucket/bundles/*"
    assert read["Resource"] == [bundles, bundles.replace("bundles", "reports/edge")]


def test_a_load_balancer_looks_up_the_arn_of_a_bucket_that_is_there() -> None:
    args = cast(Any, example_args.load_balancer())
    del args["bucket_arn"]
    made = record(lambda: LoadBalancer("edge", args))
    assert not made.all("aws:s3/bucket:Bucket")
    (read,) = [each for each in made.statements("edge-boot") if each["Action"] == "s3:GetObject"]
    assert read["Resource"][0] == "arn:aws:s3:::bucket/bundles/*"


def test_releases_may_go_into_a_bucket_that_is_there(tmp_path: Path) -> None:
    def program() -> None:
        release = Release("release", {**example_args.release(tmp_path), "bucket": "theirs"})
        AppServers("app", {**example_args.app_servers(), "release": release.access})

    made = record(program)
    assert not [key for key in made.resources if key[0].startswith("aws:s3/bucket") and "Object" not in key[0]]
    stored = {each.name: each.inputs["bucket"] for each in made.all("aws:s3/bucketObjectv2:BucketObjectv2")}
    assert stored == dict.fromkeys(("release-app", "release-runtime", "app-bundle"), "theirs")
    (read,) = [each for each in made.statements("app-boot") if each["Action"] == "s3:GetObject"]
    assert read["Resource"][0] == "arn:aws:s3:::theirs/bundles/*"
