"""The engine's side of the provider protocol, for tests: requests as the engine makes them, values as plain maps."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2 as protocol
from pulumi.runtime.proto import provider_pb2_grpc

Properties = dict[str, Any]


@dataclass(frozen=True)
class Diff:
    """What a diff answered."""

    changed: bool
    replaces: set[str]
    paths: dict[str, str]
    """Path -> kind, such as `UPDATE_REPLACE`."""


class ProviderCallError(Exception):
    """The provider refused: its message."""


class ProviderClient:
    """One provider on this host."""

    def __init__(self, port: int) -> None:
        self._stub: Any = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def configure(self, **arguments: Any) -> Any:
        """As the engine does it before the first resource."""
        return self._call("Configure", protocol.ConfigureRequest(args=struct(arguments), acceptSecrets=True))

    def check_config(self, **arguments: Any) -> dict[str, str]:
        """The failures, by property."""
        answer = self._call("CheckConfig", protocol.CheckRequest(news=struct(arguments)))
        return {failure.property: failure.reason for failure in answer.failures}

    def invoke(self, token: str, **arguments: Any) -> Properties:
        """A function's answer."""
        answer = self._call("Invoke", protocol.InvokeRequest(tok=token, args=struct(arguments)))
        return MessageToDict(getattr(answer, "return"))

    def check(self, kind: str, name: str, news: Properties, olds: Properties | None = None) -> Properties:
        """The checked inputs; a ProviderCallError of all failures."""
        request = protocol.CheckRequest(
            urn=urn(kind, name), news=struct(news), randomSeed=secrets.token_bytes(32), name=name, type=kind
        )
        if olds is not None:
            request.olds.CopyFrom(struct(olds))
        answer = self._call("Check", request)
        if answer.failures:
            raise ProviderCallError("; ".join(f"{failure.property}: {failure.reason}" for failure in answer.failures))
        return MessageToDict(answer.inputs)

    def diff(
        self, kind: str, identifier: str, state: Properties, old: Properties, new: Properties, ignored: Any = ()
    ) -> Diff:
        """Between the old inputs and the new."""
        request = protocol.DiffRequest(
            id=identifier,
            urn=urn(kind, "it"),
            olds=struct(state),
            old_inputs=struct(old),
            news=struct(new),
            ignoreChanges=ignored,
        )
        answer = self._call("Diff", request)
        return Diff(
            answer.changes == protocol.DiffResponse.DIFF_SOME,
            set(answer.replaces),
            {path: protocol.PropertyDiff.Kind.Name(change.kind) for path, change in answer.detailedDiff.items()},
        )

    def create(self, kind: str, inputs: Properties, *, preview: bool = False) -> tuple[str, Properties]:
        """Id and state."""
        request = protocol.CreateRequest(urn=urn(kind, "it"), properties=struct(inputs), preview=preview)
        answer = self._call("Create", request)
        return answer.id, MessageToDict(answer.properties)

    def read(
        self, kind: str, identifier: str, state: Properties | None = None, inputs: Properties | None = None
    ) -> tuple[str, Properties, Properties]:
        """Id, state and inputs; an empty id when it is gone. Without state: an import."""
        request = protocol.ReadRequest(id=identifier, urn=urn(kind, "it"))
        if state is not None:
            request.properties.CopyFrom(struct(state))
        if inputs is not None:
            request.inputs.CopyFrom(struct(inputs))
        answer = self._call("Read", request)
        return answer.id, MessageToDict(answer.properties), MessageToDict(answer.inputs)

    def update(
        self,
        kind: str,
        identifier: str,
        state: Properties,
        old: Properties,
        new: Properties,
        *,
        preview: bool = False,
    ) -> Properties:
        """The new state."""
        request = protocol.UpdateRequest(
            id=identifier,
            urn=urn(kind, "it"),
            olds=struct(state),
            old_inputs=struct(old),
            news=struct(new),
            preview=preview,
        )
        return MessageToDict(self._call("Update", request).properties)

    def delete(self, kind: str, identifier: str, state: Properties) -> None:
        """Have the provider delete a resource."""
        self._call("Delete", protocol.DeleteRequest(id=identifier, urn=urn(kind, "it"), properties=struct(state)))

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self._stub, method)(request, timeout=60)
        except grpc.RpcError as error:
            raise ProviderCallError(error.details()) from error  # pyright: ignore[reportAttributeAccessIssue]


class Made:
    """A resource that a test creates, changes and takes away, as the engine would."""

    def __init__(self, provider: ProviderClient, kind: str, inputs: Properties, name: str = "it") -> None:
        self._provider, self._kind = provider, kind
        self.inputs = provider.check(kind, name, inputs)
        self.id, self.state = provider.create(kind, self.inputs)

    def changed(self, changes: Mapping[str, Any]) -> Properties:
        """The checked inputs with other values; None takes one away."""
        automatic = ("tagsAll", "__defaults", *self.inputs.get("__defaults", ()))
        given = {name: value for name, value in self.inputs.items() if name not in automatic} | dict(changes)
        given = {name: value for name, value in given.items() if value is not None}
        return self._provider.check(self._kind, "it", given, self.inputs)

    def diff(self, new: Properties) -> Diff:
        """Between the inputs that it has and `new` ones."""
        return self._provider.diff(self._kind, self.id, self.state, self.inputs, new)

    def preview(self, new: Properties) -> Properties:
        """The state that an update would lead to."""
        return self._provider.update(self._kind, self.id, self.state, self.inputs, new, preview=True)

    def update(self, **changes: Any) -> None:
        """With some inputs changed; None takes one away."""
        self.become(self.changed(changes))

    def become(self, new: Properties) -> None:
        """What `new`, checked inputs, say."""
        self.state = self._provider.update(self._kind, self.id, self.state, self.inputs, new)
        self.inputs = new

    def read(self) -> tuple[str, Properties, Properties]:
        """Id, state and inputs, as a refresh finds them."""
        return self._provider.read(self._kind, self.id, self.state, self.inputs)

    def delete(self) -> None:
        """Take it away."""
        self._provider.delete(self._kind, self.id, self.state)


def urn(kind: str, name: str) -> str:
    """As the engine makes it, with a component for a parent."""
    return f"urn:pulumi:lab::expressway::expressway:index:Thing${kind}::{name}"


def struct(values: Properties) -> Struct:
    """On the wire."""
    made = Struct()
    made.update(values)
    return made
