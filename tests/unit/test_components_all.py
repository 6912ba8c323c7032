"""What is true of every component: usable twice, from any language, with values that aren't known yet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import example_args
import pulumi
import pytest
from pulumi.provider.experimental.analyzer import Analyzer
from recording import Recording, record, unknown

import components
from components import AppServers, Cache, Database, LoadBalancer, Monitoring, Network, Release
from components._plugin import COMPONENTS, Plugin
from components.planning import NAME_LIMITS

CLASSES = list(COMPONENTS)
KINDS = [each.__name__ for each in CLASSES]

pytestmark = pytest.mark.usefixtures("user_data")


def make(kind: str, name: str, folder: Path, value: Callable[[], Any] = lambda: "given") -> pulumi.ComponentResource:
    """One component with its example arguments."""
    if kind == "AppServers":
        return AppServers(name, example_args.app_servers(value()))
    if kind == "LoadBalancer":
        return LoadBalancer(name, example_args.load_balancer(value()))
    if kind == "Database":
        return Database(name, example_args.database(value()))
    if kind == "Cache":
        return Cache(name, example_args.cache(value()))
    if kind == "Monitoring":
        return Monitoring(name, example_args.monitoring(value()))
    if kind == "Release":
        return Release(name, example_args.release(folder))
    return Network(name, {})


def registered(made: Recording) -> set[tuple[str, str]]:
    return {key for key in made.resources if key[0].startswith("aws:")}


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_each_live_in_one_stack(kind: str, tmp_path: Path) -> None:
    one = record(lambda: make(kind, "one", tmp_path))

    def both() -> None:
        make(kind, "one", tmp_path)
        make(kind, "two", tmp_path)

    two = record(both)  # a repeated URN fails inside
    assert len(registered(two)) == 2 * len(registered(one)), "the second has all that the first has"


@pytest.mark.parametrize("kind", KINDS)
def test_every_resource_is_its_components_child_and_named_after_it(kind: str, tmp_path: Path) -> None:
    made = record(lambda: make(kind, "mine", tmp_path))
    own = [each for each in made.resources.values() if each.type.startswith("aws:")]
    assert own, "it makes something"
    assert {each.parent for each in own} == {"mine"}, "a resource outside its component would survive it"
    assert [each.name for each in own if not each.name.startswith("mine-")] == []
    # A hook's name tells it from its group's others, and from nobody else's. The database's log group has RDS's name.
    theirs = (":LifecycleHook", ":LogGroup")
    named = [each.name for each in own if "name" in each.inputs and not each.type.endswith(theirs)]
    assert named == [], "physical names are Pulumi's to choose"


@pytest.mark.parametrize("kind", KINDS)
def test_it_previews_with_nothing_known(kind: str, tmp_path: Path) -> None:
    known = record(lambda: make(kind, "mine", tmp_path))
    preview = record(lambda: make(kind, "mine", tmp_path, unknown), preview=True)
    assert registered(preview) == registered(known), "a preview must show every resource that an update makes"


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_host_makes_the_same_of_the_same_arguments(kind: str, tmp_path: Path) -> None:
    """A program in another language reaches the component through the host, as plain camelCase mappings."""
    direct = record(lambda: make(kind, "mine", tmp_path))
    arguments: dict[str, Any] = {
        "AppServers": example_args.app_servers(),
        "Cache": example_args.cache(),
        "Database": example_args.database(),
        "LoadBalancer": example_args.load_balancer(),
        "Monitoring": example_args.monitoring(),
        "Network": {},
        "Release": example_args.release(tmp_path),
    }
    host = Plugin(CLASSES, "1.0.0")
    hosted = record(lambda: host.construct("mine", f"expressway:index:{kind}", example_args.camel(arguments[kind])))
    assert registered(hosted) == registered(direct)
    for key in registered(direct):
        left, right = dict(direct.resources[key].inputs), dict(hosted.resources[key].inputs)
        for inputs in (left, right):
            inputs.pop("source", None)  # an asset equals only itself
            inputs.pop("finalSnapshotIdentifier", None)  # drawn for each instance
        assert left == right, f"{key} differs"


def test_every_argument_and_output_is_described() -> None:
    analyzed = Analyzer("expressway").analyze(CLASSES)
    bare: list[str] = []
    for kind, component in analyzed["component_definitions"].items():
        assert component.description, f"{kind} has no docstring"
        properties = {**component.inputs, **component.outputs}
        bare += [f"{kind}.{name}" for name, each in properties.items() if not each.description]
    for kind, nested in analyzed["type_definitions"].items():
        bare += [f"{kind}.{name}" for name, each in nested.properties.items() if not each.description]
    assert not bare, "these docstrings are the SDKs' documentation in every language"


def test_outputs_are_registered_under_the_names_that_are_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, set[str]] = {}

    def keep(self: pulumi.ComponentResource, outputs: dict[str, Any]) -> None:
        given[type(self).__name__] = set(outputs)

    monkeypatch.setattr(pulumi.ComponentResource, "register_outputs", keep)
    for kind in KINDS:
        record(lambda kind=kind: make(kind, "mine", tmp_path))
    declared = {each.__name__: set(each.__annotations__) for each in CLASSES}
    given.pop("Stack")  # Pulumi's own
    assert given == declared


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_refused_from_where_aws_would_refuse_it(kind: str, tmp_path: Path) -> None:
    longest = "n" * NAME_LIMITS[kind]
    made = record(lambda: make(kind, longest, tmp_path))
    for (token, name), _ in made.resources.items():
        limit = AWS_LIMITS.get(token)
        assert limit is None or len(name) + len("-1234567") <= limit, f"{token} {name} is too long for AWS"
    with pytest.raises(pulumi.InputPropertiesError, match="at most"):
        record(lambda: make(kind, f"{longest}n", tmp_path))


AWS_LIMITS = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": 255,
    "aws:sns/topic:Topic": 256,
    "aws:autoscaling/group:Group": 255,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:elasticache/parameterGroup:ParameterGroup": 255,
    "aws:elasticache/replicationGroup:ReplicationGroup": 40,
    "aws:elasticache/subnetGroup:SubnetGroup": 255,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:iam/role:Role": 64,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:rds/cluster:Cluster": 63,
    "aws:rds/clusterInstance:ClusterInstance": 63,
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": 255,
    "aws:rds/instance:Instance": 63,
    "aws:rds/parameterGroup:ParameterGroup": 255,
    "aws:rds/subnetGroup:SubnetGroup": 255,
    "aws:s3/bucket:Bucket": 63,
    "aws:secretsmanager/secret:Secret": 512,
    "aws:ssm/parameter:Parameter": 1011,
}
"""Most characters in a physical name."""


@pytest.mark.parametrize("name", ["Upper", "under_score", "double--hyphen", "9starts-with-digit", "ends-"])
def test_a_name_that_some_aws_service_refuses_is_refused_here(name: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match="lower-case letters"):
        record(lambda: Network(name, {}))


def test_the_public_surface_is_the_components_and_their_arguments() -> None:
    assert set(KINDS) < set(components.__all__)
    assert {each for each in components.__all__ if each not in KINDS and not each.endswith("Args")} == set()
