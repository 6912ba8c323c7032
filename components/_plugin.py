"""The components for programs in other languages: arguments as they come from there, checked against the schema.

The SDK's host hands on what it gets: an unknown argument is dropped, a number stays a float, and an integer that isn't
known yet ends in a TypeError (pulumi 3.272, `ComponentProvider.map_input_properties`). Machines would boot with
`"port": 3000.0`. So the arguments are mapped here.
"""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi.output import Unknown
from pulumi.provider import ConstructResult
from pulumi.provider.experimental.analyzer import ComponentDefinition, PropertyDefinition, PropertyType, TypeDefinition
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from .app_servers import AppServers
from .cache import Cache
from .database import Database
from .load_balancer import LoadBalancer
from .monitoring import Monitoring
from .network import Network
from .release import Release

PACKAGE = "expressway"
COMPONENTS: Sequence[type[pulumi.ComponentResource]] = (
    AppServers,
    Cache,
    Database,
    LoadBalancer,
    Monitoring,
    Network,
    Release,
)

_Finding = tuple[str, str]
"""A property's path, and what is wrong with it."""

_PLAIN: dict[PropertyType, tuple[str, Callable[[Any], bool]]] = {
    PropertyType.STRING: ("a string", lambda value: isinstance(value, str)),
    PropertyType.BOOLEAN: ("true or false", lambda value: isinstance(value, bool)),
    PropertyType.INTEGER: ("a whole number", lambda value: _is_number(value) and float(value).is_integer()),
    PropertyType.NUMBER: ("a number", lambda value: _is_number(value)),
}


class Plugin(ComponentProvider):
    """Serves `components` under the package name `expressway`."""

    def __init__(self, components: Sequence[type[pulumi.ComponentResource]], version: str) -> None:
        for component in components:
            component.__doc__ = inspect.cleandoc(component.__doc__ or "")
        super().__init__(list(components), PACKAGE, version=version)

    def construct(
        self, name: str, resource_type: str, inputs: pulumi.Inputs, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """Make a component. InputPropertiesError with all that is wrong with its arguments."""
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if isinstance(error.inner, pulumi.InputPropertiesError):
                # As it stands, it reaches people as a list of properties; wrapped, as a traceback.
                raise error.inner from None
            raise

    def map_inputs(self, inputs: pulumi.Inputs, component_def: ComponentDefinition) -> pulumi.Inputs:
        """The arguments under their Python names. InputPropertiesError when they don't fit the schema."""
        wrong: list[_Finding] = []
        mapped = self._object("", inputs, component_def.inputs, component_def.inputs_mapping, wrong)
        _refuse(f"{component_def.name} can't be made of these arguments:", wrong)
        return mapped

    def _known(self, path: str, value: Any, wanted: PropertyDefinition) -> Any:
        """An object that came as one output, such as another component's `access`, once it is known."""
        wrong: list[_Finding] = []
        mapped = self._value(path, value, wanted, wrong)
        _refuse("this output does not fit the argument that it was given for:", wrong)
        return mapped

    def _object(
        self,
        path: str,
        given: Mapping[str, Any],
        properties: Mapping[str, PropertyDefinition],
        names: Mapping[str, str],
        wrong: list[_Finding],
    ) -> dict[str, Any]:
        def at(name: str) -> str:
            return f"{path}.{name}" if path else name

        for name in given.keys() - properties.keys():
            near = difflib.get_close_matches(name, properties, 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(properties))}."
            wrong.append((at(name), f"there is no such argument. {hint}"))
        missing = [name for name, each in properties.items() if not each.optional and given.get(name) is None]
        wrong += [(at(name), "it is missing, and there is no default") for name in missing]
        return {
            names[name]: self._value(at(name), given[name], each, wrong)
            for name, each in properties.items()
            if given.get(name) is not None
        }

    def _value(
        self,
        path: str,
        value: Any,
        wanted: PropertyDefinition,
        wrong: list[_Finding],
    ) -> Any:
        def refuse(rule: str) -> None:
            wrong.append((path, f"it must be {rule}, and is {_described(value)}"))

        if isinstance(value, Unknown):
            value = pulumi.Output.from_input(cast(Any, value))
        if isinstance(value, pulumi.Output):
            if wanted.ref:
                return value.apply(lambda known: self._known(path, known, wanted))
            return value.apply(int) if wanted.type is PropertyType.INTEGER else value
        if wanted.type in _PLAIN:
            rule, fits = _PLAIN[wanted.type]
            if not fits(value):
                refuse(rule)
                return value
            return int(value) if wanted.type is PropertyType.INTEGER else value
        if wanted.type is PropertyType.ARRAY and wanted.items:
            if not isinstance(value, list):
                refuse("a list")
                return value
            entries = cast(list[Any], value)
            return [self._value(f"{path}[{index}]", each, wanted.items, wrong) for index, each in enumerate(entries)]
        if not isinstance(value, dict):
            refuse("an object")
            return value
        given = cast(dict[str, Any], value)
        if wanted.additional_properties:
            return {
                key: self._value(f"{path}.{key}", each, wanted.additional_properties, wrong)
                for key, each in given.items()
            }
        definition = cast(TypeDefinition, self.get_type_definition(wanted))
        return self._object(path, given, definition.properties, definition.properties_mapping, wrong)


def _refuse(headline: str, wrong: Sequence[_Finding]) -> None:
    if wrong:
        raise pulumi.InputPropertiesError(
            "\n".join([headline, *(f"{path}: {reason}" for path, reason in wrong)]),
            [{"property_path": path, "reason": reason} for path, reason in wrong],
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _described(value: object) -> str:
    if isinstance(value, pulumi.Output):
        return "another resource's output"
    # Never the value itself: it may be a secret that somebody put in the wrong place.
    kinds: dict[type, str] = {
        str: "a string",
        bool: "true or false",
        float: "a number",
        int: "a number",
        list: "a list",
    }
    return kinds.get(type(value), "an object")
