"""Parameters of a cache that change while it runs: its nodes take them at once, and are `applying` until they have.

Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/ParameterGroups.Modifying.html
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def version_of(values: Mapping[str, str]) -> str:
    """What tells parameters from others."""
    return hashlib.sha256(json.dumps(sorted(values.items())).encode()).hexdigest()[:16]


def status(group: Any, values: Mapping[str, str]) -> str:
    """How a member of a replication group with these parameters stands to them."""
    return "in-sync" if group.parameters_known == version_of(values) else "applying"


def finish(group: Any, values: Mapping[str, str], version: str) -> bool:
    """Every node has the parameters of `version`. Whether those are still the ones that are wanted."""
    if version_of(values) != version:
        return False
    group.parameters_known = version
    return True
