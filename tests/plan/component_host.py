"""The components' plugin as the engine runs it: a process that serves Construct and calls back for each resource."""

import os
import subprocess
import sys
from collections.abc import Generator
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


class _Engine(engine_pb2_grpc.EngineServicer, resource_pb2_grpc.ResourceMonitorServicer):
    """The engine's two services, answered by the SDK's mock monitor."""

    def __init__(self) -> None:
        self.monitor: Any = None
        self.logged: list[str] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.logged.append(request.message)
        return empty_pb2.Empty()

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        # An engine that is older than this call answers so, and the SDK goes on without.
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

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
    engine: _Engine
    engine_address: str

    def schema(self) -> str:
        """As `pulumi package get-schema` asks for it."""
        return self.stub.GetSchema(provider_pb2.GetSchemaRequest(version=0), timeout=60).schema

    def construct(self, kind: str, name: str, inputs: dict[str, Any], *, preview: bool = False) -> "Constructed":
        """Make a component. ConstructError when the plugin refuses."""
        recording = Recording()
        self.engine.monitor = recording_monitor(recording, preview=preview)
        given = Struct()
        given.update(inputs)
        request = provider_pb2.ConstructRequest(
            project="theirs",
            stack="dev",
            type=f"expressway:index:{kind}",
            name=name,
            inputs=given,
            dryRun=preview,
            monitorEndpoint=self.engine_address,
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
    engine = _Engine()
    environment = {**os.environ, "EXPRESSWAY_CACHE": str(cache)}
    with pool_of_loops(8) as pool, _serving(engine, pool) as address:
        command = [sys.executable, "-u", str(PLUGIN), address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PLUGIN, env=environment) as plugin:
            try:
                assert plugin.stdout
                port = int(plugin.stdout.readline())
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    yield ComponentHost(provider_pb2_grpc.ResourceProviderStub(channel), engine, address)
            finally:
                plugin.terminate()


@contextmanager
def _serving(engine: _Engine, pool: ThreadPoolExecutor) -> Generator[str]:
    server = grpc.server(pool)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(engine, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield address
    finally:
        server.stop(None).wait()
