"""The rules. None of them knows Pulumi: `registration` brings the two together."""

from . import buckets, data, encryption, machines, ports, tags
from .model import UNKNOWN, Resource, Rule, Settings, StackRule

RULES = (
    data.NO_PUBLIC_DATABASE,
    encryption.ENCRYPTION,
    machines.IMDSV2,
    ports.OPEN_PORTS,
    machines.PINNED_VERSION,
    tags.REQUIRED_TAGS,
    data.DATA_PROTECTION,
)
"""About one resource each: a violation stops it before anything is made."""

STACK_RULES = (buckets.CLOSED_BUCKETS, ports.EDGE_ONLY)
"""About resources that belong together: the engine looks at them once it has all, in the preview already."""

__all__ = ["RULES", "STACK_RULES", "UNKNOWN", "Resource", "Rule", "Settings", "StackRule"]
