"""What a stack adds to its machines: packages, ways in and out, policies, CPU credits."""

import re
from collections.abc import Mapping, Sequence

from .findings import Finding
from .rule import Each, choice, matching, number

PACKAGE = matching(
    # https://www.debian.org/doc/debian-policy/ch-controlfields.html#source
    # To apt-get, a hyphen at the end says "remove", and one at the start is an option.
    r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]",
    "it must be the name of a Debian package",
    "Write it like ffmpeg, in lower case and without a version.",
)

OUTGOING_PORT = number(1, 65535)
"""TCP."""

OPEN_ANYWAY = (80, 443)
"""Where every machine may call out: AWS's APIs, and Debian's packages."""

COMPLETED_BY = choice(("edge", "machine"))
"""Who completes the launch lifecycle hook."""

CPU_CREDITS = choice(("standard", "unlimited"))

_BURSTABLE = re.compile(r"t\d")
_KEY = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check_outgoing_ports(path: str, ports: Sequence[object]) -> list[Finding]:
    """What is wrong with the ports at `path`."""
    findings = Each(OUTGOING_PORT).check(path, ports)
    for index, port in enumerate(ports):
        if port in OPEN_ANYWAY:
            rule = f"it must be another than {OPEN_ANYWAY[0]} and {OPEN_ANYWAY[1]}, which are open anyway"
            findings.append(Finding(f"{path}[{index}]", port, rule, "Remove it."))
        elif port in ports[:index]:
            findings.append(Finding(f"{path}[{index}]", port, "each port must be named once", "Remove one of them."))
    return findings


def is_burstable(instance_type: str) -> bool:
    """Whether an EC2 instance type has CPU credits."""
    return _BURSTABLE.match(instance_type) is not None


def check_cpu_credits(path: str, mode: object, instance_type: str) -> list[Finding]:
    """What is wrong with the mode of CPU credits at `path`, which only burstable types have; None is the type's own."""
    if mode is None:
        return []
    findings = CPU_CREDITS.check(path, mode)
    if not findings and not is_burstable(instance_type):
        rule = f"{instance_type} must be a burstable type, as only they have CPU credits"
        return [Finding(path, mode, rule, "Remove it, or choose a type like t3.small or t4g.small.")]
    return findings


def check_keys(path: str, named: Mapping[str, object]) -> list[Finding]:
    """What is wrong with the keys of the map at `path`, which become parts of resources' names."""
    rule = "its key must be lower-case letters, digits and single hyphens, and start with a letter"
    return [
        Finding(f"{path}.{key}", key, rule, "Names of resources derive from it: rename it.")
        for key in named
        if not _KEY.fullmatch(key)
    ]
