"""`expressway db` and its subcommands, from `status` to `add-shard`."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, out, print_json, refuse
from cli.options import Json, OutputsFile, StackName

if TYPE_CHECKING:
    from cli.targets import Target
    from operate.stack import Stack

Shard = Annotated[
    int | None,
    typer.Option("--shard", help="Of several databases, which one: from 0 on, as the kit counts them.", metavar="N"),
]

app = typer.Typer(
    no_args_is_help=True,
    help="The stack's database: how it is, a failover to try it, snapshots, copies, another password, one shard more.",
)


@app.command()
def status(shard: Shard = None, stack: StackName = None, outputs: OutputsFile = None, json: Json = False) -> None:
    """Show each instance's zone, state, CPU, connections and lag, its storage and backups, and changes that wait.

    Of all shards, unless one is named.
    """
    from cli import targets
    from cli.db import tables
    from operate.database import shards
    from operate.database import status as looking

    target = targets.find(stack, outputs)
    with _told():
        chosen = shards.every(target.stack) if shard is None else [_of(target, shard)]
        found = [looking.look(each) for each in chosen]
    if json:
        print_json([each.as_json() for each in found] if len(found) > 1 else found[0].as_json())
        return
    for each in found:
        out.print(tables.members(each))
        for line in tables.remarks(each):
            out.print(line, markup=False, soft_wrap=True)


@app.command()
def failover(shard: Shard = None, stack: StackName = None, outputs: OutputsFile = None, json: Json = False) -> None:
    """Have RDS make the standby the primary, and wait until it is. Connections break, and writes fail meanwhile.

    With Aurora, a reader becomes the writer.
    """
    from cli import targets
    from operate.database import failover as failing

    target = targets.find(stack, outputs)
    with _told("RDS goes on with the failover; expressway db status shows it"):
        done = failing.failover(_of(target, shard), _tell)
    if json:
        print_json(done.as_json())
        return
    _say(f"{done.id} is in {done.zone}, and was in {done.former}, after {done.seconds:g} s")
    if done.writer is not None:
        _say(f"{done.writer} takes its writes")
    if done.moved_seconds is not None:
        _say(f"its name led there after {done.moved_seconds:g} s")


@app.command()
def snapshot(
    name: Annotated[
        str | None, typer.Argument(help="Of the snapshot. Default: the database's, and the time.", metavar="[NAME]")
    ] = None,
    shard: Shard = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Take a snapshot, and wait until it is there. It stays until somebody deletes it, and costs by its size."""
    from cli import targets
    from operate.database import snapshots as shots

    target = targets.find(stack, outputs)
    with _told("RDS goes on with the snapshot; expressway db snapshots shows it"):
        taken = shots.take(_of(target, shard), name, _tell)
    if json:
        print_json(taken.as_json())
        return
    _say(f"{taken.snapshot.name} is there, after {taken.seconds:g} s")


@app.command()
def snapshots(shard: Shard = None, stack: StackName = None, outputs: OutputsFile = None, json: Json = False) -> None:
    """List the database's snapshots, the newest first: size, age, and whether RDS made them by itself."""
    from cli import targets
    from cli.db import tables
    from operate.database import snapshots as shots

    target = targets.find(stack, outputs)
    with _told():
        found = shots.every(_of(target, shard))
    if json:
        print_json([each.as_json() for each in found])
        return
    if not found:
        out.print("there is none: expressway db snapshot takes one")
        return
    out.print(tables.snapshots(found))


@app.command()
def restore(
    name: Annotated[str, typer.Option("--as", help="The copy's name.", metavar="NAME")],
    time: Annotated[
        str | None, typer.Option("--time", help="As it was then: 2026-11-26T09:30:00Z.", metavar="TIME")
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="As it was some minutes ago, the latest there is.")] = False,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", help="As it is in that snapshot.", metavar="NAME")
    ] = None,
    shard: Shard = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Make a copy of the database, an instance of its own beside it, and wait for it. The live one isn't touched.

    It is in the same network and behind the same security groups, and costs as an instance does until it is deleted.
    With Aurora, it is a cluster with one instance.
    """
    from cli import targets
    from operate.database import restore as restoring
    from operate.database.instance import RequestError

    if sum((time is not None, latest, snapshot is not None)) != 1:
        refuse("of what? Give one of --time TIME, --latest and --snapshot NAME")
    try:
        at = restoring.moment(time) if time is not None else None
    except RequestError as error:
        refuse(f"--time: {error}")
    target = targets.find(stack, outputs)
    with _told(f"where RDS was asked already, it goes on with {name}: aws rds describe-events shows it"):
        done = restoring.restore(_of(target, shard), name, at, snapshot, _tell)
    if json:
        print_json(done.as_json())
        return
    of = f", as it was at {done.at}" if done.at else ""
    _say(f"{done.id} is a copy of {done.source}{of}, after {done.seconds:g} s")
    _say(f"it answers at {done.endpoint}, to whom the stack's database answers; its password is in {done.secret}")
    delete = f"aws rds delete-db-instance --skip-final-snapshot --db-instance-identifier {done.writer or done.id}"
    _say(f"a new stack starts from it with expressway:database.restoreFrom: {done.id}; see docs/database.md")
    if done.writer is None:
        _say(f"to delete it: {delete}")
    else:
        _say(
            f"to delete it: {delete}, then aws rds delete-db-cluster --skip-final-snapshot "
            f"--db-cluster-identifier {done.id}"
        )


@app.command()
def promote(
    replica: Annotated[str, typer.Argument(help="A replica's name; db status has them.", metavar="REPLICA")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: no way leads back.")] = False,
    shard: Shard = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Make a read replica a database of its own, which takes writes, and wait for it. There is no way back."""
    from cli import targets
    from operate.database import promote as promoting

    if not yes:
        refuse(f"{replica} would follow the stack's database no more, and no way leads back: add --yes to do it")
    target = targets.find(stack, outputs)
    with _told("RDS goes on with the promotion; expressway db status shows it"):
        done = promoting.promote(_of(target, shard), replica, _tell)
    if json:
        print_json(done.as_json())
        return
    _say(f"{done.id} is a database of its own at {done.endpoint}, after {done.seconds:g} s")
    _say("the stack doesn't know: before the next pulumi up, see docs/database.md on promotion")


@app.command("rotate-password")
def rotate_password(
    master: Annotated[
        bool, typer.Option("--master", help="The master user's, where the app has a role of its own (appUser).")
    ] = False,
    shard: Shard = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Give the app another password for its database, which machines follow by themselves.

    One that was cut short is gone on with.
    """
    from cli import targets
    from operate.database import password

    target = targets.find(stack, outputs)
    with _told("run expressway db rotate-password again to go on with it"):
        # Of all shards, unless one is named.
        named = target.stack if shard is None else _of(target, shard)
        if not master and (changed := password.rotate_app(named, _tell)):
            if json:
                print_json([each.as_json() for each in changed])
                return
            _say("the app's role has another password: app servers tell PostgreSQL of it within a minute, and follow")
            return
        done = password.rotate(_of(target, shard), _tell)
    if json:
        print_json(done.as_json())
        return
    _say(f"the database has another password, after {done.seconds:g} s; machines follow within a minute")


@app.command("add-shard")
def add_shard(
    undo: Annotated[bool, typer.Option("--undo", help="Move the keys back.")] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="End the move, once all have moved: no way leads back.")
    ] = False,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Move its keys to a shard that was added, while the app reads and writes.

    Before database.shards is raised, it says which shards have keys, and has that recorded. One that was cut short is
    gone on with.
    """
    from cli import targets
    from operate.database import add_shard as moving

    if undo and finish:
        refuse("--undo moves the keys back, and --finish leaves no way back: give one of them")
    target = targets.find(stack, outputs)
    with _told("the machine goes on; run it again later, and it goes on where this one ends"):
        done = moving.run(target.stack, "undo" if undo else "finish" if finish else "move", _tell)
    if json:
        print_json(done.as_json())
        return
    before, after = done.shards_before, done.shards_after
    keys = f"{done.keys_moved} of {done.keys_all} keys"
    rows = f"{done.rows} rows, after {done.seconds:g} s; a key waited {done.longest_wait_ms} ms at most"
    if done.state == "recorded":
        _say(f"{done.keys_all} keys are on {before} of {before} shards, and one that is added has none until they move")
        _say(f"next: database.shards: {after}, pulumi up, expressway deploy, and expressway db add-shard again")
    elif done.state == "moved":
        _say(f"{keys} are on the shard that was added, which makes {after}: {rows}")
        _say("next: expressway db add-shard --finish, or --undo, which moves them back")
    elif done.state == "undone":
        _say(f"all {done.keys_all} keys are on {before} shards again: {rows}")
    else:
        _say(f"{after} shards have keys, and the last one {keys}")


# Options after the instance are psql's, also without `--` before them.
@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def connect(
    words: Annotated[list[str] | None, typer.Argument(help="For psql, such as: -c 'select 1'.", metavar="PSQL")] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="A replica, a reader or a copy. Default: the database.")
    ] = None,
    shard: Shard = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
) -> None:
    """Open psql on the database, through an app server, as its master user; psql's exit status is handed on."""
    from cli import targets
    from cli.db import connect as connecting
    from operate.database import connect as logins

    target = targets.find(stack, outputs)
    given = words or []
    with _told():
        login = logins.login(_of(target, shard), instance)
        status = connecting.psql(target, login, given[1:] if given[:1] == ["--"] else given)
    raise typer.Exit(status)


def _told(interrupted: str = "nothing was changed") -> AbstractContextManager[None]:
    """End the program with one line when the database, AWS or whoever waits is the problem."""
    from cli import targets
    from operate.database.instance import DatabaseError, RequestError

    return targets.told(interrupted, DatabaseError, (RequestError,))


def _of(target: "Target", shard: int | None) -> "Stack":
    from operate.database import shards

    return shards.choose(target.stack, shard)


def _tell(line: str) -> None:
    err.print(line, markup=False, soft_wrap=True)


def _say(line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)
