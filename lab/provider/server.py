"""The lab's resource types as a Pulumi provider: what the engine asks over gRPC is answered from `registry`.

The SDK has a provider class too, but that one drops the old inputs from a diff and puts a traceback into each error; so
the protocol's generated servicer is used as it is.

Source: https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from importlib.metadata import version
from typing import Any, TypeVar, cast

import grpc
from botocore.exceptions import EndpointConnectionError
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as protocol
from typing_extensions import override

from lab.aws import Aws, says_missing
from lab.provider import registry, tags
from lab.provider.difference import Kind, compare
from lab.provider.errors import InputError, ProviderError
from lab.provider.resource import DEFAULTS, RANDOM_DIGITS, Properties, Resource
from lab.provider.values import UNKNOWN, arguments, plain

PARALLEL = 32
WATCH_SECONDS = 1
REGION = "us-east-1"
CONFIGURABLE = ("region", "defaultTags")
"""What has a meaning in the lab of the AWS provider's configuration."""

_KINDS = {
    (Kind.ADD, False): protocol.PropertyDiff.ADD,
    (Kind.ADD, True): protocol.PropertyDiff.ADD_REPLACE,
    (Kind.DELETE, False): protocol.PropertyDiff.DELETE,
    (Kind.DELETE, True): protocol.PropertyDiff.DELETE_REPLACE,
    (Kind.UPDATE, False): protocol.PropertyDiff.UPDATE,
    (Kind.UPDATE, True): protocol.PropertyDiff.UPDATE_REPLACE,
}


Call = TypeVar("Call", bound=Callable[..., Any])


def _failures_as_messages(call: Call) -> Call:
    """A failure becomes one message; the engine adds of which resource it is."""

    @wraps(call)
    def answer(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(self, request, context)
        except Exception as error:
            context.abort(grpc.StatusCode.UNKNOWN, _message(error))

    return cast(Call, answer)


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The `aws` provider of a lab whose API is at `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._aws = Aws(endpoint, REGION)
        self._default_tags: Mapping[str, str] = {}

    @override
    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The version that the SDK asks for, which the lab stands in for."""
        return plugin_pb2.PluginInfo(version=version("pulumi-aws"))

    @override
    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        """For PULUMI_DEBUG_PROVIDERS; there is no way back to the engine that would be needed."""
        return Empty()

    @override
    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Calls in flight are short: they end by themselves."""
        return Empty()

    @override
    @_failures_as_messages
    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The provider's own configuration. One that the lab would not heed is a mistake."""
        given = MessageToDict(request.news)
        failures = [
            protocol.CheckFailure(property=key, reason=f"the lab has no aws:{key}; it knows {', '.join(CONFIGURABLE)}")
            for key in given
            if key not in (*CONFIGURABLE, "version", "__internal")
        ]
        return protocol.CheckResponse(inputs=request.news, failures=failures)

    @override
    @_failures_as_messages
    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Region and default tags."""
        given = plain(MessageToDict(request.args))
        self._aws = Aws(self._endpoint, given.get("region", REGION))
        self._default_tags = tags.default({f"aws:{key}": value for key, value in given.items()})
        return protocol.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @override
    @_failures_as_messages
    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        """A function."""
        invoke = registry.invoke(request.tok)
        answer = invoke.run(self._aws, invoke.check(plain(MessageToDict(request.args))))
        response: Any = {"return": _struct(answer)}  # a word that Python keeps for itself
        return protocol.InvokeResponse(**response)

    @override
    @_failures_as_messages
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The inputs, completed; what is wrong with them is a failure of one of them."""
        kind = _kind(request.urn)
        suffix = hashlib.sha256(request.randomSeed).hexdigest()[:RANDOM_DIGITS]
        old = plain(MessageToDict(request.olds)) if request.HasField("olds") else None
        try:
            inputs = kind.check(_name(request.urn), MessageToDict(request.news), self._default_tags, suffix, old)
        except InputError as error:
            failures = [protocol.CheckFailure(property=each.input, reason=str(each)) for each in error.each]
            return protocol.CheckResponse(failures=failures)
        return protocol.CheckResponse(inputs=_struct(inputs))

    @override
    @_failures_as_messages
    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What an update would change, and what can't be changed."""
        kind = _kind(request.urn)
        state, old, new = (plain(MessageToDict(each)) for each in (request.olds, request.old_inputs, request.news))
        before, after = kind.meant(old, state), kind.meant(new, state)
        if refusal := kind.refusal(before, after):
            raise refusal
        changes = compare(before, after, kind.replacing(before, after), request.ignoreChanges)
        return protocol.DiffResponse(
            changes=protocol.DiffResponse.DIFF_SOME if changes else protocol.DiffResponse.DIFF_NONE,
            replaces=sorted({change.input for change in changes if change.replaces}),
            diffs=sorted({change.input for change in changes}),
            detailedDiff={
                change.path: protocol.PropertyDiff(kind=_KINDS[change.kind, change.replaces], inputDiff=True)
                for change in changes
            },
            hasDetailedDiff=True,
            deleteBeforeReplace=kind.deletes_first or _keeps_its_name(kind, old, new),
        )

    @override
    @_failures_as_messages
    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Make a resource; in a preview nothing, and what is no input stays unknown."""
        kind = _kind(request.urn)
        inputs = MessageToDict(request.properties)
        if request.preview:
            return protocol.CreateResponse(properties=_struct(kind.state(inputs, {})))
        created = kind.create(self._aws, arguments(inputs))
        return protocol.CreateResponse(id=created.id, properties=_struct(kind.state(inputs, created.outputs)))

    @override
    @_failures_as_messages
    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        """A resource as the API has it: for a refresh in the shape that the inputs have, for an import whole."""
        kind = _kind(request.urn)
        state = MessageToDict(request.properties)
        try:
            found = kind.read(self._aws, request.id, plain(state))
        except Exception as error:
            if not says_missing(error):
                raise
            found = None
        if found is None:
            return protocol.ReadResponse()
        known = MessageToDict(request.inputs) if request.HasField("inputs") else None
        inputs = kind.settle(found.inputs, known or None, self._default_tags)
        kept = kind.kept(inputs, state | found.inputs)
        as_it_is = {key: value for key, value in kept.items() if key in state}
        return protocol.ReadResponse(
            id=found.id, inputs=_struct(inputs), properties=_struct(kind.state(inputs, as_it_is | found.outputs))
        )

    @override
    @_failures_as_messages
    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Change a resource in place."""
        kind = _kind(request.urn)
        old, old_inputs, given = map(MessageToDict, (request.olds, request.old_inputs, request.news))
        new = given | kind.kept(given, old)
        outputs = {key: value for key, value in old.items() if key not in old_inputs and key not in new}
        if request.preview:
            state = plain(old)
            before, after = kind.meant(plain(old_inputs), state), kind.meant(plain(given), state)
            changed = {change.input for change in compare(before, after, ())}
            outputs |= {
                name: UNKNOWN
                for name, causes in kind.volatile.items()
                if name not in given and (not causes or changed.intersection(causes))
            }
        else:
            outputs |= kind.update(self._aws, request.id, plain(old), arguments(new))
        return protocol.UpdateResponse(properties=_struct(kind.state(new, outputs)))

    @override
    @_failures_as_messages
    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take it away; that it is gone already is as good."""
        try:
            _kind(request.urn).delete(self._aws, request.id, plain(MessageToDict(request.properties)))
        except Exception as error:
            if not says_missing(error):
                raise
        return Empty()


def serve(endpoint: str) -> tuple[grpc.Server, int]:
    """A started server on a free port of this host."""
    server = grpc.server(ThreadPoolExecutor(PARALLEL), options=[("grpc.max_receive_message_length", -1)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(endpoint), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main() -> None:
    """`python -m lab.provider.server`: what the plugin's executable runs. Says the port, and nothing else."""
    parser = argparse.ArgumentParser(prog="pulumi-resource-aws", description="The lab's AWS provider for Pulumi.")
    parser.add_argument("--endpoint", required=True, help="the lab's API")
    options, _ = parser.parse_known_args()  # the engine adds its own address and flags
    engine = os.getppid()
    server, port = serve(options.endpoint)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # An engine that is killed can't end its plugins.
    while server.wait_for_termination(WATCH_SECONDS) and os.getppid() == engine:
        pass
    server.stop(None)


def _kind(urn: str) -> Resource:
    # urn:pulumi:<stack>::<project>::<parents' types$type>::<name>
    return registry.resource(urn.split("::")[2].rpartition("$")[2])


def _keeps_its_name(kind: Resource, old: Properties, new: Properties) -> bool:
    """Whether the program itself names the resource, as before: the new one can't be made beside the old."""
    if kind.autoname is None:
        return False
    key = kind.autoname.input
    return key not in new.get(DEFAULTS, ()) and old.get(key) == new.get(key)


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def _message(error: Exception) -> str:
    if isinstance(error, EndpointConnectionError):
        return f"{error} Is the lab up? Start it with: make up"
    if isinstance(error, ProviderError) or type(error).__module__.startswith("botocore"):
        return str(error)
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
