"""`expressway load`."""

import json as encoding
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from cli.console import err, fail, out, refuse
from cli.options import OutputsFile, StackName

if TYPE_CHECKING:
    from cli.capacity import Asked
    from cli.targets import Target
    from operate.load.check import Checked
    from operate.load.mix import Mix
    from operate.load.model import Run
    from operate.load.profiled import Profiling

PERIOD_SECONDS = 10.0
"""Machines measure in periods of this, by the clock."""
LONGEST_STEP = 600


def load(
    mix: Annotated[
        Path | None, typer.Option("--mix", help="What is asked (docs/load.md). Default: the app's GET routes.")
    ] = None,
    access_log: Annotated[
        Path | None, typer.Option("--access-log", help="Without --mix: ask as an edge's access.log says users do.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the run there.", metavar="FILE")] = None,
    page: Annotated[
        Path, typer.Option("--report", help="Write the report there: one HTML page.", metavar="FILE")
    ] = Path("load.html"),
    url: Annotated[str | None, typer.Option("--url", help="Load this site. Default: the stack's.")] = None,
    mine: Annotated[
        bool, typer.Option("--i-own-this-target", help="--url is neither the lab nor the stack, and may be loaded.")
    ] = False,
    rate: Annotated[int | None, typer.Option("--rate", help="Hold this rate, requests a second, and no other.")] = None,
    start: Annotated[
        int | None, typer.Option("--start-rps", help="The first step's rate. Default: light, by a short probe.")
    ] = None,
    highest: Annotated[int | None, typer.Option("--max-rps", help="Offer no more than this.")] = None,
    step: Annotated[int, typer.Option("--step", help="Seconds that each rate is held and counted.")] = 10,
    ramp: Annotated[int, typer.Option("--ramp", help="Seconds in which it rises to a step's rate.")] = 3,
    within: Annotated[int, typer.Option("--within", help="Begin no step that can't end in so many seconds.")] = 180,
    profile: Annotated[
        bool, typer.Option("--profile", help="Then hold the knee's rate again, and profile a worker of the app.")
    ] = False,
    profile_machine: Annotated[
        str | None, typer.Option("--profile-machine", help="With --profile: of this app server.", metavar="i-...")
    ] = None,
    profile_seconds: Annotated[
        int, typer.Option("--profile-seconds", help="With --profile: for so long: 1 to 60.")
    ] = 10,
    plan: Annotated[
        str | None, typer.Option("--plan", help="Say what this rate takes, such as 2000rps: docs/capacity.md.")
    ] = None,
    p95: Annotated[str | None, typer.Option("--p95", help="Within which time: the plan's p95, such as 100ms.")] = None,
    pool: Annotated[
        int | None, typer.Option("--pool", help="Connections that each worker may have. Default: as many as were open.")
    ] = None,
    saved: Annotated[
        Path | None, typer.Option("--from", help="Plan from this run, of --json, without another.", metavar="FILE")
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", help="Load so many app servers, such as 1,2,3, and compare with what was predicted."),
    ] = None,
    stack: StackName = None,
    outputs: OutputsFile = None,
) -> None:
    """Load the stack in steps until it no longer keeps up, and say at which rate that is.

    Ctrl-C ends it with a report of what was measured so far.
    """
    from artifact import cache
    from cli import capacity, loading, profiling
    from operate.load import deployed, vegeta
    from operate.load.attack import AttackError
    from operate.load.readings import Sampler
    from operate.load.run import Load, Options
    from operate.load.statements import Statements
    from operate.load.users import LoginError

    rates = {"--rate": rate, "--start-rps": start, "--max-rps": highest}
    _check(rates, {"--step": (step, 1, LONGEST_STEP), "--ramp": (ramp, 0, 60), "--within": (within, 10, 7200)})
    for option, file in (("--json", json), ("--report", page)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            refuse(f"{option} {file}: there is no such folder to write a file into")
    planned = capacity.asked(plan, p95, saved, pool, check)
    raw = None
    if profile:
        profiling.check_seconds("--profile-seconds", profile_seconds)
        raw = profiling.check_file("--report", page)
    elif profile_machine is not None:
        refuse("--profile-machine goes with --profile")
    if profile and (planned.counts or planned.run):
        refuse("--profile is of one load: not with --check, which makes several, nor with --from, which makes none")
    if planned.run is not None and not planned.counts:
        _report(planned.run, planned, [], json, page, None)
        return
    wanted = None if mix is None else _read(mix)
    log = None if access_log is None else _lines(access_log)
    target, site = _target(url, stack, outputs, mine=mine)
    if profile and target is None:
        refuse(f"--profile needs a stack, whose machines are asked for it: {site} is none that is known")
    profiler = _profiler(target, profile_machine, profile_seconds) if profile and target else None
    # The lab's certificate is for the site's names, and it is asked by its address.
    insecure = target is not None and target.apps is not None
    checkable = capacity.may_check(target, planned.counts) if planned.counts else None
    _reach(site, insecure=insecure)
    try:
        program = vegeta.ensure(cache.root(), lambda line: err.print(line, markup=False))
    except vegeta.VegetaError as error:
        fail(str(error))
    if wanted is None:
        wanted = _chosen(target, site, log, insecure=insecure)
    if planned.run is not None and planned.run.mix != wanted.described():
        refuse(
            f"--from {saved}: that run asked for something else: name the same --mix, or measure again without --from"
        )
    period = PERIOD_SECONDS if target is not None and step % PERIOD_SECONDS == 0 else 0.0
    options = Options(float(step), float(ramp), float(within), start, highest, rate, period)
    name = target.name if target else None
    sampler = None if target is None else Sampler.of(target.stack)
    group = target.stack.log_groups.get("app") if target else None
    statements = Statements(target.stack.client("logs"), group) if target and group else None

    def run(of: Options) -> "Run":
        with loading.watching() as watch:
            load = Load(program, site, wanted, of, insecure, name, watch.show)
            return load.run(sampler, statements, profiler, lambda: deployed.read(target.stack) if target else None)

    try:
        done, compared = (
            capacity.checked(checkable, planned, options, run) if checkable else (planned.run or run(options), [])
        )
    except (AttackError, LoginError) as error:
        fail(str(error))
    for missing in sampler.missing if sampler else ():
        err.print(f"not read: {missing}", markup=False, soft_wrap=True)
    _report(done, planned, compared, json, page, wanted.think_time, profiler, raw)


def _report(
    done: "Run",
    planned: "Asked",
    compared: "Sequence[Checked]",
    json: Path | None,
    page: Path,
    think_time: float | None,
    profiler: "Profiling | None" = None,
    raw: Path | None = None,
) -> None:
    """Everything that came of it: on the terminal, as JSON, as a page."""
    from cli import capacity, loading, profiling
    from operate.load import report

    found, why_not = capacity.plan(planned, done)
    if json is not None:
        told = done.as_json() | capacity.as_json(found, compared)
        _write("--json", json, encoding.dumps(told, indent=2) + "\n")
    proposal, bill = found or (None, None)
    _write("--report", page, report.page(done, proposal, bill, compared=compared))
    loading.report(out, done, think_time)
    if done.profile:
        profiling.report(out, done.profile)
    if raw and profiler and profiler.taken:
        profiling.write("--report", raw, profiler.taken.text)
        err.print(f"the profile, for Chrome's DevTools: {raw}", markup=False, soft_wrap=True)
    if found:
        capacity.show(out, *found)
    if compared:
        capacity.show_check(out, compared)
    err.print(f"the report: {page}", markup=False, soft_wrap=True)
    if done.interrupted:
        err.print("interrupted: this is what was measured until then", markup=False)
    if profiler and not done.profile:
        fail(f"there is no profile: {profiler.problem}")
    if why_not:
        fail(why_not)
    if planned.counts and len(compared) < len(planned.counts):
        fail(f"--check: {len(compared)} of {len(planned.counts)} numbers of app servers were compared")


def _check(rates: dict[str, int | None], seconds: dict[str, tuple[int, int, int]]) -> None:
    for option, given in rates.items():
        if given is not None and given < 1:
            refuse(f"{option} {given}: it must be 1 request a second at least")
    for option, (given, least, most) in seconds.items():
        if not least <= given <= most:
            refuse(f"{option} {given}: it must be {least} to {most} seconds")
    if rates["--rate"] and (rates["--start-rps"] or rates["--max-rps"]):
        refuse("--rate is one rate: leave out --start-rps and --max-rps")
    if (rates["--start-rps"] or 0) > (rates["--max-rps"] or float("inf")):
        refuse("--start-rps is higher than --max-rps")


def _read(path: Path) -> "Mix":
    from operate.load import mix as mixes

    try:
        return mixes.read(path)
    except mixes.MixError as error:
        refuse(str(error))


def _lines(path: Path) -> list[str]:
    try:
        with path.open(errors="replace") as file:
            return list(file)
    except OSError as error:
        refuse(f"--access-log {path}: {error.strerror}")


def _target(url: str | None, stack: str | None, outputs: Path | None, *, mine: bool) -> tuple["Target | None", str]:
    """The stack, where it is one that is known; and the address."""
    from cli import targets

    if url is None:
        target = targets.find(stack, outputs)
        if not target.stack.url:
            refuse(f"the stack {target.name} has no output url: name the address with --url")
        return target, target.stack.url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        refuse(f"--url {url}: it must be a site's address such as https://shop.example.com")
    target = targets.find(stack, outputs) if stack or outputs else targets.find_lab()
    if target is not None and target.stack.url and _site(url) == _site(target.stack.url):
        return target, target.stack.url
    if not mine:
        refuse(f"--url {url} is neither the lab nor the stack: with --i-own-this-target you say that you may load it")
    return None, url


def _profiler(target: "Target", machine: str | None, seconds: int) -> "Profiling":
    from cli import targets
    from operate.load.profiled import Profiling
    from operate.profile import request

    with targets.explained():
        try:
            return Profiling(target.stack, request.choose(target.stack, machine), seconds)
        except request.ProfileError as error:
            (refuse if machine else fail)(str(error))


def _site(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    return (
        parts.scheme,
        parts.hostname,
        parts.port or {"http": 80, "https": 443}.get(parts.scheme),
        parts.path.strip("/"),
    )


def _reach(url: str, *, insecure: bool) -> None:
    from operate.load import reach

    try:
        reach.ask(url, "/", insecure=insecure)
    except (reach.UnreachableError, ValueError) as error:
        refuse(f"{url} can't be reached: {error}")


def _chosen(target: "Target | None", url: str, log: Sequence[str] | None, *, insecure: bool) -> "Mix":
    """The mix of an app that brought none."""
    from cli import app_routes
    from operate.load import reach, routes

    def ask(path: str) -> str:
        try:
            status = reach.ask(url, path, insecure=insecure)
        except reach.UnreachableError as error:
            return f"isn't answered ({error})"
        return "" if status < 400 else f"answers {status}"

    found, source, notes = app_routes.find(target, log)
    chosen = routes.choose(found, source, notes, ask) if found else None
    if chosen is None:
        # An app whose routes aren't known has its first page.
        chosen = routes.choose({"/": 1.0}, "GET / alone", [*notes, *([source] if found else [])], ask)
    if chosen is None:
        refuse(f"{url}: no route is known that answers below 400: write a mix file, and name it with --mix")
    for line in chosen.notes:
        err.print(line, markup=False, soft_wrap=True)
    return chosen.mix


def _write(option: str, path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        fail(f"{option} {path}: {error.strerror}")
