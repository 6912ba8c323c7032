"""`expressway deploy` and `expressway rollback`."""

import functools
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import err, fail, out, print_json, refuse
from cli.options import Json, OutputsFile, StackName

if TYPE_CHECKING:
    from cli.targets import Target
    from operate import deploy as deploying

InPlace = Annotated[
    bool,
    typer.Option("--in-place", help="Install it on the machines that are there, one after the other; quicker."),
]
Bake = Annotated[
    float | None,
    typer.Option(
        help="Seconds for which a first machine's answers are compared with the others'. [default: 15; lab: 5]"
    ),
]
LONGEST_BAKE = 86_400

SHOWN_LINES = 40


def deploy(
    app_dir: Annotated[
        Path | None, typer.Option("--app", help="The Express app's folder. Default: the stack's own.")
    ] = None,
    in_place: InPlace = False,
    bake: Bake = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Put the app as it is now, and what has changed of the machines, into service; all of it, or back to what was."""
    from cli import targets

    _check_bake(bake)
    began = time.monotonic()
    target = targets.find(stack, outputs)
    to = _build_and_store(target, app_dir)
    outcome = _carry_out(target, to, in_place=in_place, bake=bake, back=False)
    _end(replace(outcome, seconds=time.monotonic() - began), str(to["release_id"]), json=json)


def rollback(
    release: Annotated[str | None, typer.Argument(help="Its id, or how it begins. Default: the one before.")] = None,
    in_place: InPlace = False,
    bake: Bake = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Go back to a release; of a deploy that was interrupted, to the one before it."""
    from cli import targets
    from operate import deploy as deploying
    from operate import releases

    _check_bake(bake)
    target = targets.find(stack, outputs)
    with targets.explained():
        found = deploying.read(target.stack.client("s3"), target.stack.bucket)
        if release is None and found and not found[0].over:
            to = {key: value for key, value in found[0].before.items() if key != "deploy"}
        else:
            current = str(releases.pointer(target.stack)["release_id"])
            try:
                chosen = releases.choose(releases.history(target.stack), current, release)
            except releases.ReleaseError as error:
                refuse(str(error))
            to = {"release_id": chosen.release, "key": chosen.key, "sha256": chosen.sha256}
        if not releases.stored(target.stack, to["key"], to["sha256"]):
            fail(
                f"release {to['release_id']} isn't in the bucket any more, or not as it was built "
                f"(s3://{target.stack.bucket}/{to['key']}): deploy it from its source"
            )
    outcome = _carry_out(target, to, in_place=in_place, bake=bake, back=True)
    _end(outcome, str(to["release_id"]), json=json)


def deploy_to_lab(app_dir: Path) -> None:
    """What `make up` does where the lab is up: the same deploy. Ends the program, with the reason, when it fails."""
    from cli import targets

    target = targets.find(None, None)
    built = _build_and_store(target, app_dir)
    outcome = _carry_out(target, built, in_place=False, bake=None, back=False)
    if not outcome.deployed:
        _tell(outcome, built["release_id"])
        raise typer.Exit(1)


def _check_bake(bake: float | None) -> None:
    # A number that is none would bake for ever.
    if bake is not None and not 0 <= bake <= LONGEST_BAKE:
        refuse(f"--bake {bake:g}: it must be 0 to {LONGEST_BAKE} seconds")


def _build_and_store(target: "Target", app_dir: Path | None) -> dict[str, Any]:
    """Have the app in the bucket as it is now; its release pointer. Ends the program when that can't be had."""
    import artifact
    from artifact.cache import root as cache_root
    from cli import targets
    from operate import releases

    folder = app_dir or target.app
    if folder is None:
        refuse("which app? Name its folder: --app DIR")
    node, arch, apm = target.stack.node, target.stack.arch, target.stack.apm
    if node is None or arch is None:
        refuse("the outputs don't say for which Node the machines are made: run pulumi up once, with this release")
    try:
        told = functools.partial(err.print, markup=False)
        built = artifact.build(folder.absolute(), node, arch, cache_root(), told, apm)
        target.describe(artifact.inspect(folder.absolute()), built)
    except artifact.AppError as error:
        refuse(str(error))
    except artifact.BuildError as error:
        fail(str(error))
    with targets.explained():
        if releases.upload(target.stack, built.path, built.key, built.sha256):
            err.print(f"release {built.release_id} is in {target.stack.bucket}", markup=False, soft_wrap=True)
    return {"release_id": built.release_id, "key": built.key, "sha256": built.sha256}


def _carry_out(
    target: "Target", to: dict[str, Any], *, in_place: bool, bake: float | None, back: bool
) -> "deploying.Outcome":
    """Deploy `to`, and show how it goes. Ends the program when it can't be begun, or not be ended."""
    from cli import targets
    from cli.progress import watching
    from operate import deploy as deploying
    from operate import status

    usual = deploying.BAKE_SECONDS if target.bake is None else target.bake
    options = deploying.Options(
        mode=deploying.Mode.IN_PLACE if in_place else deploying.Mode.ROLLING,
        bake=usual if bake is None else bake,
        back=back,
    )
    try:
        with targets.explained(), watching() as watch:

            def tell(now: deploying.Progress) -> None:
                release = now.goal.release or str(to["release_id"])
                watch.show(now.phase, status.rows(now.fleet, release), release, now.note)

            outcome = deploying.deploy(target.stack, to, options, tell)
    except deploying.RefusedError as error:
        refuse(str(error))
    except (deploying.BusyError, deploying.LostError, deploying.StuckError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(
            "interrupted, and half done: expressway status shows what runs where; deploy or rollback goes on from there"
        )
    if outcome.deployed:
        target.deployed(outcome.release)
    return outcome


def _end(outcome: "deploying.Outcome", wanted: str, *, json: bool) -> None:
    if json:
        from operate import status

        failure = outcome.failure
        print_json(
            {
                "deployed": outcome.deployed,
                "changed": outcome.changed,
                "release": outcome.release,
                "before": outcome.before,
                "failure": asdict(failure) if failure else None,
                "seconds": round(outcome.seconds, 1),
                "machines": [asdict(row) for row in status.rows(outcome.fleet, outcome.release)],
            }
        )
    else:
        _tell(outcome, wanted)
    if not outcome.deployed:
        raise typer.Exit(1)


def _tell(outcome: "deploying.Outcome", wanted: str) -> None:
    from cli.progress import machines
    from operate import status

    if not outcome.changed:
        out.print(f"every machine runs release {outcome.release} already: nothing to do", markup=False)
        return
    out.print(machines(status.rows(outcome.fleet, outcome.release), outcome.release))
    failure = outcome.failure
    if failure is None:
        took = f"after {outcome.seconds:.0f} s (before: {outcome.before})"
        out.print(f"release {outcome.release} is on every machine, {took}", markup=False, soft_wrap=True)
        return
    if failure.log:
        err.print(f"the last lines of {failure.machine}:", markup=False)
        for line in failure.log[-SHOWN_LINES:]:
            err.print(f"  {line}", markup=False, soft_wrap=True)
    where = f" on {failure.machine}" if failure.machine else ""
    what = f"release {wanted} failed{where}: {failure.reason}. Every machine runs release {outcome.release} again"
    err.print("[red]error:[/red] ", end="")
    err.print(what, markup=False, soft_wrap=True)
