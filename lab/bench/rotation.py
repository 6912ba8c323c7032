"""`make bench-rotation`: what requests see of a secret that changes, on the lab that is up.

The database's password, twice; or the cache's token, or a secret of the app's own, once. A load of reads and writes
runs from before the first change until every worker of every app server has the last value. Then each acknowledged
write is looked for in the database.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from lab import status
from lab.bench.load import Load, Outcome, Plan
from lab.bench.rotated import KINDS, Rotated, aws, wait
from lab.machines import access

LEAD_SECONDS: Final = 5
"""Load before the first change and after the last worker."""
SECOND_AFTER: Final = 8
"""Seconds from the first change to the second: machines are just noticing, or reloading."""
SETTLED_SECONDS: Final = 240


@dataclass(frozen=True)
class Result:
    """What was seen."""

    outcome: Outcome
    lost: int
    """Acknowledged writes that are not in the database."""
    written_all_the_same: int
    """Writes that were not acknowledged, and are there: the answer was lost on its way, not the item."""
    noticed: dict[str, float]
    """Seconds from the last change until all workers had it, by machine."""
    seconds: float


def main() -> int:
    """Measure, print and write down; 1 when there is no lab, a read failed or a write was lost."""
    parser = argparse.ArgumentParser(prog="make bench-rotation", description="A secret changed under load.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    parser.add_argument("--rate", type=int, default=200, metavar="N", help="requests a second (200)")
    parser.add_argument("--writes", type=int, default=20, metavar="PERCENT", help="of them writes (20)")
    parser.add_argument("--what", choices=[*KINDS], default="database", help="the secret (database)")
    options = parser.parse_args()
    record = status.read()
    if record is None or not status.works():
        print("bench: no lab is up here. Try: make up", file=sys.stderr)
        return 1
    # A second token, when workers still have the first one but one, would be one too many for ElastiCache.
    changes = 2 if options.what == "database" else 1
    result = measure(record.url, Plan(options.rate, options.writes), [KINDS[options.what](aws())], changes)
    show(result)
    options.json.write_text(json.dumps(as_json(result), indent=2) + "\n")
    return 1 if result.outcome.failures("GET") or result.lost else 0


def measure(url: str, plan: Plan, rotated: Sequence[Rotated], changes: int = 1) -> Result:
    """The load, with the secrets changed `changes` times."""
    began = time.monotonic()
    outcome, noticed = asyncio.run(_under_load(url, plan, rotated, changes))
    stored = set(stored_names())
    return Result(
        outcome,
        lost=len(outcome.acknowledged.keys() - stored),
        written_all_the_same=len(outcome.refused & stored),
        noticed=noticed,
        seconds=time.monotonic() - began,
    )


async def _under_load(
    url: str, plan: Plan, rotated: Sequence[Rotated], changes: int
) -> tuple[Outcome, dict[str, float]]:
    stopped = asyncio.Event()
    load = asyncio.create_task(Load(url, plan).run(stopped))
    try:
        await asyncio.sleep(LEAD_SECONDS)
        for number in range(changes):
            await asyncio.sleep(SECOND_AFTER if number else 0)
            for each in rotated:
                await asyncio.to_thread(each.rotate)
        noticed = await asyncio.to_thread(settled, [each.expected() for each in rotated], time.monotonic())
        for each in rotated:
            await asyncio.to_thread(each.settle)
        await asyncio.sleep(LEAD_SECONDS)
    finally:
        stopped.set()
    return await load, noticed


def settled(expected: Sequence[str], since: float) -> dict[str, float]:
    """Wait until every worker of every app server has the values that count; how long that took, by machine."""
    machines = [machine["id"] for machine in status.machines() if machine["tier"] == "app"]
    noticed: dict[str, float] = {}

    def look() -> bool:
        for machine in machines:
            if machine not in noticed and have(machine, expected):
                noticed[machine] = round(time.monotonic() - since, 1)
        return len(noticed) == len(machines)

    wait(look, SETTLED_SECONDS, f"not every worker of {machines} has the new values")
    return noticed


def have(machine: str, expected: Sequence[str]) -> bool:
    """Whether all workers of an app server have an environment with each of these in it."""
    # The file's digest is what the workers' is compared with on the machine too, without what reloads no worker.
    script = (
        'while read -r part; do grep -qF -f <(printf %s "$part") /run/expressway/app.env || exit 1; done; '
        'test "$(grep -v ^DATABASE_DIRECT_URL= /run/expressway/app.env | sha256sum | cut -d" " -f1)" = '
        '"$(cat /run/expressway/workers.sha256)"'
    )
    return access.run(machine, ["bash", "-c", script], stdin="".join(f"{part}\n" for part in expected)).returncode == 0


def stored_names() -> list[str]:
    """The name of each item, asked of the database itself: of the machine that takes writes."""
    query = ["timeout", "60", "runuser", "-u", "postgres", "--", "psql", "--dbname=app", "--tuples-only", "--no-align"]
    said = "no machine of it runs"
    for machine in status.machines():
        if machine["tier"] != "database":
            continue
        try:
            done = access.run(machine["id"], query, stdin="select pg_is_in_recovery();\nselect name from items;\n")
        except access.MachineError:
            continue
        copied, _, names = done.stdout.partition("\n")
        if done.returncode == 0 and copied == "f":
            return names.split("\n")[:-1]
        said = done.stderr or "it is a copy"
    raise SystemExit(f"bench: the database doesn't say what it has: {said}")


def rows(result: Result) -> list[tuple[str, str]]:
    """What people read."""
    outcome = result.outcome
    return [
        ("reads", f"{outcome.count('GET')}"),
        ("reads that failed", _failures(outcome.failures("GET"))),
        ("writes", f"{outcome.count('POST')}"),
        ("writes that failed", _failures(outcome.failures("POST"))),
        ("of those, stored all the same", f"{result.written_all_the_same}"),
        ("acknowledged writes that were lost", f"{result.lost}"),
        (
            "answered within, 50 / 99 / 100 %",
            " / ".join(f"{outcome.slowest(share):.0f} ms" for share in (0.5, 0.99, 1)),
        ),
        ("connections opened", f"{outcome.connections}"),
        *(
            (f"all workers of {machine} had it after", f"{seconds:.0f} s")
            for machine, seconds in result.noticed.items()
        ),
    ]


def show(result: Result) -> None:
    """The table."""
    table = Table(title="A secret changed under load", title_justify="left", show_header=False)
    for name, value in rows(result):
        table.add_row(name, value)
    Console(highlight=False).print(table)


def as_json(result: Result) -> dict[str, object]:
    """The same for programs."""
    outcome = result.outcome
    return {
        "reads": outcome.count("GET"),
        "failed_reads": dict(outcome.failures("GET")),
        "writes": outcome.count("POST"),
        "failed_writes": dict(outcome.failures("POST")),
        "written_all_the_same": result.written_all_the_same,
        "lost": result.lost,
        "milliseconds": {f"{share:g}": round(outcome.slowest(share), 1) for share in (0.5, 0.9, 0.99, 0.999, 1)},
        "connections": outcome.connections,
        "noticed_seconds": result.noticed,
        "seconds": round(result.seconds, 1),
    }


def _failures(counted: Counter[str]) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in counted.most_common())
    return f"{counted.total()} ({kinds})" if counted else "0"


if __name__ == "__main__":
    sys.exit(main())
