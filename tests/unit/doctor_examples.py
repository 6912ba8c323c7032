"""A small stack as the doctor is told of it, for tests that change one thing."""

from dataclasses import replace
from typing import Any

from operate.doctor import Cache, Database, Machines, Wanted

DEBIAN = "136693071363"


def tier(role: str, fewest: int, most: int, **changes: Any) -> Machines:
    """Two-vCPU machines of Debian's own image."""
    machines = Machines(
        setting=f"expressway:{role}",
        name=f"dev-{role}",
        instance_type="t3.small",
        architecture="x86_64",
        image="debian-13",
        image_owners=(DEBIAN,),
        image_filter=("name", "debian-13-amd64-*"),
        fewest=fewest,
        most=most,
    )
    return replace(machines, **changes)


def wanted(**changes: Any) -> Wanted:
    """dev's settings in us-east-1."""
    stack = Wanted(
        stack="dev",
        project="expressway",
        region="us-east-1",
        network="dev-network",
        app=tier("app", 2, 4),
        edge=tier("edge", 1, 1),
        database=Database("17", "db.t4g.micro", 20, multi_az=False, connections="8 of 78"),
        cache=Cache("7.1", "cache.t4g.micro", 1),
        zones=2,
        tags={"project": "expressway", "stack": "dev"},
    )
    return replace(stack, **changes)
