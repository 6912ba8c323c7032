"""Runs Pulumi code without an engine, and keeps what it asked for: resources by type and name, function calls."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
from pulumi.output import UNKNOWN
from pulumi.runtime import set_all_config, set_mocks
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import run_in_stack
from typing_extensions import override

ACCOUNT = "123456789012"
REGION = "us-east-1"
ZONES = ["us-east-1b", "us-east-1a", "us-east-1c"]
MISSING = {("m9.large", "us-east-1a"), ("x9.large", "us-east-1b"), ("x9.large", "us-east-1c")}
"""Instance types, and zones that don't offer them."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"


@dataclass(frozen=True)
class Registered:
    """A resource as the program registered it."""

    type: str
    name: str
    inputs: dict[str, Any]
    """Plain values; what was secret is in `secrets` by name."""
    secrets: frozenset[str]
    parent: str
    """The parent's name."""
    ignore_changes: tuple[str, ...]
    retain_on_delete: bool
    delete_before_replace: bool
    replace_with: frozenset[str]
    """Names of the resources with which it is replaced."""
    depends_on: frozenset[str]
    """Names of the resources that it waits for, by reference or by depends_on."""


@dataclass
class Recording:
    """What a program asked for. Complete only when the program has run to its end, so assert absence on it."""

    resources: dict[tuple[str, str], Registered] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def one(self, kind: str, name: str | None = None) -> Registered:
        """The only resource of type `kind`, or the one called `name`."""
        found = [each for each in self.all(kind) if name in (None, each.name)]
        assert len(found) == 1, f"expected one {kind} {name or ''}, found {[each.name for each in self.all(kind)]}"
        return found[0]

    def all(self, kind: str) -> list[Registered]:
        """Every resource of a type, by name: siblings register in an order of chance."""
        found = [each for each in self.resources.values() if each.type == kind]
        return sorted(found, key=lambda each: each.name)

    def called(self, token: str) -> list[dict[str, Any]]:
        """The arguments of each call of a function."""
        return [arguments for name, arguments in self.calls if name == token]

    def machine(self, name: str) -> dict[str, Any]:
        """What machines of component `name` are told, out of their user data."""
        text = base64.b64decode(
            self.one("aws:ec2/launchTemplate:LaunchTemplate", f"{name}-template").inputs["userData"]
        )
        return json.loads(text.decode().partition("machine=")[2].partition("\n")[0])

    def statements(self, name: str) -> list[dict[str, Any]]:
        """What the role policy `name` allows."""
        return json.loads(self.one("aws:iam/rolePolicy:RolePolicy", name).inputs["policy"])["Statement"]


def record(
    program: Callable[[], object],
    *,
    preview: bool = False,
    project: str = "expressway",
    stack: str = "dev",
    config: dict[str, str] | None = None,
) -> Recording:
    """Run `program` as Pulumi would; the first error it meets is raised."""
    recording = Recording()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it repeats a failure for every output that waited
    monitor = recording_monitor(recording, preview=preview)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run() -> None:
        program()  # what it returns is nobody's business, and must not be awaited

    with closing(loop), pool_of_loops(4) as pool:
        loop.set_default_executor(pool)
        set_all_config(config or {}, [])
        set_mocks(monitor.mocks, project=project, stack=stack, preview=preview, monitor=monitor)
        # What an earlier run left, or set_mocks made, would be waited for in vain.
        runtime: Any = SETTINGS
        runtime.rpc_manager.clear()
        runtime.outputs.clear()
        set_root_resource(cast(Any, None))
        try:
            loop.run_until_complete(run_in_stack(run))
        finally:
            # A program that failed leaves outputs that nobody waited for: Python would complain in some later test.
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            asyncio.set_event_loop(None)
    return recording


@contextmanager
def pool_of_loops(size: int) -> Generator[ThreadPoolExecutor]:
    """Threads with an event loop each, closed at the end: the SDK would make one for each thread and leave it open."""
    loops: list[asyncio.AbstractEventLoop] = []

    def give_thread_a_loop() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    try:
        with ThreadPoolExecutor(size, initializer=give_thread_a_loop) as pool:
            yield pool
    finally:
        for each in loops:
            each.close()


def recording_monitor(recording: Recording, *, preview: bool = False) -> MockMonitor:
    """What answers a program's, or a plugin's, registrations and calls, and writes them into `recording`."""
    return _Monitor(_Answers(recording, preview), recording)


def unknown() -> pulumi.Output[Any]:
    """A value that a preview can't know, as outputs of resources that don't exist yet."""

    async def value(what: object) -> Any:
        return what

    return pulumi.Output(set(), value(UNKNOWN), value(False))


class _Monitor(MockMonitor):
    def __init__(self, mocks: Mocks, recording: Recording) -> None:
        super().__init__(mocks)
        self._recording = recording

    @override
    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        if request.type == "pulumi:pulumi:Stack":
            return response
        key = (request.type, request.name)
        assert key not in self._recording.resources, f"two resources of type and name {key}"
        inputs = cast(_Answers, self.mocks).inputs.pop(key)
        self._recording.resources[key] = Registered(
            type=request.type,
            name=request.name,
            inputs={name: _plain(value) for name, value in inputs.items()},
            secrets=frozenset(name for name, value in inputs.items() if _is_secret(value)),
            parent=request.parent.split("::")[-1],
            ignore_changes=tuple(request.ignoreChanges),
            retain_on_delete=request.retainOnDelete,
            delete_before_replace=request.deleteBeforeReplace,
            replace_with=frozenset(urn.split("::")[-1] for urn in request.replace_with),
            depends_on=frozenset(urn.split("::")[-1] for urn in request.dependencies),
        )
        return response

    @override
    def RegisterResourceOutputs(self, request: Any) -> Any:
        if "::pulumi:pulumi:Stack::" in request.urn:
            outputs = pulumi.runtime.rpc.deserialize_properties(request.outputs, keep_unknowns=True)
            self._recording.outputs.update({name: _plain(value) for name, value in outputs.items()})
        return super().RegisterResourceOutputs(request)


class _Answers(Mocks):
    """Answers as AWS would; in a preview, nothing of what only AWS could tell."""

    def __init__(self, recording: Recording, preview: bool) -> None:
        self._recording = recording
        self._preview = preview
        self.inputs: dict[tuple[str, str], dict[str, Any]] = {}

    @override
    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.inputs[(args.typ, args.name)] = args.inputs
        if not args.custom:
            return "", args.inputs
        if self._preview:
            return "", args.inputs
        return f"{args.name}-id", {**_OUTPUTS.get(args.typ, _nothing)(args.name), **_named(args), **args.inputs}

    @override
    def call(self, args: MockCallArgs) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._recording.calls.append((args.token, args.args))
        return _CALLS[args.token](args.args)


def _named(args: MockResourceArgs) -> dict[str, Any]:
    service = args.typ.partition(":")[2].partition("/")[0]
    return {"name": args.name, "arn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:{args.name}"}


def _nothing(_: str) -> dict[str, Any]:
    return {}


_OUTPUTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "aws:s3/bucket:Bucket": lambda name: {"bucket": name},
    "aws:ec2/eip:Eip": lambda name: {"publicIp": "198.51.100.10", "allocationId": f"eipalloc-{name}"},
    "aws:sqs/queue:Queue": lambda name: {"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"},
    "aws:ec2/launchTemplate:LaunchTemplate": lambda _: {"latestVersion": 1},
    "aws:rds/instance:Instance": lambda name: {
        "address": f"{name}.rds.example",
        "identifier": name,
        "port": 5432,
        "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}"}],
    },
    "aws:rds/cluster:Cluster": lambda name: {
        "endpoint": f"{name}.cluster-x.rds.example",
        "readerEndpoint": f"{name}.cluster-ro-x.rds.example",
        "clusterIdentifier": name,
        "port": 5432,
        "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}"}],
    },
    "aws:rds/proxy:Proxy": lambda name: {"endpoint": f"{name}.proxy-x.rds.example"},
    "aws:rds/proxyEndpoint:ProxyEndpoint": lambda name: {"endpoint": f"{name}.endpoint.proxy-x.rds.example"},
    "aws:rds/clusterInstance:ClusterInstance": lambda name: {"identifier": name},
    "aws:elasticache/replicationGroup:ReplicationGroup": lambda name: {
        "primaryEndpointAddress": f"{name}.cache.example",
        "configurationEndpointAddress": f"clustercfg.{name}.cache.example",
        "replicationGroupId": name,
    },
    "aws:secretsmanager/secretVersion:SecretVersion": lambda name: {
        "secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}"
    },
}

_CALLS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _: {"names": ZONES},
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": lambda args: {
        "locations": [zone for zone in ZONES if (args["filters"][0]["values"][0], zone) not in MISSING]
    },
    "aws:index/getRegion:getRegion": lambda _: {"region": REGION},
    "aws:ec2/getAmi:getAmi": lambda _: {"id": "ami-0123456789abcdef0", "rootDeviceName": "/dev/xvda"},
    "aws:s3/getBucket:getBucket": lambda args: {"bucket": args["bucket"], "arn": f"arn:aws:s3:::{args['bucket']}"},
    "aws:iam/getRole:getRole": lambda args: {
        "name": args["name"],
        "arn": f"arn:aws:iam::{ACCOUNT}:role/{args['name']}",
    },
    "aws:ec2/getSubnet:getSubnet": lambda args: {"availabilityZone": f"zone-of-{args['id']}"},
    "aws:secretsmanager/getRandomPassword:getRandomPassword": lambda _: {"randomPassword": "drawn-by-aws"},
    "aws:secretsmanager/getSecretVersion:getSecretVersion": lambda _: {
        "secretString": '{"username": "owner", "password": "kept-by-rds"}'
    },
    "aws:secretsmanager/getSecret:getSecret": lambda args: {
        "arn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{args['name']}-AbCdEf"
    },
}


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and _SIGNATURE in value


def _plain(value: Any) -> Any:
    if _is_secret(value):
        return _plain(value["value"])
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_plain(each) for each in cast(list[Any], value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value
