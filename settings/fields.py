"""Kinds of values that settings have: their types, each with the rule that components hold it to as well."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainValidator, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

import artifact
from components import planning
from components.planning import Rule

LONGEST_NAME = 255
"""Bytes of a file's name."""


@dataclass(frozen=True)
class Ruled:
    """Holds a setting to a rule, in the words of the rule."""

    rule: Rule

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The type's own schema, and the rule after it."""
        return core_schema.no_info_after_validator_function(self._held, handler(source))

    def _held(self, value: Any) -> Any:
        for finding in self.rule.check("", value):
            raise PydanticCustomError("rule", "{rule}", {"rule": finding.rule, "remedy": finding.remedy})
        return value


def _text_from_number(value: object) -> object:
    # 17 without quotes is a number in YAML; what is meant is clear.
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _folder(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path):
        raise PydanticCustomError("string_type", "it must be text")
    if "\0" in str(value) or any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(value).parts):
        rule = f"it must be a path, whose names have {LONGEST_NAME} bytes at most"
        raise PydanticCustomError("rule", "{rule}", {"rule": rule, "remedy": "Write it like ../my-app."})
    base: Path = (info.context or {})["base"]
    return Path(os.path.normpath(base / value))


# No component has this one: what runs on its machines is the runtime that its release names.
NODE_VERSION = planning.choice(artifact.NODE_VERSIONS, "it must be a Node version that is supported")

NodeVersion = Annotated[int, Ruled(NODE_VERSION)]
CacheVersion = Annotated[str, BeforeValidator(_text_from_number)]
PostgresVersion = Annotated[str, BeforeValidator(_text_from_number), Ruled(planning.POSTGRES_VERSION)]
InstanceType = Annotated[str, Ruled(planning.INSTANCE_TYPE)]
Image = Annotated[str, Ruled(planning.IMAGE)]
HttpPath = Annotated[str, Ruled(planning.HTTP_PATH)]

Folder = Annotated[Path, PlainValidator(_folder)]
"""A folder, relative to the configuration's own."""
