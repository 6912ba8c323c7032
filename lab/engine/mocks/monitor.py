"""A Pulumi resource monitor whose resources are really created in the lab's API.

The SDK's mock monitor speaks the engine's protocol with a program; this one hands each resource and function call to
the provider's types, and does what the engine would: unique URNs, automatic names, default tags, secrets kept secret.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from typing_extensions import override

from lab.aws import Aws, says_missing
from lab.provider import registry
from lab.provider.errors import ProviderError, ResourceError
from lab.provider.resource import Created, Properties, random_suffix
from lab.provider.values import as_sent, plain

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Registered:
    """A resource that the program has: custom ones with their id, components without."""

    type: str
    name: str
    urn: str
    id: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Provider(Mocks):
    """Answers the monitor from the lab's resource types. With `preview`, nothing is created."""

    def __init__(self, aws: Aws, default_tags: Mapping[str, str], *, preview: bool) -> None:
        self._aws = aws
        self._default_tags = default_tags
        self._preview = preview

    @override
    def call(self, args: MockCallArgs) -> tuple[Properties, list[tuple[str, str]]]:
        """A function of the provider. What the API doesn't have is a failure, which a program may catch."""
        try:
            invoke = registry.invoke(args.token)
            return invoke.run(self._aws, invoke.check(plain(args.args))), []
        except Exception as error:
            if says_missing(error):
                return {}, [("", str(error))]
            raise ProviderError(f"{args.token}: {error}") from error

    @override
    def new_resource(self, args: MockResourceArgs) -> tuple[str, Properties]:
        """A resource: created, or in a preview only checked."""
        if not args.custom:
            return "", args.inputs
        try:
            if args.resource_id:
                raise ProviderError(f"the lab can't adopt {args.resource_id}: it creates every resource itself")
            kind = registry.resource(args.typ)
            inputs = kind.check(args.name, as_sent(args.inputs), self._default_tags, random_suffix())
            created = Created("", {}) if self._preview else kind.create(self._aws, plain(inputs))
        except Exception as error:
            raise ResourceError(args.typ, args.name, error) from error
        return created.id, kind.state(inputs, created.outputs)


class Monitor(MockMonitor):
    """Records what the program registers, and reports each resource when it is there."""

    def __init__(self, provider: Provider, report: Callable[[Registered], None]) -> None:
        super().__init__(provider)
        self.registered: list[Registered] = []
        self.outputs: Properties = {}
        self._report = report
        self._urns: set[str] = set()
        self._lock = threading.Lock()

    @override
    def RegisterResource(self, request: Any) -> Any:
        """A resource of the program. The same URN twice is an error, as in the engine."""
        urn = self.make_urn(request.parent, request.type, request.name)
        with self._lock:
            if urn in self._urns:
                raise ResourceError(request.type, request.name, ProviderError(f"duplicate resource URN {urn}"))
            self._urns.add(urn)
        started = time.monotonic()
        response = super().RegisterResource(request)
        if request.type != STACK_TYPE:
            seconds = round(time.monotonic() - started, 3)
            resource = Registered(request.type, request.name, urn, response.id, seconds)
            with self._lock:
                self.registered.append(resource)
                if request.custom:
                    self._report(resource)
        return response

    @override
    def ReadResource(self, request: Any) -> Any:
        """`Resource.get()` of what this program did not create: there is nothing like that in a new lab."""
        cause = ProviderError(f"the lab can't read {request.id}: it creates every resource itself")
        raise ResourceError(request.type, request.name, cause)

    @override
    def RegisterResourceOutputs(self, request: Any) -> Any:
        """A component's outputs, or the stack's, which are what the program exports."""
        if f"::{STACK_TYPE}::" in request.urn:
            self.outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)
