"""A database that somebody else keeps, such as Citus or Aurora Limitless: what is said of it, and what can't be."""

import ipaddress
import re
from collections.abc import Collection
from typing import cast

from .aurora import AURORA, POSTGRESQL
from .connections import PGBOUNCER, RDS_PROXY
from .findings import NOTHING, UNKNOWN, Finding
from .rule import Each, Rule, choice

EXTERNAL = "external"
STACK_DATABASE = choice((POSTGRESQL, AURORA, EXTERNAL))
"""What a stack's database may be; the component makes the first two."""

EXTERNAL_ONLY = ("secret", "port", "egress", "maxConnections")
"""Settings of such a database alone."""
_EITHER = ("engine", "pooler", "poolSize")

_SEE_TO_IT = "Leave it out, and see to it where the database is kept."
_MENDS = {
    "replicas": "Leave it out: reads go where the URL leads; an engine made for more spreads them itself.",
    "shards": "Leave it out: an engine made for more spreads the rows itself, behind the one URL.",
    "appUser": "Leave it out, and make the role there: the URL has its name and password.",
    "name": "Leave it out: the URL has the database's name.",
    "parameters": "Leave it out, and set them there; expressway:database.maxConnections says how many it takes.",
}

_GROUP = re.compile(r"sg-[0-9a-f]{8,17}")


def is_group(place: str) -> bool:
    """Whether it is a security group's id."""
    return _GROUP.fullmatch(place) is not None


def _is_place(text: str) -> bool:
    # Python would also take an address without a prefix, or a netmask.
    if is_group(text) or not re.fullmatch(r"[0-9.]+/[0-9]+", text):
        return is_group(text)
    try:
        ipaddress.IPv4Network(text)
    except ValueError:
        return False
    return True


EGRESS = Rule(
    str,
    _is_place,
    "it must be an IPv4 CIDR, or a security group's id",
    "Write it like 10.9.0.0/16 or sg-0123456789abcdef0.",
)
PLACE_FOR_MORE = "set maxConnections to what the database takes, where that is more"
"""How a fleet that such a database can't take is mended, beside what mends any."""


def check_egress(path: str, given: object) -> list[Finding]:
    """What is wrong with the list of where app servers may connect to."""
    findings = Each(EGRESS).check(path, given)
    if findings or given is UNKNOWN:
        return findings
    entries = cast(list[object], given)
    if not entries:
        rule = "it must say where the database is: without a way out, no app server reaches it"
        return [Finding(path, NOTHING, rule, EGRESS.remedy)]
    return [
        Finding(f"{path}[{index}]", each, "each entry must be given once", "Remove one of them.")
        for index, each in enumerate(entries)
        if each in entries[:index]
    ]


def check_external(engine: str, given: Collection[str], every: Collection[str]) -> list[Finding]:
    """Whether what is `given` of `every` setting is one that goes with the engine, and what it needs is there."""
    if engine != EXTERNAL:
        rule = f"it must not be there with engine {engine}, whose database is the stack's own"
        mend = f"Leave it out, or set engine to {EXTERNAL}."
        return [Finding(name, engine, rule, mend) for name in EXTERNAL_ONLY if name in given]
    allowed = (*_EITHER, *EXTERNAL_ONLY)
    rule = f"it must not be there with engine {EXTERNAL}, whose database isn't the stack's to make"
    findings = [
        Finding(name, NOTHING, rule, _MENDS.get(name, _SEE_TO_IT))
        for name in every
        if name in given and name not in allowed
    ]
    needed = {
        "secret": ("the secret that has the database's URL", "Name one whose text is postgresql://user:...@host/name."),
        "egress": ("where the database is, which app servers may then connect to", EGRESS.remedy),
    }
    for name, (what, mend) in needed.items():
        if name not in given:
            findings.append(Finding(name, NOTHING, f"it must be there with engine {EXTERNAL}: {what}", mend))
    return findings


def check_external_pooler(path: str, pooler: str) -> list[Finding]:
    """Whether it can stand before a database that isn't the stack's."""
    if pooler != RDS_PROXY:
        return []
    rule = f"it must not be {RDS_PROXY} with engine {EXTERNAL}: the stack makes one for a database of its own alone"
    return [Finding(path, pooler, rule, f"Set it to {PGBOUNCER}.")]
