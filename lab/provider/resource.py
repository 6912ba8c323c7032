"""What a resource type is to the lab: its inputs, its names, and what is done to the API for it.

`check` completes the inputs and is pure; `create`, `read`, `update` and `delete` call the API. All are what Pulumi's
provider protocol calls so. What an update can't do is in `replaces_on`, from which `difference.compare` tells a diff.
"""

import difflib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lab.aws import Aws
from lab.provider import validation
from lab.provider.errors import InputError, InvalidInputsError
from lab.provider.values import UNKNOWN, has_secret, plain, secret

Properties = dict[str, Any]

RANDOM_DIGITS = 7
DEFAULTS = "__defaults"
"""Input that lists which others are automatic, as the AWS provider's own states do."""


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


@dataclass(frozen=True)
class Found:
    """A resource as the API has it: its inputs as a program would write them, and the outputs that are not inputs.

    An input that the API can't tell is left out; one that is not set is None. `tags` are all tags, default ones too.
    """

    id: str
    inputs: Properties
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
    replaces_on: ClassVar[Mapping[str, str]] = {}
    """Inputs that AWS can't change in place, and where that is said."""
    computed: ClassVar[Collection[str]] = ()
    """Inputs that AWS fills in: one that is absent means "as it is", also when it was given before."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """What absent inputs mean otherwise, where that is a value."""
    volatile: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Outputs that an update changes, so that a preview has them unknown -> the inputs that do it, or none for any."""
    deletes_first: ClassVar[bool] = False
    """Whether a replacement has to wait until the old one is gone, since AWS takes no two of them."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every input that the type takes."""
        named = (self.autoname.input,) if self.autoname else ()
        return (*self.required, *self.optional, *named, *(("tags",) if self.tagged else ()))

    def check(
        self,
        name: str,
        given: Properties,
        default_tags: Mapping[str, str],
        suffix: str,
        old: Mapping[str, Any] | None = None,
    ) -> Properties:
        """The inputs, completed: automatic name and all tags. An unknown or a missing one, or one that AWS or its
        provider would refuse, is an error; all of them are told at once.

        An automatic name stays what it is in `old`, the inputs that the resource has.
        """
        given = {key: value for key, value in given.items() if value is not None}
        wrong = [
            InputError(f"the lab does not know the input {key}{_nearest(key, self.inputs)}", key)
            for key in given
            if key not in self.inputs
        ]
        if missing := [key for key in self.required if key not in given]:
            wrong.append(InputError(f"missing {', '.join(missing)}", missing[0]))
        if self.autoname and self.autoname.input not in given:
            key = self.autoname.input
            given[DEFAULTS] = [key]
            was_automatic = old is not None and key in old.get(DEFAULTS, ())
            given[key] = old[key] if old is not None and was_automatic else self.autoname.name(name, suffix)
        wrong += validation.findings(self.pulumi_type, given)
        if wrong:
            raise wrong[0] if len(wrong) == 1 else InvalidInputsError(wrong)
        if self.tagged:
            own = given.get("tags", {})
            if own == UNKNOWN:
                given["tagsAll"] = UNKNOWN
            else:
                merged = {**default_tags, **plain(own)}
                given["tagsAll"] = secret(merged) if has_secret(own) else merged
        return given

    def kept(self, inputs: Properties, state: Properties) -> Properties:
        """What `inputs` leave as it is in `state`."""
        return {key: state[key] for key in self.computed if inputs.get(key) is None and state.get(key) is not None}

    def meant(self, inputs: Properties, state: Properties) -> Properties:
        """The inputs, and what the absent ones mean to a resource in `state`: what a diff has to compare.

        Source: terraform-plugin-sdk helper/schema, Optional with Computed, and Optional with Default.
        """
        return {**self.defaults, **self.kept(inputs, state), **inputs}

    def refusal(self, old: Properties, new: Properties) -> InputError | None:
        """Why the AWS provider refuses a change in a preview already, if it does."""
        return None

    def replacing(self, old: Properties, new: Properties) -> Collection[str]:
        """Inputs whose change can't be made in place. Most types don't have to look at the values."""
        return self.replaces_on.keys()

    def state(self, inputs: Properties, outputs: Properties) -> Properties:
        """What a program gets: inputs and outputs, and what is secret by nature marked so."""
        state = {**inputs, **outputs}
        for name in self.secret_outputs:
            if name in state and state[name] != UNKNOWN and not has_secret(state[name]):
                state[name] = secret(state[name])
        return state

    def settle(self, found: Properties, known: Properties | None, default_tags: Mapping[str, str]) -> Properties:
        """The inputs that `read` found, as a program has them: of those in `known` their news; without it all."""
        if self.tagged:
            found["tagsAll"] = found.get("tags", {})
            mine = plain((known or {}).get("tags", {}))
            found["tags"] = {
                key: value for key, value in found["tagsAll"].items() if key in mine or default_tags.get(key) != value
            }
            if known is None and not found["tags"]:
                del found["tags"]
        if known is None:
            return {DEFAULTS: [], **{key: value for key, value in found.items() if value is not None}}
        settled = {DEFAULTS: known[DEFAULTS]} if DEFAULTS in known else {}
        for key, value in known.items():
            before = plain(value)
            if key not in found or _same(found[key], before):
                settled[key] = value
            elif found[key] is not None:
                settled[key] = secret(found[key]) if has_secret(value) else found[key]
        if found.get("tags"):
            settled.setdefault("tags", found["tags"])
        return settled

    @abstractmethod
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Make the resource; `inputs` are plain (no secret marks) and have been through `check`."""

    @abstractmethod
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The resource as the API has it; None when it is gone. At an import `state` is empty: there is only the id."""

    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Make `old`, the state, into what `new`, the inputs, say; the outputs that are new.

        Is called for changes that need no replacement.
        """
        raise NotImplementedError(f"{self.pulumi_type} {identifier}: nothing of it can be updated")

    @abstractmethod
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Take it away. An API error that says it is gone already is not an error of this."""


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
                raise InputError(f"the lab does not know the input {key}{_nearest(key, self.inputs)}", key)
        return {key: value for key, value in given.items() if value is not None}


def _same(found: Any, known: Any) -> bool:
    """Whether they are equal; the API has most lists in an order of its own."""
    if isinstance(found, list) and isinstance(known, list):
        return sorted(map(_canonical, found)) == sorted(map(_canonical, known))
    return found == known


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _nearest(key: str, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    return f" (nearest: {nearest[0]})" if nearest else f" (it knows {', '.join(known)})"
