"""Read replicas of a database: instances of their own, which RDS keeps like their source."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from . import planning, state


def create(
    prefix: str,
    number: int,
    source: "aws.rds.Instance",
    alike: Mapping[str, Any],
    there: state.State,
    *,
    storage: tuple[int, int, int | None],
    insights: str,
    opts: pulumi.ResourceOptions,
) -> "list[aws.rds.Instance]":
    """So many of `source`, with `alike` as that has it, named by `prefix` and their number.

    `storage` is what is asked for, what the source's has come to, and how far it may grow: a replica must not have less
    than its source. It has nothing of its own: no backups, no last snapshot, nothing that would keep it from being
    deleted. RDS chooses its zone, and upgrades it along with its source.
    """
    wanted, source_gb, most = storage
    made: list[aws.rds.Instance] = []
    for name in (f"{prefix}{each}" for each in range(1, number + 1)):
        stands = there.outputs(state.DATABASE, name)
        replica = aws.rds.Instance(
            name,
            replicate_source_db=source.identifier,
            allocated_storage=planning.storage_gb(wanted, int(stands.get("allocatedStorage", source_gb)), most),
            multi_az=False,
            database_insights_mode=planning.insights_mode(insights, stands.get("databaseInsightsMode")),
            skip_final_snapshot=True,
            opts=opts,
            **alike,
        )
        made.append(replica)
    return made
