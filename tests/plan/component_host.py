"""The components' plugin as the engine runs it: a process that serves Construct and calls back for each resource."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc, resource_pb2, resource_pb2_grpc

from tests.paths import ROOT
from tests.unit.recording import Recording, pool_of_loops, recording_monitor

PLUGIN = ROOT / "components"


def output(value: Any, *, secret: bool = False) -> dict[str, Any]:
    """Another resource's output on the wire: known unless `value` is None."""
    signature = {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4"}
    return {**signature, "secret": secret, "dependencies": []} | ({} if value is None else {"value": value})


class ConstructError(Exception):
    """The plugin refused: its message."""


class _Engine(engine_pb2_grpc.EngineServicer):
    """The engine's own service."""

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        # An engine that is older than this call answers so, and the SDK goes on without.
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "")


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """The engine's resource monitor of one Construct call, answered by the SDK's mock monitor."""

    def __init__(self, recording: Recording, *, preview: bool) -> None:
        self.monitor: Any = recording_monitor(recording, preview=preview)

    def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802
        supported = self.monitor.SupportsFeature(request)
        return resource_pb2.SupportsFeatureResponse(hasSupport=supported.hasSupport)

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.tok == "pulumi:pulumi:readStackResourceOutputs":  # the engine's own function: nothing stands yet
            answer = provider_pb2.InvokeResponse()
            getattr(answer, "return").update({"outputs": {}})
            return answer
        return self.monitor.Invoke(request)

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.monitor.RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.monitor.RegisterResourceOutputs(request)
        return empty_pb2.Empty()


@dataclass(frozen=True)
class ComponentHost:
    """A plugin that runs."""

    stub: Any
    pool: ThreadPoolExecutor

    def schema(self) -> str:
        """As `pulumi package get-schema` asks for it."""
        return self.stub.GetSchema(provider_pb2.GetSchemaRequest(version=0), timeout=60).schema

    def construct(self, kind: str, name: str, inputs: dict[str, Any], *, preview: bool = False) -> "Constructed":
        """Make a component. ConstructError when the plugin refuses."""
        recording = Recording()
        given = Struct()
        given.update(inputs)
        # A monitor of its own: what a refused call still registers must not end in the next one's recording.
        monitor = _Monitor(recording, preview=preview)
        with _serving(monitor, resource_pb2_grpc.add_ResourceMonitorServicer_to_server, self.pool) as address:
            request = provider_pb2.ConstructRequest(
                project="theirs",
                stack="dev",
                type=f"expressway:index:{kind}",
                name=name,
                inputs=given,
                dryRun=preview,
                monitorEndpoint=address,
                accepts_output_values=True,
            )
            try:
                answer = self.stub.Construct(request, timeout=60)
            except grpc.RpcError as error:
                raise ConstructError(error.details()) from error  # pyright: ignore[reportAttributeAccessIssue]
        return Constructed(recording, answer.urn, MessageToDict(answer.state))


@dataclass(frozen=True)
class Constructed:
    """What a construct call registered, and what it answered."""

    recording: Recording
    urn: str
    state: dict[str, Any]


@contextmanager
def running_host(cache: Path) -> Generator[ComponentHost]:
    """The plugin, started by its folder as Pulumi's language host starts it; its archives go into `cache`."""
    environment = {**os.environ, "EXPRESSWAY_CACHE": str(cache)}
    add_engine = engine_pb2_grpc.add_EngineServicer_to_server
    with pool_of_loops(8) as pool, _serving(_Engine(), add_engine, pool) as address:
        command = [sys.executable, "-u", str(PLUGIN), address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PLUGIN, env=environment) as plugin:
            try:
                assert plugin.stdout
                port = int(plugin.stdout.readline())
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    yield ComponentHost(provider_pb2_grpc.ResourceProviderStub(channel), pool)
            finally:
                plugin.terminate()


@contextmanager
def _serving(servicer: Any, add: Callable[[Any, grpc.Server], None], pool: ThreadPoolExecutor) -> Generator[str]:
    server = grpc.server(pool)
    add(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield address
    finally:
        server.stop(None).wait()
