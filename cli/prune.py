"""The command that clears the artifact bucket of what no machine can still ask for."""

import json as json_module
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.console import fail, out, print_json
from cli.options import Json


def prune(
    outputs: Annotated[
        Path, typer.Argument(help="The stack's outputs: pulumi stack output --json -s <stack>", metavar="OUTPUTS.json")
    ],
    days: Annotated[int, typer.Option(min=1, help="How long what is no longer used is kept.")] = 90,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only show what would be.")] = False,
    json: Json = False,
) -> None:
    """Clear the artifact bucket of what no machine uses, or may be rolled back to. The bucket keeps versions."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from operate import prune as pruning

    try:
        stack = json_module.loads(outputs.read_text())
        bucket = str(stack["artifactBucket"])
        session = boto3.Session()
        found = pruning.find(session, stack, datetime.now(UTC), days)
        if yes:
            pruning.delete(session, bucket, found)
    except OSError as error:
        fail(f"{outputs}: {error.strerror}")
    except (ValueError, KeyError, TypeError) as error:
        fail(f"{outputs}: these are no stack's outputs ({error}): write them with pulumi stack output --json")
    except (pruning.PruneError, BotoCoreError, ClientError) as error:
        fail(str(error))
    if json:
        print_json({"bucket": bucket, "deleted": yes, "keys": [each.key for each in found]})
        return
    for each in found:
        out.print(f"{each.size:>12,}  {each.key}", markup=False, soft_wrap=True)
    total = sum(each.size for each in found)
    done = "deleted" if yes else "would be deleted; --yes does it"
    out.print(f"{len(found)} objects, {total:,} bytes, in {bucket}: {done}", markup=False, soft_wrap=True)
