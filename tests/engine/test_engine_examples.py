"""The components in other people's stacks: Python through the wheel, YAML and TypeScript through the plugin."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from tests.engine.example import Clone, Example, environment_with_wheel, need_language
from tests.plan.lab_api_server import ApiServer

BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"
"""What the examples give each role by a transform."""

Copy = Callable[[str], Example]


@pytest.fixture(scope="module")
def copy(pulumi: Cli, api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Copies an example."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.prepare(api.endpoint)
    return Clone(tmp_path_factory.mktemp("clone"), home, pulumi).copy


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> str:
    """As `expressway build --into` writes them; what is in them is machines' business."""
    folder = tmp_path_factory.mktemp("dist")
    for name in ("app.tar.gz", "runtime.tar.gz"):
        (folder / name).write_text(name)
    return str(folder)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel."""
    return environment_with_wheel(tmp_path_factory.mktemp("python"))


def groups(api: ApiServer) -> list[dict[str, str]]:
    """The Auto Scaling groups there are."""
    return api.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]


def boundaries(api: ApiServer, component: str) -> set[str]:
    """The permissions boundaries of a component's roles."""
    iam = api.client("iam")
    names = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith(component)]
    assert names, f"{component} has no role"
    roles = [iam.get_role(RoleName=name)["Role"] for name in names]
    return {role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "none") for role in roles}


def machines_of(api: ApiServer, group: str) -> list[dict[str, str]]:
    """The machines of an Auto Scaling group."""
    (found,) = [each for each in groups(api) if each["AutoScalingGroupName"] == group]
    return cast(Any, found)["Instances"]


def refusal(example: Example) -> str:
    """What a preview that can't be says: for people, with no stack of frames."""
    said = example.pulumi("preview", fails=True)
    assert "Traceback" not in said, said
    return said


def test_a_python_stack_puts_app_servers_into_the_vpc_of_another_stack(
    copy: Copy, python: Path, archives: str, api: ApiServer
) -> None:
    network, shop = copy("network-stack"), copy("python-stack")
    for each in (network, shop):
        each.use_python(python)
    shop.config(archives=archives)
    assert "Stack 'dev' is missing configuration value 'networkStack'" in refusal(shop)
    shop.pulumi("config", "set", "networkStack", "organization/network/dev")
    # Here the engine also interrupts the program, and Python prints where it was.
    assert 'unknown stack "organization/network/dev"' in shop.pulumi("preview", fails=True)
    network.config()
    # Three are missing; the first that is looked for is named, and that depends on how busy the machine is.
    missing = r"stack organization/network/dev has no output '(vpcId|(private|public)SubnetIds)': run `pulumi up` there"
    assert re.search(missing, refusal(shop))

    with network.up() as there, shop.up() as outputs:
        assert outputs["url"].startswith("http://198.51.100.")
        servers = [group for group in groups(api) if group["AutoScalingGroupName"].startswith("shop-app")]
        assert [group["VPCZoneIdentifier"].split(",") for group in servers] == [there["privateSubnetIds"]]


def test_app_servers_stand_behind_a_load_balancer_of_others(
    copy: Copy, python: Path, archives: str, api: ApiServer
) -> None:
    shop = copy("behind-an-alb")
    shop.use_python(python)
    shop.config(archives=archives)
    with shop.up() as outputs:
        elb, autoscaling = api.client("elbv2"), api.client("autoscaling")
        (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
        assert outputs["url"] == f"http://{balancer['DNSName']}"
        (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        target_group = listener["DefaultActions"][0]["TargetGroupArn"]

        name = outputs["groupName"]
        (group,) = [each for each in groups(api) if each["AutoScalingGroupName"] == name]
        assert (group["TargetGroupARNs"], group["HealthCheckType"]) == ([target_group], "ELB")
        waiting = machines_of(api, name)
        assert [each["LifecycleState"] for each in waiting] == ["Pending:Wait"] * 2, "until they are ready"
        for each in waiting:
            # As the machine does: expressway_machine/launch.py.
            autoscaling.complete_lifecycle_action(
                AutoScalingGroupName=name,
                LifecycleHookName="launch",
                InstanceId=each["InstanceId"],
                LifecycleActionResult="CONTINUE",
            )
        health = elb.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
        assert {each["Target"]["Id"] for each in health} == {each["InstanceId"] for each in waiting}
        assert boundaries(api, "shop-app") == {BOUNDARY}, "a transform reaches what a component makes"


def test_the_edge_stands_before_any_auto_scaling_group(copy: Copy, python: Path, api: ApiServer) -> None:
    hello = copy("edge-for-any-group")
    hello.use_python(python)
    hello.config()
    with hello.up() as outputs:
        assert outputs["url"].startswith("http://198.51.100.")
        (edge,) = [each for each in groups(api) if each["AutoScalingGroupName"].startswith("hello-edge")]
        (machine,) = machines_of(api, edge["AutoScalingGroupName"])
        found = api.client("ec2").describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute="userData")
        told = base64.b64decode(found["UserData"]["Value"]).decode()
        assert '"lifecycle_hooks": []' in told
        assert '"port": 8080' in told


def test_a_yaml_stack_uses_the_plugin(copy: Copy, archives: str, pulumi: Cli) -> None:
    need_language(pulumi, "yaml")
    shop = copy("yaml-stack")
    shop.pulumi("package", "add", "../../components")
    shop.config(archives=archives)
    with shop.up() as outputs:
        assert outputs["url"].startswith("http://198.51.100.")

    program = shop.folder / "Pulumi.yaml"
    program.write_text(program.read_text().replace("replicas: 0", "replicas: [0]"))
    said = shop.pulumi("preview", fails=True)
    assert "replicas: Cannot assign" in said, said


def test_a_typescript_stack_uses_the_plugin(copy: Copy, archives: str, pulumi: Cli, api: ApiServer) -> None:
    need_language(pulumi, "nodejs")
    shop = copy("typescript-stack")
    shop.pulumi("package", "add", "../../components")
    shop.pulumi("install")
    shop.config(archives=archives)
    with shop.up() as outputs:
        assert outputs["url"].startswith("http://198.51.100.")
        assert boundaries(api, "shop-app") == {BOUNDARY}, "a transform reaches what the plugin makes"

    program = shop.folder / "index.ts"
    text = program.read_text()
    program.write_text(text.replace("multiAz: false", 'multiAz: "no"'))
    line = text[: text.index("multiAz")].count("\n") + 1
    said = shop.pulumi("preview", fails=True)
    assert f"index.ts({line},3): error TS2322: Type 'string' is not assignable" in said, "TypeScript names the place"
    program.write_text(text.replace("multiAz: false", 'multiAz: "no" as any'))
    said = shop.pulumi("preview", fails=True)
    assert "multiAz: it must be true or false, and is a string" in said, said
