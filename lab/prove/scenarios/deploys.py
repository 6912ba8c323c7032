"""Releases, good and bad."""

import asyncio
import contextlib
import signal
import subprocess
from pathlib import Path
from typing import Any

from lab.bench.load import spread
from lab.prove import releases
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Done, Running, Stand, StandError, words_of

ROLLING_SECONDS = 60
IN_PLACE_SECONDS = 25


async def _running(stand: Stand) -> set[str]:
    """The releases that the app servers run."""
    status = (await stand.expressway("status", "--json")).json()
    return {each["release"] for each in status["machines"] if each["tier"] == "app"}


async def _current(stand: Stand) -> str:
    status: dict[str, Any] = (await stand.expressway("status", "--json")).json()
    return status["release"]


async def _deploy(stand: Stand, running: Running, app: Path, *options: str) -> Done:
    """A deploy, from its start to its end."""
    running.note(" ".join(("deploy", *options)))
    done = await stand.expressway("deploy", "--app", str(app), "--json", *options)
    running.note(f"ended with {done.status}")
    return done


async def _good(stand: Stand, version: str, limit: float, *options: str) -> Result:
    app = releases.make(stand.app, stand.work, version)
    before = await _current(stand)
    async with stand.load() as running:
        done = await _deploy(stand, running, app, *options)
        after, everywhere = await _current(stand), await _running(stand)
    return Result(
        running.outcome,
        unmet(
            (done.status == 0, f"the deploy ended with {done.status}: {done.err[-500:]}"),
            (after != before and everywhere == {after}, f"{before} became {after}, and the machines run {everywhere}"),
            (done.seconds <= limit, f"took {done.seconds:.0f} s"),
            none_failed(running.outcome),
        ),
        {"seconds": round(done.seconds, 1)},
        tuple(running.events),
    )


@scenario("deploy-rolling", "deploy of a good release, rolling", "0 failed; 2 machines in 60 s or less")
async def rolling(stand: Stand) -> Result:
    """New machines first, then the old ones go."""
    return await _good(stand, "0.2.0", ROLLING_SECONDS)


async def _in_place_shortly(stand: Stand) -> Result:
    return await _good(stand, "0.3.1", 2 * IN_PLACE_SECONDS, "--in-place")


@scenario(
    "deploy-in-place", "deploy of a good release, in place", "0 failed; 2 machines in 25 s or less", _in_place_shortly
)
async def in_place(stand: Stand) -> Result:
    """One machine after the other."""
    return await _good(stand, "0.3.0", IN_PLACE_SECONDS, "--in-place")


async def _bad(stand: Stand, app: Path, log: str, *, may_fail: bool = False, corrupt: bool = False) -> Result:
    before = await _current(stand)
    async with stand.load() as running:
        known = _artifacts(stand)
        spoiling = asyncio.create_task(_spoil(stand, known)) if corrupt else None
        began = running.load.elapsed()
        done = await _deploy(stand, running, app)
        ended = running.load.elapsed()
        if spoiling:
            spoiling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await spoiling
        after, everywhere = await _current(stand), await _running(stand)
    outside = [*spread(running.outcome.samples, 0, began), *spread(running.outcome.samples, ended, 1e9)]
    failed = running.outcome.failures()
    return Result(
        running.outcome,
        unmet(
            (done.status == 1, f"the deploy ended with {done.status}, not 1"),
            (
                {after} == everywhere == {before},
                f"{before} was current, now {after}, and the machines run {everywhere}",
            ),
            (log in done.out + done.err, f"{log!r} of the machine's log is not shown: {done.err[-800:]}"),
            none_failed(running.outcome)
            if not may_fail
            else (
                set(failed) <= {"HTTP 500"} and not any(each.failure for each in outside),
                f"others than the baking machine's: {dict(failed)}",
            ),
        ),
        {"seconds": round(done.seconds, 1)},
        tuple(running.events),
    )


@scenario("deploy-exits", "deploy of a release that crashes at boot", "0 failed; exit 1; the old release everywhere")
async def exits(stand: Stand) -> Result:
    """The app ends with an error as soon as it starts."""
    return await _bad(stand, releases.make(stand.app, stand.work, "0.4.0", "exits"), "no such file: settings.json")


@scenario("deploy-unready", "deploy of a release that never gets ready", "0 failed; exit 1; the old release everywhere")
async def unready(stand: Stand) -> Result:
    """The app answers its readiness path with 503 for ever."""
    return await _bad(stand, releases.make(stand.app, stand.work, "0.5.0", "unready"), "503")


@scenario(
    "deploy-errors",
    "deploy of a release that answers 500 after it was ready",
    "errors from the baking machine only, while it bakes; exit 1; the old release everywhere",
)
async def errors(stand: Stand) -> Result:
    """Readiness is well; what users ask for isn't."""
    return await _bad(stand, releases.make(stand.app, stand.work, "0.6.0", "errors"), "500", may_fail=True)


@scenario("deploy-corrupt", "deploy of a release that is corrupt", "0 failed; exit 1; the old release everywhere")
async def corrupt(stand: Stand) -> Result:
    """What is in the bucket isn't what was uploaded."""
    return await _bad(stand, releases.make(stand.app, stand.work, "0.7.0"), "SHA-256", corrupt=True)


@scenario(
    "deploy-release-command",
    "deploy of a release whose release command fails",
    "0 failed; exit 1; the old release everywhere",
)
async def release_command(stand: Stand) -> Result:
    """Nothing has changed when it fails."""
    command = "node -e \"console.error('no such table: orders'); process.exit(3)\""
    return await _bad(
        stand, releases.make(stand.app, stand.work, "0.8.0", release_command=command), "no such table: orders"
    )


async def _killed(stand: Stand, version: str, then: tuple[str, ...]) -> Result:
    """A deploy killed half-way; what runs after `then` is one release, the new one or the old one."""
    app = releases.make(stand.app, stand.work, version)
    before = await _current(stand)
    async with stand.load() as running:
        running.note("deploy")
        process = await asyncio.create_subprocess_exec(
            *words_of("deploy", "--app", str(app)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(StandError):
            await stand.until(lambda: _mixed(stand), "a machine of each release", 60)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        running.note("killed")
        words = then if then[0] == "rollback" else (*then, "--app", str(app))
        done = await stand.expressway(*words, "--json")
        running.note(f"{then[0]} ended with {done.status}")
        after, everywhere = await _current(stand), await _running(stand)
    expected = after == before if then[0] == "rollback" else after != before
    return Result(
        running.outcome,
        unmet(
            (done.status == 0, f"{then[0]} ended with {done.status}: {done.err[-500:]}"),
            (expected and everywhere == {after}, f"{before} became {after}, and the machines run {everywhere}"),
            none_failed(running.outcome),
        ),
        {"seconds": round(done.seconds, 1)},
        tuple(running.events),
    )


async def _mixed(stand: Stand) -> bool:
    return len(await _running(stand)) > 1


@scenario("deploy-killed-deploy", "deploy killed half-way, then deploy again", "0 failed, the new release everywhere")
async def killed_then_deploy(stand: Stand) -> Result:
    """Killed with -9 when machines of both releases run."""
    return await _killed(stand, "0.9.0", ("deploy",))


@scenario("deploy-killed-rollback", "deploy killed half-way, then rollback", "0 failed, the old release everywhere")
async def killed_then_rollback(stand: Stand) -> Result:
    """Killed with -9 when machines of both releases run."""
    return await _killed(stand, "0.10.0", ("rollback",))


def _artifacts(stand: Stand) -> set[str]:
    listed = stand.aws("s3").list_objects_v2(Bucket=stand.outputs["artifactBucket"], Prefix="releases/")
    return {each["Key"] for each in listed.get("Contents", ())}


async def _spoil(stand: Stand, known: set[str]) -> None:
    """Put something else in the place of the next artifact."""
    while not (new := await asyncio.to_thread(_artifacts, stand) - known):
        await asyncio.sleep(0.05)
    for key in new:
        stand.aws("s3").put_object(Bucket=stand.outputs["artifactBucket"], Key=key, Body=b"not what was uploaded")
