"""The components' plugin, as the engine runs it: a process, its schema and its Construct call."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

import components
from tests.paths import ROOT
from tests.plan.component_host import ComponentHost, ConstructError, output, running_host
from tests.unit import example_args
from tests.unit.recording import Recording, record

SCHEMA = ROOT / "docs" / "reference" / "schema.json"
ARGUMENTS: dict[str, Callable[[Path], Any]] = {
    "AppServers": lambda _: example_args.app_servers(),
    "Cache": lambda _: example_args.cache(),
    "Database": lambda _: example_args.database(),
    "LoadBalancer": lambda _: example_args.load_balancer(),
    "Network": lambda _: {"zones": 3},
    "Release": example_args.release,
}
EDGE: dict[str, Any] = {
    "vpcId": "vpc-1",
    "subnetIds": ["subnet-a", "subnet-b"],
    "bucket": "bucket",
    "bucketArn": "arn:aws:s3:::bucket",
    "targets": {"groupName": "g", "groupArn": "arn:aws:autoscaling:g", "securityGroupId": "sg-1", "port": 8080},
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComponentHost]:
    """One plugin for all of these tests, as the engine keeps one for a program."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, running_host(cache) as running:
        patch.setenv("EXPRESSWAY_CACHE", str(cache))
        yield running


def edge(**changes: Any) -> dict[str, Any]:
    """A load balancer's arguments, those of its targets as `targets__port`."""
    targets = {name.removeprefix("targets__"): value for name, value in changes.items() if name.startswith("targets__")}
    others = {name: value for name, value in changes.items() if not name.startswith("targets__")}
    return {**EDGE, **others, "targets": {**EDGE["targets"], **targets}} if targets else {**EDGE, **others}


def told(made: Recording, name: str) -> dict[str, Any]:
    """machine.json of the real user data."""
    template = made.one("aws:ec2/launchTemplate:LaunchTemplate", f"{name}-template")
    config = yaml.safe_load(base64.b64decode(template.inputs["userData"]))
    (file,) = [each for each in config["write_files"] if each["path"] == "/etc/expressway/machine.json"]
    return json.loads(file["content"])


def test_the_schema_is_the_published_one(host: ComponentHost) -> None:
    assert json.loads(host.schema()) == json.loads(SCHEMA.read_text()), "what SDKs are made of; make docs renews it"


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_the_plugin_makes_the_same_as_a_python_program(host: ComponentHost, kind: str, tmp_path: Path) -> None:
    arguments = ARGUMENTS[kind](tmp_path)
    component: Callable[..., pulumi.ComponentResource] = getattr(components, kind)
    direct = record(lambda: component("mine", arguments))
    made = host.construct(kind, "mine", example_args.camel(arguments))
    assert made.recording.resources.keys() == direct.resources.keys()
    for key, expected in direct.resources.items():
        if key[0].startswith("aws:"):
            found = made.recording.resources[key].inputs
            # Files have other paths, and the name of a last snapshot is drawn.
            own = dict.fromkeys({"source", "finalSnapshotIdentifier"} & found.keys())
            assert {**found, **own} == {**expected.inputs, **own}, key
    outputs = json.loads(SCHEMA.read_text())["resources"][f"expressway:index:{kind}"]["properties"]
    assert made.state.keys() == outputs.keys(), "every output that the schema promises"


@pytest.mark.parametrize("port", [8080, output(8080)])
def test_a_number_arrives_as_one_that_nginx_takes(host: ComponentHost, port: Any) -> None:
    made = host.construct("LoadBalancer", "edge", edge(targets__port=port))
    assert '"port": 8080,' in json.dumps(told(made.recording, "edge")["upstream"])


def test_a_preview_knows_nothing_of_other_resources(host: ComponentHost) -> None:
    unknown = output(None)
    values = {"vpcId": unknown, "subnetIds": unknown, "bucket": unknown, "bucketArn": unknown}
    made = host.construct("LoadBalancer", "edge", edge(**values, targets__port=unknown), preview=True)
    assert len(made.recording.all("aws:autoscaling/group:Group")) == 1


HANDED_ON = [
    ("Database", "access", "AppServers", "database"),
    ("Cache", "access", "AppServers", "cache"),
    ("Release", "access", "AppServers", "release"),
    ("AppServers", "targets", "LoadBalancer", "targets"),
]


@pytest.mark.parametrize(("giver", "handed", "taker", "argument"), HANDED_ON)
def test_what_one_component_hands_on_is_an_argument_of_the_next(
    host: ComponentHost, giver: str, handed: str, taker: str, argument: str, tmp_path: Path
) -> None:
    """As YAML's `${database.access}` and TypeScript's `database.access` hand it on: one output."""
    whole = host.construct(giver, "theirs", example_args.camel(ARGUMENTS[giver](tmp_path))).state[handed]
    arguments = example_args.camel(ARGUMENTS[taker](tmp_path))
    by_hand = host.construct(taker, "mine", {**arguments, argument: whole}).recording.resources
    as_output = host.construct(taker, "mine", {**arguments, argument: output(whole)}).recording.resources
    assert as_output.keys() == by_hand.keys()
    for key, expected in by_hand.items():
        if key[0].startswith("aws:"):
            assert {**as_output[key].inputs, "source": None} == {**expected.inputs, "source": None}, key

    preview = host.construct(taker, "mine", {**arguments, argument: output(None)}, preview=True)
    assert preview.recording.resources.keys() == by_hand.keys(), "all of it shows while nothing of it is known"


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("LoadBalancer", edge(vpcid="vpc-1"), "vpcid: there is no such argument. Did you mean vpcId?"),
        ("LoadBalancer", edge(targets__ports=1), "targets.ports: there is no such argument. Did you mean port?"),
        ("LoadBalancer", edge(vpcId=None), "vpcId: it is missing"),
        ("LoadBalancer", edge(vpcId=["vpc-1"]), "vpcId: it must be a string, and is a list"),
        ("LoadBalancer", edge(subnetIds="subnet-a"), "subnetIds: it must be a list, and is a string"),
        ("LoadBalancer", edge(subnetIds=["a", 1]), "subnetIds[1]: it must be a string, and is a number"),
        ("LoadBalancer", edge(volumeSize="ten"), "volumeSize: it must be a whole number, and is a string"),
        ("LoadBalancer", edge(targets__port=80.5), "targets.port: it must be a whole number, and is a number"),
        ("LoadBalancer", edge(targets=5), "targets: it must be an object, and is a number"),
        ("LoadBalancer", edge(targets=output("app")), "targets: it must be an object, and is a string"),
        ("LoadBalancer", edge(targets=output({"port": 80.5})), "targets.port: it must be a whole number"),
        ("LoadBalancer", edge(targets=output({})), "targets.groupName: it is missing, and there is no default"),
        ("LoadBalancer", edge(targets=output({"ports": 80})), "targets.ports: there is no such argument. Did you mean"),
        ("LoadBalancer", edge(tags={"team": 5}), "tags.team: it must be a string, and is a number"),
        ("Network", {"natPerZone": "yes"}, "natPerZone: it must be true or false, and is a string"),
        ("Network", {"cidr": "10.0.0.0/8"}, 'cidr: "10.0.0.0/8": its prefix must be /16'),
    ],
)
def test_an_argument_that_does_not_fit_is_named(
    host: ComponentHost, kind: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConstructError) as refusal:
        host.construct(kind, "mine", arguments)
    assert said in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert 'File "' not in str(refusal.value), "a list for people, not a stack of frames"


def test_all_mistakes_are_told_at_once(host: ComponentHost) -> None:
    with pytest.raises(ConstructError) as refusal:
        host.construct("LoadBalancer", "edge", edge(vpcId=5, subnetIds="a", nonsense=1))
    assert [line.split(":")[0] for line in str(refusal.value).splitlines()[1:]] == ["nonsense", "vpcId", "subnetIds"]
