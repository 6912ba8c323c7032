"""What a resource type is to the lab: its inputs, its names, and what is done to the API for it.

`check` completes the inputs and is pure; `create` calls the API. Both are what Pulumi's provider protocol calls so.
"""

import difflib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lab.provider.aws import Aws
from lab.provider.errors import InputError

Properties = dict[str, Any]

RANDOM_DIGITS = 7


def random_suffix() -> str:
    """What makes an automatic name unique, as the engine's provider does it: 7 hex digits."""
    return secrets.token_hex(4)[:RANDOM_DIGITS]


@dataclass(frozen=True)
class Autoname:
    """Which input names the resource when the program doesn't: from the logical name, plus 7 hex digits."""

    input: str = "name"
    longest: int = 255
    lower: bool = False

    def name(self, logical: str, suffix: str) -> str:
        """The name; an error when AWS would not take its length."""
        name = f"{logical}-{suffix}"
        if len(name) > self.longest:
            longest = self.longest - len(suffix) - 1
            raise InputError(f"the name {logical!r} has {len(logical)} characters, and may have {longest}")
        return name.lower() if self.lower else name


@dataclass(frozen=True)
class Created:
    """A resource that is there now: its id, and the outputs that are not inputs."""

    id: str
    outputs: Properties


class Resource(ABC):
    """One resource type. Without state of its own: one object serves every resource of the type."""

    pulumi_type: ClassVar[str]
    """The type's token, such as `aws:ec2/vpc:Vpc`."""
    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    tagged: ClassVar[bool] = False
    """Whether it takes `tags`, and has the provider's default tags too."""
    autoname: ClassVar[Autoname | None] = None
    secret_outputs: ClassVar[tuple[str, ...]] = ()
    """Outputs that are secret by nature, whatever the program says."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every input that the type takes."""
        named = (self.autoname.input,) if self.autoname else ()
        return (*self.required, *self.optional, *named, *(("tags",) if self.tagged else ()))

    def check(self, name: str, given: Properties, default_tags: Mapping[str, str], suffix: str) -> Properties:
        """The inputs, completed: automatic name and all tags. An unknown or a missing one is an error."""
        given = {key: value for key, value in given.items() if value is not None}
        for key in given:
            if key not in self.inputs:
                raise InputError(f"the lab does not know the input {key}{_nearest(key, self.inputs)}")
        if missing := [key for key in self.required if key not in given]:
            raise InputError(f"missing {', '.join(missing)}")
        if self.autoname and self.autoname.input not in given:
            given[self.autoname.input] = self.autoname.name(name, suffix)
        if self.tagged:
            given["tagsAll"] = {**default_tags, **given.get("tags", {})}
        return given

    @abstractmethod
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Make it; `inputs` are plain (no secret marks) and have been through `check`."""


@dataclass(frozen=True)
class Invoke:
    """A function of the provider: its inputs, and what answers it."""

    token: str
    inputs: tuple[str, ...]
    run: Callable[[Aws, Properties], Properties]

    def check(self, given: Properties) -> Properties:
        """The inputs, less those not given. An unknown one is an error."""
        for key in given:
            if key not in self.inputs:
                raise InputError(f"the lab does not know the input {key}{_nearest(key, self.inputs)}")
        return {key: value for key, value in given.items() if value is not None}


def _nearest(key: str, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    return f" (nearest: {nearest[0]})" if nearest else f" (it knows {', '.join(known)})"
