"""The components in other people's stacks: Python through the wheel, YAML and TypeScript through the plugin."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from tests.engine.example import SKIPPED, Example, need_language
from tests.fresh_environment import ROOT, build_wheel, install, make_environment
from tests.plan.lab_api_server import ApiServer

Copy = Callable[[str], Example]


@pytest.fixture(scope="module")
def copy(pulumi: Cli, api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Copies an example; all of them share one home, so that a stack can refer to another."""
    folder = tmp_path_factory.mktemp("clone")
    for room in ("components", "user_data"):
        shutil.copytree(ROOT / room, folder / room, ignore=SKIPPED)
    home = Home(tmp_path_factory.mktemp("home"))
    home.prepare(api.endpoint)
    return lambda name: Example(name, folder, home, pulumi)


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
    made = make_environment(tmp_path_factory.mktemp("python") / "venv")
    install(made, build_wheel(tmp_path_factory.mktemp("wheel")))
    return made


def groups(api: ApiServer) -> list[dict[str, str]]:
    """The Auto Scaling groups there are."""
    return api.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]


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
    assert "stack organization/network/dev has no output 'vpcId': run `pulumi up` there first" in refusal(shop)

    with network.up() as there, shop.up() as outputs:
        assert outputs["url"].startswith("http://198.51.100.")
        servers = [group for group in groups(api) if group["AutoScalingGroupName"].startswith("shop-app")]
        assert [group["VPCZoneIdentifier"].split(",") for group in servers] == [there["privateSubnetIds"]]


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


def test_a_typescript_stack_uses_the_plugin(copy: Copy, archives: str, pulumi: Cli) -> None:
    need_language(pulumi, "nodejs")
    shop = copy("typescript-stack")
    shop.pulumi("package", "add", "../../components")
    shop.pulumi("install")
    shop.config(archives=archives)
    with shop.up() as outputs:
        assert outputs["url"].startswith("http://198.51.100.")

    program = shop.folder / "index.ts"
    text = program.read_text()
    program.write_text(text.replace("multiAz: false", 'multiAz: "no"'))
    line = text[: text.index("multiAz")].count("\n") + 1
    said = shop.pulumi("preview", fails=True)
    assert f"index.ts({line},3): error TS2322: Type 'string' is not assignable" in said, "TypeScript names the place"
    program.write_text(text.replace("multiAz: false", 'multiAz: "no" as any'))
    said = shop.pulumi("preview", fails=True)
    assert "multiAz: it must be true or false, and is a string" in said, said
