"""Machines: their type, image, disk, number and tags."""

import re
from collections.abc import Mapping

from .findings import UNKNOWN, Finding
from .rule import Rule, matching, number

_INSTANCE_TYPE = re.compile(
    r"([a-z]+(?:-[a-z0-9]+)?)(\d+)([a-z]*)(?:-[a-z0-9]+)?\.(nano|micro|small|medium|large|\d*xlarge|metal(?:-\d+xl)?)"
)


def architecture(instance_type: str) -> str | None:
    """`arm64` or `x86_64`, told from the type's name; None when it isn't formed like an EC2 instance type.

    Graviton types carry a `g` among the letters after the generation number (t4g, c7gn); the first ones were called a1.
    https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
    """
    match = _INSTANCE_TYPE.fullmatch(instance_type)
    if match is None:
        return None
    family, _, attributes, _ = match.groups()
    return "arm64" if family == "a" or "g" in attributes else "x86_64"


INSTANCE_TYPE = Rule(
    str,
    lambda value: architecture(value) is not None,  # it decides image and Node runtime
    "it must be an EC2 instance type",
    "Write it like t3.small or t4g.small.",
)

IMAGE = matching(
    r"debian-13|ami-[0-9a-f]{8,17}|(?!ami-)[A-Za-z0-9()\[\] ./'@_*?-]{3,128}",
    "it must be debian-13, an AMI's id, or a name pattern of your own AMIs",
    "Write it like debian-13, ami-0123456789abcdef0 or my-app-*.",
)

VOLUME_SIZE = number(8, 16384, "Choose a size in that range; Debian's image alone has 8 GiB.")
"""GiB. https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html"""

FLEET_SIZE = number(1)
"""Machines, fewest or most."""

TARGET_CPU = number(10, 90)
"""Percent. Below, a fleet that does nothing grows; above, it has no room for what comes while it grows."""
TARGET_REQUESTS = number(1, 100_000)
"""Requests a second for each machine."""


def check_sizes(fewest: object, most: object) -> list[Finding]:
    """What is wrong with a fleet's bounds, each by itself and together."""
    findings = FLEET_SIZE.check("minSize", fewest) + FLEET_SIZE.check("maxSize", most)
    if not findings and isinstance(fewest, int) and isinstance(most, int) and fewest > most:
        return [Finding("minSize", fewest, f"it must be at most maxSize, {most}", "Lower it, or raise maxSize.")]
    return findings


_TAG_NAME = re.compile(r"(?!\.{1,2}$|_index$)[A-Za-z0-9_\-+=,.@:]{1,128}")


def check_tags(path: str, tags: Mapping[str, object]) -> list[Finding]:
    """What AWS would refuse of the tags at `path`, of a machine that reads its own.

    https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html,
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
    """
    rule = (
        "a tag must be text of at most 256 characters; its name at most 128 letters, digits and any of _-+=,.@: "
        "and not start with aws:"
    )
    return [
        Finding(f"{path}.{key}", value, rule, "Put it in quotes, shorten it, or rename it.")
        for key, value in tags.items()
        if not _is_tag(key, value)
    ]


def _is_tag(key: str, value: object) -> bool:
    fits = value is UNKNOWN or (isinstance(value, str) and len(value) <= 256)
    return fits and bool(_TAG_NAME.fullmatch(key)) and not key.lower().startswith("aws:")


AGENT_KEY_PAGE = "https://docs.aws.amazon.com/systems-manager/latest/userguide/verify-agent-signature.html"
"""Where AWS publishes the key that signs its SSM agent, and a new one every year and a half."""

SESSION_MANAGER_KEY = matching(
    r"\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.+\n)*\s*\n"
    r"([A-Za-z0-9+/=]+\r?\n)+-----END PGP PUBLIC KEY BLOCK-----\s*",
    "it must be a PGP public key, as text",
    f"Take the one on {AGENT_KEY_PAGE}.",
)
