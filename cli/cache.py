"""`expressway cache`: `status`, `failover`, `flush` and `rotate-token`."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from cli.console import err, out, print_json, refuse
from cli.options import Json, OutputsFile, StackName

if TYPE_CHECKING:
    from operate.cache import Status

app = typer.Typer(
    no_args_is_help=True, help="The stack's cache: how its nodes are, a failover to try it, a flush, another token."
)


@app.command()
def status(stack: StackName = None, outputs: OutputsFile = None, json: Json = False) -> None:
    """Show each node's role, zone, memory, hit rate, evictions and lag, and changes that wait."""
    from cli import targets
    from operate import cache

    target = targets.find(stack, outputs)
    with _told():
        found = cache.look(target.stack)
    if json:
        print_json(found.as_json())
        return
    out.print(_table(found))
    for line in _remarks(found):
        out.print(line, markup=False, soft_wrap=True)


@app.command()
def failover(
    shard: Annotated[str | None, typer.Option(help="Of a cluster with several: which one, as in 0002.")] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Have ElastiCache make a replica the primary, and wait until the primary's name leads to it.

    It chooses the replica. Writes fail meanwhile; AWS then replaces the former primary, which takes minutes.
    """
    from cli import targets
    from operate import cache

    target = targets.find(stack, outputs)
    with _told("ElastiCache goes on with the failover; expressway cache status shows it"):
        done = cache.failover(target.stack, shard, _tell)
    if json:
        print_json(done.as_json())
        return
    out.print(f"{done.primary} is the primary in place of {done.former}, after {done.seconds:g} s", markup=False)
    out.print(f"ElastiCache was through with it after {done.settled_seconds:g} s", markup=False)


@app.command()
def flush(
    yes: Annotated[bool, typer.Option("--yes", help="Do it: all reads then go to the database first.")] = False,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Have the cache forget everything it has, through an app server: nothing else reaches it.

    A cold cache sends all reads to the database until it has them again.
    """
    from cli import targets
    from operate import cache_flush

    if not yes:
        refuse("a cold cache sends all reads to the database until it has them again: add --yes to flush it")
    target = targets.find(stack, outputs)
    with _told("the cache may be flushed all the same"):
        done = cache_flush.flush(target.stack, _tell)
    if json:
        print_json(done.as_json())
        return
    words = f"{done.cache} had {done.before} keys and has {done.after}, after {done.seconds:g} s"
    out.print(words, markup=False, soft_wrap=True)


@app.command("rotate-token")
def rotate_token(stack: StackName = None, outputs: OutputsFile = None, json: Json = False) -> None:
    """Give the cache another token, which machines follow before the old one is good for nothing.

    One that was cut short is gone on with.
    """
    from cli import targets
    from operate import cache_token

    target = targets.find(stack, outputs)
    with _told("run expressway cache rotate-token again to go on with it"):
        done = cache_token.rotate(target.stack, _tell)
    if json:
        print_json(done.as_json())
        return
    out.print(f"the cache has another token, after {done.seconds:g} s", markup=False)


def _told(interrupted: str = "nothing was changed") -> AbstractContextManager[None]:
    """End the program with one line when the cache, AWS or whoever waits is the problem."""
    from cli import targets
    from operate.cache import CacheError, ShardError

    return targets.told(interrupted, CacheError, (ShardError,))


def _tell(line: str) -> None:
    err.print(line, markup=False, soft_wrap=True)


def _table(found: "Status") -> Table:
    from operate.measured import WINDOW_MINUTES

    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title=f"{found.id}: {found.engine} {found.version} on {found.node_type}, {found.status}",
        caption=f"memory, CPU and hits in %, lag in s; hits and evictions of the last {WINDOW_MINUTES} minutes",
    )
    for name in ("node", "role", "zone", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("mem", "CPU", "clients", "hits", "evicted", "lag"):
        table.add_column(name, justify="right", no_wrap=True)
    for node in found.nodes:
        table.add_row(
            # The title has what all their names begin with, and 80 columns have no room for it.
            *(node.id.removeprefix(f"{found.id}-"), node.role, node.zone, node.status),
            *(_shown(each) for each in (node.memory, node.cpu, node.connections)),
            *(_shown(each) for each in (node.hit_rate, node.evictions, node.lag)),
        )
    return table


def _remarks(found: "Status") -> list[str]:
    lines: list[str] = []
    if found.pending:
        waiting = ", ".join(f"{name}: {value}" for name, value in found.pending.items())
        lines.append(f"waits for the window {found.maintenance_window}: {waiting}")
    if found.parameters not in ("", "in-sync"):
        lines.append(f"parameters of {found.parameter_group} are {found.parameters}")
    lines += [f"shard {shard} has the slots {slots}" for shard, slots in found.slots.items() if slots]
    if not found.failover:
        lines.append("no failover: a node that dies takes the cache with it until ElastiCache has another one")
    return lines


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}" if value < 100 else f"{value:.0f}"
