"""Kinds of values that settings have, each with its rule and how to mend what breaks it."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

import artifact
from components import planning

REDIS_VERSIONS = ("6.2", "7.0", "7.1")
"""Redis OSS versions on ElastiCache that are in standard support.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/engine-versions.html"""

POSTGRES_VERSIONS = ("13", "14", "15", "16", "17", "18")
"""PostgreSQL's major versions on RDS.
https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html"""


def rule_error(rule: str, remedy: str) -> PydanticCustomError:
    """A broken rule in the words that people get to read."""
    return PydanticCustomError("rule", "{rule}", {"rule": rule, "remedy": remedy})


def matching(pattern: str, rule: str, remedy: str) -> AfterValidator:
    """Text that `pattern` matches as a whole."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise rule_error(rule, remedy)
        return value

    return AfterValidator(check)


def _node_version(value: int) -> int:
    if value not in artifact.NODE_VERSIONS:
        raise rule_error("it must be a Node version that is supported", f"Choose {_either(artifact.NODE_VERSIONS)}.")
    return value


def _redis_version(value: str) -> str:
    if value not in REDIS_VERSIONS:
        raise rule_error("it must be a Redis version that ElastiCache has", f"Choose {_either(REDIS_VERSIONS)}.")
    return value


def _postgres_version(value: str) -> str:
    major, dot, minor = value.partition(".")
    if major not in POSTGRES_VERSIONS or (dot and not minor.isdecimal()):
        rule = "it must be a PostgreSQL version that RDS has"
        raise rule_error(rule, f"Choose {_either(POSTGRES_VERSIONS)}, or a minor version of one, like 17.6.")
    return value


def _either(choices: tuple[object, ...]) -> str:
    *first, last = (str(each) for each in choices)
    return f"{', '.join(first)} or {last}"


def _text_from_number(value: object) -> object:
    # 17 without quotes is a number in YAML; what is meant is clear.
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _instance_type(value: str) -> str:
    if planning.architecture(value) is None:
        raise rule_error("it must be an EC2 instance type", "Write it like t3.small or t4g.small.")
    return value


def _folder(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path):
        raise PydanticCustomError("string_type", "it must be text")
    base: Path = (info.context or {})["base"]
    return Path(os.path.normpath(base / value))


NodeVersion = Annotated[int, AfterValidator(_node_version)]
RedisVersion = Annotated[str, BeforeValidator(_text_from_number), AfterValidator(_redis_version)]
PostgresVersion = Annotated[str, BeforeValidator(_text_from_number), AfterValidator(_postgres_version)]
InstanceType = Annotated[str, AfterValidator(_instance_type)]

Folder = Annotated[Path, PlainValidator(_folder)]
"""A folder, relative to the configuration's own."""

Image = Annotated[
    str,
    matching(
        r"debian-13|ami-[0-9a-f]{8,17}|(?!ami-)[A-Za-z0-9()\[\] ./'@_*?-]{3,128}",
        "it must be debian-13, an AMI's id, or a name pattern of your own AMIs",
        "Write it like debian-13, ami-0123456789abcdef0 or my-app-*.",
    ),
]
HttpPath = Annotated[
    str,
    # It goes into Nginx's configuration and into requests: no blanks, quotes, semicolons or variables.
    matching(r"/[A-Za-z0-9._~!&()*+,=:@%/?-]*", "it must be an absolute URL path", "Start it with a slash: /healthz."),
]
BodySize = Annotated[
    str, matching(r"[1-9][0-9]*[kKmMgG]?", "it must be a size in Nginx's notation", "Like 512k or 1m.")
]
NodeType = Annotated[
    str,
    matching(r"cache\.[a-z0-9]+\.[a-z0-9]+", "it must be an ElastiCache node type", "Write it like cache.t4g.micro."),
]
InstanceClass = Annotated[
    str,
    matching(r"db\.[a-z0-9-]+\.[a-z0-9]+", "it must be an RDS instance class", "Write it like db.t4g.micro."),
]
DatabaseName = Annotated[
    str,
    matching(
        r"(?!(?:rdsadmin|postgres|template[01])$)[a-z][a-z0-9_]{0,62}",
        "it must be a free PostgreSQL name of at most 63 lower-case letters, digits and underscores",
        "Start it with a letter, as in app.",
    ),
]
