"""Every example, applied by the real engine to a lab that has nothing else, ends with a URL that answers."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests

from lab import config
from lab.engine import pulumi_cli
from lab.engine.home import Home
from lab.network import addresses
from tests.dns_client import resolve
from tests.engine.example import Clone, environment_with_wheel, need_language
from tests.lab.stack import Stack, expressway, up

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.timeout(900)]

ANSWER_SECONDS = 300
"""Plain images: the machines install their packages meanwhile."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Stack]:
    """A lab that has nothing: a destroy has taken every machine away."""
    expressway("lab", "down")
    stack = up(engine="pulumi")
    destroyed = expressway("lab", "pulumi", "destroy", "--yes", "--skip-preview", seconds=300)
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    stack.await_machines(0)
    yield stack
    expressway("lab", "down")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample app's, and its runtime's."""
    into = tmp_path_factory.mktemp("dist")
    built = expressway("build", "--into", str(into))
    assert built.returncode == 0, built.stderr
    return into


@pytest.fixture(scope="module")
def clone(lab: Stack, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Copies examples, for the lab that is up."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.prepare(settled().endpoint)
    return Clone(tmp_path_factory.mktemp("clone"), home, pulumi_cli.find())


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel."""
    return environment_with_wheel(tmp_path_factory.mktemp("python"))


def settled() -> config.LabConfig:
    """Of the lab that is up."""
    found = config.read()
    assert found is not None, "there is no lab"
    return found


def get(url: str, seconds: float = 10) -> requests.Response:
    """As curl does with `--resolve`, for a name that only the lab's resolver knows."""
    name = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        IPv4Address(name)
        return request(name, name, seconds)
    _, found = resolve(name, addresses.DNS_SERVER)
    assert found, f"the lab's resolver knows no {name}"
    return request(found[0], name, seconds)


def request(address: str, host: str, seconds: float) -> requests.Response:
    """One request on a connection of its own, past any proxy."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://{address}/", headers={"Host": host}, timeout=seconds)


def answered(url: str) -> requests.Response:
    """The first good answer."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        with contextlib.suppress(requests.RequestException):
            answer = get(url)
            if answer.ok or time.monotonic() > deadline:
                return answer
        assert time.monotonic() < deadline, f"{url} does not answer: {expressway('lab', 'status').stdout}"
        time.sleep(0.5)


def test_python_stacks_answer(clone: Clone, python: Path, archives: Path) -> None:
    network, shop = clone.copy("network-stack"), clone.copy("python-stack")
    for each in (network, shop):
        each.use_python(python)
    network.config()
    shop.config(archives=str(archives), networkStack="organization/network/dev")
    with network.up(), shop.up() as outputs:
        assert answered(outputs["url"]).json()["app"] == "expressway"


def test_the_edge_before_a_group_of_others_answers(clone: Clone, python: Path) -> None:
    hello = clone.copy("edge-for-any-group")
    hello.use_python(python)
    hello.config()
    with hello.up() as outputs:
        assert "Directory listing" in answered(outputs["url"]).text, "what its machines serve"


@pytest.mark.parametrize(("name", "language"), [("yaml-stack", "yaml"), ("typescript-stack", "nodejs")])
def test_a_stack_by_the_plugin_answers(clone: Clone, archives: Path, name: str, language: str) -> None:
    need_language(pulumi_cli.find(), language)
    shop = clone.copy(name)
    shop.pulumi("package", "add", "../../components")
    shop.pulumi("install")
    shop.config(archives=str(archives))
    with shop.up() as outputs:
        assert answered(outputs["url"]).json()["app"] == "expressway"


@pytest.fixture(scope="module")
def alb(clone: Clone, python: Path, archives: Path) -> Iterator["Shop"]:
    """The example behind a load balancer of its own, as it answers."""
    shop = clone.copy("behind-an-alb")
    shop.use_python(python)
    shop.config(archives=str(archives))
    with shop.up() as outputs:
        assert answered(outputs["url"]).json()["app"] == "expressway"
        yield Shop(outputs)


class Shop:
    """The example behind an Application Load Balancer, as AWS's clients see it."""

    def __init__(self, outputs: Mapping[str, str]) -> None:
        self.url, self.group = outputs["url"], outputs["groupName"]
        self.elb, self.autoscaling, self.ec2 = (self._client(name) for name in ("elbv2", "autoscaling", "ec2"))

    def _client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"}
        return boto3.client(service, endpoint_url=settled().endpoint, region_name="us-east-1", **keys)

    def health(self) -> dict[str, tuple[str, str | None]]:
        (group,) = self.elb.describe_target_groups()["TargetGroups"]
        described = self.elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        return {
            each["Target"]["Id"]: (each["TargetHealth"]["State"], each["TargetHealth"].get("Reason"))
            for each in described["TargetHealthDescriptions"]
        }

    def answering(self) -> set[str]:
        """Who answers twenty requests."""
        return {get(self.url).json()["instance"] for _ in range(20)}

    def reachable(self) -> bool:
        """Whether a client gets an answer; packets that are dropped get none."""
        try:
            return get(self.url, seconds=1.5).ok
        except requests.ConnectionError:
            return False

    def take_rules(self, direction: str) -> Callable[[], None]:
        """Take all rules of a direction from the load balancer's group; what gives them back."""
        groups = self.ec2.describe_security_groups()["SecurityGroups"]
        (group,) = [each for each in groups if each["Description"] == "The load balancer"]
        rules = group["IpPermissionsEgress" if direction == "egress" else "IpPermissions"]
        getattr(self.ec2, f"revoke_security_group_{direction}")(GroupId=group["GroupId"], IpPermissions=rules)
        give = getattr(self.ec2, f"authorize_security_group_{direction}")
        return lambda: give(GroupId=group["GroupId"], IpPermissions=rules)

    @staticmethod
    def await_(holds: Callable[[], bool], message: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, message
            time.sleep(0.5)

    def await_health(
        self, holds: Callable[[dict[str, Any]], bool], seconds: float = 120
    ) -> dict[str, tuple[str, str | None]]:
        deadline = time.monotonic() + seconds
        while not holds(health := self.health()):
            assert time.monotonic() < deadline, health
            time.sleep(0.5)
        return health


def test_a_load_balancer_sends_requests_to_whom_its_probes_find_well(alb: Shop, lab: Stack) -> None:
    both = alb.await_health(lambda health: list(health.values()) == [("healthy", None)] * 2)
    assert alb.answering() == set(both), "each takes requests"
    failing, well = sorted(both)
    # Its grace period is over in ten minutes; until then nobody replaces it.
    assert lab.shell(failing, "systemctl", "stop", "expressway-app.service").returncode == 0
    alb.await_health(lambda health: health[failing] == ("unhealthy", "Target.FailedHealthChecks"))
    assert alb.answering() == {well}

    alb.autoscaling.update_auto_scaling_group(AutoScalingGroupName=alb.group, HealthCheckGracePeriod=0)
    alb.await_health(lambda health: health.get(failing, ("gone",))[0] == "draining")
    activities = alb.autoscaling.describe_scaling_activities(AutoScalingGroupName=alb.group)["Activities"]
    assert any("an ELB system health check failure" in activity["Cause"] for activity in activities), activities


def test_security_groups_are_between_clients_the_load_balancer_and_the_app(alb: Shop) -> None:
    give_back = alb.take_rules("ingress")
    alb.await_(lambda: not alb.reachable(), "clients still reach it")
    give_back()
    alb.await_(alb.reachable, "clients do not reach it again")
    # Not given back: a rule that the program doesn't know of would keep the app's group from being deleted, as on AWS.
    alb.take_rules("egress")
    alb.await_health(lambda health: ("unhealthy", "Target.Timeout") in health.values())
