"""Rules that join several settings, or look beyond them: at the app's folder, the region, the stack's name."""

import re
from collections.abc import Callable, Iterator

import artifact
from components import planning

from .model import Document
from .problems import HIDDEN, Problem, looks_secret, show

ZONES = {
    "ap-northeast-1": 3,
    "ap-northeast-2": 4,
    "ap-northeast-3": 3,
    "ap-south-1": 3,
    "ap-southeast-1": 3,
    "ap-southeast-2": 3,
    "ca-central-1": 3,
    "eu-central-1": 3,
    "eu-north-1": 3,
    "eu-west-1": 3,
    "eu-west-2": 3,
    "eu-west-3": 3,
    "sa-east-1": 3,
    "us-east-1": 6,
    "us-east-2": 3,
    "us-west-1": 2,
    "us-west-2": 4,
}
"""Availability zones that a new account gets, in regions that are on by default.
https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html"""

COMPONENTS = {
    "app": "AppServers",
    "cache": "Cache",
    "database": "Database",
    "edge": "LoadBalancer",
    "network": "Network",
    "release": "Release",
}
"""The stack's components, by the role that their names end in."""

LONGEST_STACK_NAME = min(planning.NAME_LIMITS[kind] - len(f"-{role}") for role, kind in COMPONENTS.items())
"""Characters. All names in AWS derive from the stack's."""

RESERVED_VARIABLES = frozenset(
    {
        "DATABASE_REPLICA_URLS",
        "DATABASE_URL",
        "INSTANCE_ID",
        "NODE_ENV",
        "NODE_EXTRA_CA_CERTS",
        "PORT",
        "REDIS_URL",
        "RELEASE_ID",
    }
)
"""What the machine itself tells the app."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S{1,519}|[A-Za-z0-9/_+=.@-]{1,512}")

Sound = Callable[[str], bool]
"""Whether the setting at a path has no mistake of its own, so that rules about it make sense."""


def check(document: Document, stack: str, region: str | None, sound: Sound) -> Iterator[Problem]:
    """Every broken rule. Reads the app's folder; asks no network."""
    yield from _stack_name(stack)
    yield from _network(document, region, sound)
    yield from _app_folder(document, sound)
    yield from _sizes(document, sound)
    yield from _environment(document)
    yield from _secrets(document)


def _stack_name(stack: str) -> Iterator[Problem]:
    for finding in planning.check_name(stack, LONGEST_STACK_NAME):
        yield Problem("the stack's name", show("", stack), finding.rule, "Make a stack with another name.")


def _network(document: Document, region: str | None, sound: Sound) -> Iterator[Problem]:
    network = document.network
    subnets = [planning.Subnet(each.zone, each.public, each.private) for each in network.subnets or []]
    findings: list[planning.Finding] = []
    if sound("network.cidr"):
        findings += planning.check_vpc(network.cidr)
    if network.subnets is not None and sound("network.subnets"):
        findings += planning.check_subnets(network.cidr if sound("network.cidr") else None, subnets)
    for finding in findings:
        path = f"expressway:network.{finding.path}"
        yield Problem(path, show(path, finding.value), finding.rule, finding.remedy)
    if region is None:
        return
    has = ZONES.get(region)
    if network.subnets is None and has is not None and sound("network.zones") and network.zones > has:
        rule = f"it must be at most {has}, the zones of {region}"
        yield Problem("expressway:network.zones", str(network.zones), rule, "Lower it, or choose another region.")
    for index, subnet in enumerate(subnets):
        if not re.fullmatch(rf"{re.escape(region)}[a-z]", subnet.zone):
            path = f"expressway:network.subnets[{index}].zone"
            yield Problem(path, show(path, subnet.zone), f"it must be a zone of {region}", f"Write it like {region}a.")


def _app_folder(document: Document, sound: Sound) -> Iterator[Problem]:
    if not sound("app.path"):
        return
    try:
        artifact.inspect(document.app.path)
    except artifact.AppError as error:
        folder = str(document.app.path)
        for problem in error.problems:
            rule = problem.rule if problem.path == folder else f"{problem.path}: {problem.rule}"
            yield Problem("expressway:app.path", folder, rule, problem.remedy)


def _sizes(document: Document, sound: Sound) -> Iterator[Problem]:
    app = document.app
    if sound("app.minSize") and sound("app.maxSize") and app.min_size > app.max_size:
        rule = f"it must be at most app.maxSize, {app.max_size}"
        yield Problem("expressway:app.minSize", str(app.min_size), rule, "Lower it, or raise app.maxSize.")


def _environment(document: Document) -> Iterator[Problem]:
    for name, value in document.app.environment.items():
        path = f"expressway:app.environment.{name}"
        yield from _variable_name(path, name)
        if looks_secret(name, value):
            rule = "a secret must not be plain text, as it would be in the user data of every machine"
            remedy = f"Put it into Secrets Manager, and its name there at expressway:app.secrets.{name}; or rename it."
            yield Problem(path, HIDDEN, rule, remedy)
        elif not value.isprintable():
            rule = "it must be one line of printable characters"
            yield Problem(path, HIDDEN, rule, "Encode it, for example as JSON, or keep it in Secrets Manager.")


def _secrets(document: Document) -> Iterator[Problem]:
    for name, secret in document.app.secrets.items():
        path = f"expressway:app.secrets.{name}"
        yield from _variable_name(path, name)
        if not _SECRET_NAME.fullmatch(secret):
            rule = "it must be the name or ARN of a secret in Secrets Manager, not the secret itself"
            yield Problem(path, HIDDEN, rule, "Put the value into Secrets Manager, and its name here.")
        if name in document.app.environment:
            rule = "a variable must be set once, and app.environment has it too"
            yield Problem(path, HIDDEN, rule, "Remove one of them.")


def _variable_name(path: str, name: str) -> Iterator[Problem]:
    if not _VARIABLE.fullmatch(name):
        rule = "a variable's name must be letters, digits and underscores, and not start with a digit"
        yield Problem(path, "", rule, "Rename it.")
    if name in RESERVED_VARIABLES:
        yield Problem(path, "", "the machine itself sets this variable", "Remove it, or use another name.")
