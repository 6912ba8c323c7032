"""`lab up`: from nothing to the whole stack answering on this machine."""

import contextlib
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import requests
from rich.console import Console
from rich.table import Table
from urllib3.exceptions import InsecureRequestWarning

import artifact
import settings
from artifact import AppError, Artifact, BuildError, Runtime
from artifact.cache import root as cache_root
from lab import config, daemon, differences, down, given_secrets, images, paths, preflight, status
from lab.api import amis
from lab.aws import Aws
from lab.config import LabConfig
from lab.engine import Engine, apply, pulumi_cli, stack_config
from lab.lock import exclusive
from lab.machines import access, control_groups, debian, ended, image, observation
from lab.machines.image import Image
from lab.machines.observation import State
from lab.machines.recipe import BASE
from lab.network import addresses, links
from lab.steps import Steps

SERVICES: Final = ("postgresql", "redis", "haproxy", "pgbouncer")
"""Images of what runs behind managed services."""
API_PORT: Final = 4566
API_SECONDS: Final = 30
FIRST_ANSWER_SECONDS: Final = 240
"""A plain image on a busy machine needs half a minute."""
POLL_SECONDS: Final = 0.2
STATE_BYTES: Final = 1_000_000_000
CACHE_BYTES: Final = 3_000_000_000
"""Measured: 1.9 GB for all images, the runtime and the app's artifact."""


class UpError(Exception):
    """The lab did not come up; the message says why and what to do."""


@dataclass(frozen=True)
class Options:
    """What `lab up` was asked for. `overrides` are `key=value` settings on top of Pulumi.lab.yaml."""

    app: Path | None = None
    overrides: Sequence[str] = ()
    plain: bool = False
    """Boot plain Debian images, whose user data installs everything, instead of the baked ones."""
    api_port: int = API_PORT
    engine: Engine = Engine.AUTO
    secrets: Sequence[str] = ()
    """What Secrets Manager is to hold, as `NAME=FILE`."""
    core_per_vcpu: float | None = None
    """How much of a core each vCPU of a machine's type is; None: machines share all of the host's cores."""


@dataclass(frozen=True)
class Up:
    """What came of it."""

    record: status.Record
    table: Table
    """Where the seconds went."""
    app: Mapping[str, Any] | None
    """The app as it is now, where the lab was up before: its release, and what has changed of the machines, are yet to
    be deployed."""


def up(options: Options, console: Console) -> Up:
    """Bring the lab up and wait until all of it is in service.

    A lab that is up already becomes what the program says now, where the real engine made it; what runs on its machines
    is for a deploy to change. Raises UpError, or BusyError. What was started stays for a look at it, and the next
    `lab up` clears it away.
    """
    with exclusive():
        engine = _engine(options.engine)
        running = status.read() if status.works() else None
        overrides = _overrides(options)
        settled = _settings(overrides)
        for note in differences.notes(settled, control_groups.host_memory(), limits=control_groups.limits_memory()):
            console.print(f"note: {note}", markup=False)
        secrets = _secrets(options)
        steps = Steps(console)
        with steps.live():
            if running:
                _check_cores(options)
                record, app = _change(running, settled, overrides, secrets, engine, steps)
                return Up(record, steps.table(), app)
            # What is left over holds the very addresses and ports that are checked next.
            if os.geteuid() == 0 and down.present():
                with steps.step("clear away what a former lab left"):
                    down.down()
            _check_host(options, settled, console)
            record = _up(options, settled, overrides, secrets, engine, steps)
        return Up(record, steps.table(), None)


def _change(
    running: status.Record,
    settled: settings.Settings,
    overrides: Sequence[str],
    secrets: Mapping[str, str],
    engine: pulumi_cli.Cli | None,
    steps: Steps,
) -> tuple[status.Record, Mapping[str, Any]]:
    """Make the lab that is up what the program says now; the app is what `_describe` says of it."""
    made_by_engine = apply.HOME.state.exists()
    if engine is not None and made_by_engine:
        return _update(running, settled, overrides, secrets, engine, steps)
    # Without the engine the infrastructure can't be changed, and the app can.
    if sorted(overrides) == sorted(running.overrides):
        app = _describe(settled, _build_app(settled, steps))
        if app["release"] != running.app["release"]:
            return running, app
    why = (
        "the Pulumi engine made it, and this is without one (make pulumi)"
        if made_by_engine
        else "it was made without the Pulumi engine, which alone could change more than the app"
    )
    raise UpError(f"a lab is already up at {running.url}; {why}. Take it down first: make down")


def _check_cores(options: Options) -> None:
    """UpError when the lab that is up has other cores: its controller began with them."""
    lab = config.read()
    if options.core_per_vcpu is not None and lab is not None and lab.core_per_vcpu != options.core_per_vcpu:
        has = "all of the host's cores" if lab.core_per_vcpu is None else f"{lab.core_per_vcpu:g} of a core for each"
        raise UpError(f"--core-per-vcpu: the lab that is up has {has}. Take it down first: make down")


def _engine(wanted: Engine) -> pulumi_cli.Cli | None:
    """The CLI to apply with, or None for the mock monitor."""
    if wanted is Engine.MOCKS:
        return None
    try:
        return pulumi_cli.find()
    except pulumi_cli.NoCliError as error:
        if wanted is Engine.PULUMI:
            raise UpError(f"there is no usable Pulumi CLI: {error}. Try: make pulumi") from error
        return None


def _overrides(options: Options) -> list[str]:
    """What goes on top of Pulumi.lab.yaml; a later one wins."""
    images = [f"expressway:{tier}.image=debian-13" for tier in ("edge", "app")] if options.plain else []
    app = [f"expressway:app.path={options.app.resolve()}"] if options.app else []
    return [*images, *app, *options.overrides]


def _settings(overrides: Sequence[str]) -> settings.Settings:
    try:
        values = stack_config.load(paths.ROOT, apply.CONFIGURATION, overrides)
        found = settings.parse(values, stack="lab", base=paths.ROOT, source=apply.CONFIGURATION.name)
    except (stack_config.ConfigError, settings.SettingsError) as error:
        raise UpError(str(error)) from error
    if found.database.aurora:
        raise UpError(
            "expressway:database.engine = aurora: the lab has no Aurora, which runs on AWS alone; try the app with "
            "-c expressway:database.engine=postgresql, and without what only Aurora has"
        )
    return found


def _secrets(options: Options) -> dict[str, str]:
    try:
        return given_secrets.read(options.secrets)
    except given_secrets.GivenSecretError as error:
        raise UpError(str(error)) from error


def _up(
    options: Options,
    settled: settings.Settings,
    overrides: Sequence[str],
    secrets: Mapping[str, str],
    engine: pulumi_cli.Cli | None,
    steps: Steps,
) -> status.Record:
    built, _, made = _build(settled, steps)
    paths.STATE.mkdir(parents=True, mode=0o755)
    app = _describe(settled, built)
    status.write(status.Record("starting", "", app, {}, {}, []))
    try:
        lab = _start(options, settled, made, steps)
        given_secrets.put(Aws(lab.endpoint, lab.region)("secretsmanager"), secrets)
        record = _await(_apply(overrides, engine, lab, steps), app, steps)
    except BaseException:
        status.write(status.Record("failed", "", app, {}, {}, []))
        raise
    record = replace(record, overrides=list(overrides))
    status.write(record)
    return record


def _update(
    running: status.Record,
    settled: settings.Settings,
    overrides: Sequence[str],
    secrets: Mapping[str, str],
    engine: pulumi_cli.Cli,
    steps: Steps,
) -> tuple[status.Record, Mapping[str, Any]]:
    lab = config.read()
    if lab is None:
        raise UpError(f"{paths.STATE} lacks what describes the lab that is up; take it down first: make down")
    built, _, _ = _build(settled, steps)
    given_secrets.put(Aws(lab.endpoint, lab.region)("secretsmanager"), secrets)
    # Machines keep the release that they booted: only a deploy moves it.
    record = _await(_apply(overrides, engine, lab, steps), running.app, steps)
    record = replace(record, overrides=list(overrides), apps=running.apps)
    status.write(record)
    return record, _describe(settled, built)


def _describe(settled: settings.Settings, built: Artifact) -> dict[str, Any]:
    app = artifact.inspect(settled.app.path)
    return {
        "path": str(settled.app.path),
        "name": app.name,
        "version": app.version,
        "release": built.release_id,
        "mode": built.start.mode,
        "reason": built.start.reason,
    }


def _apply(overrides: Sequence[str], engine: pulumi_cli.Cli | None, lab: LabConfig, steps: Steps) -> Mapping[str, Any]:
    """The stack's outputs."""
    try:
        if engine is None:
            with steps.step("Pulumi program") as detail:
                return apply.by_mocks(overrides, lab, detail)
        with steps.step(f"pulumi up ({engine.version})") as detail:
            result = apply.by_engine(engine, overrides, lab, detail)
    except apply.ApplyError as error:
        raise UpError(str(error)) from error
    if set(result.changes) != {"create"}:
        for change in result.diff:
            steps.note(str(change))
    steps.note("resources: " + ", ".join(f"{count} {change}" for change, count in sorted(result.changes.items())))
    return result.outputs


def _check_host(options: Options, settled: settings.Settings, console: Console) -> None:
    """UpError with everything that stands in the way; warnings are printed."""
    needs = preflight.Needs(
        vpc=IPv4Network(settled.network.cidr),
        api_port=options.api_port,
        registries=() if paths.images().exists() else (f"{debian.archive().main}/dists/{debian.SUITE}/Release",),
        disk=((paths.STATE, STATE_BYTES), (cache_root(), CACHE_BYTES)),
    )
    found = preflight.problems(needs)
    for problem in found:
        if not problem.fatal:
            console.print(f"note: {problem}", markup=False)
    if fatal := [problem for problem in found if problem.fatal]:
        raise UpError("\n".join(map(str, fatal)))


def _build_app(settled: settings.Settings, steps: Steps) -> Artifact:
    try:
        with steps.step("app artifact") as detail:
            app = settled.app
            return artifact.build(app.path, app.node_version, app.arch, cache_root(), detail, app.apm)
    except (AppError, BuildError) as error:
        raise UpError(str(error)) from error


def _build(settled: settings.Settings, steps: Steps) -> tuple[Artifact, Runtime, dict[str, Image]]:
    """The app's artifact, the Node runtime and the images; what does not wait for another is made side by side."""
    cache = cache_root()
    node, arch = settled.app.node_version, settled.app.arch
    try:
        with ThreadPoolExecutor(2) as pool:
            base = pool.submit(image.ensure, [BASE], steps.step)
            with steps.step("Node runtime") as detail:
                runtime = artifact.build_runtime(node, arch, cache, detail)
            built = _build_app(settled, steps)
            base.result()
        with steps.step("images"):
            made = dict(image.ensure(images.recipes(runtime), steps.step))
    except (AppError, BuildError, image.ImageError) as error:
        raise UpError(str(error)) from error
    return built, runtime, made


def _start(options: Options, settled: settings.Settings, made: dict[str, Image], steps: Steps) -> LabConfig:
    """The API and the controller, ready."""
    offered = [made[name] for name in ("debian-13", "expressway-edge", "expressway-app")]
    listed = paths.STATE / "amis.json"
    entries = [one.ami() for one in offered]
    listed.write_text(json.dumps([one.entry() for one in (*entries, amis.api_only(entries[0].architecture))]))
    lab = LabConfig(
        api_port=options.api_port,
        region=settled.region,
        images={one.ami().id: [str(layer) for layer in one.layers] for one in offered},
        services={name: [str(layer) for layer in made[name].layers] for name in SERVICES},
        core_per_vcpu=options.core_per_vcpu,
    )
    config.write(lab)
    # Machines with CPUs of their own go before other programs; these two answer them.
    nice = 0 if options.core_per_vcpu is None else -20
    with steps.step("AWS API"):
        links.ensure_host(paths.STATE)
        daemon.start(
            down.API,
            "lab.api",
            [
                *("--port", str(lab.api_port), "--tls-address", str(addresses.API)),
                *("--tls-dir", str(paths.STATE / "tls"), "--amis", str(listed), "--region", lab.region, "--machines"),
            ],
            nice=nice,
        )
        _await_api(lab)
        daemon.start(down.CONTROLLER, "lab.controller", nice=nice)
    return lab


def _await_api(lab: LabConfig) -> None:
    deadline = time.monotonic() + API_SECONDS
    while time.monotonic() < deadline:
        if daemon.find(down.API) is None:
            raise UpError(f"the API did not start:\n{daemon.last_words(down.API)}")
        with contextlib.suppress(requests.RequestException):
            if _get(f"{lab.endpoint}/lab/v1/health", 1).ok:
                return
        time.sleep(0.05)
    raise UpError(f"the API did not answer within {API_SECONDS} s:\n{daemon.last_words(down.API)}")


def _await(outputs: Mapping[str, Any], app: dict[str, Any], steps: Steps) -> status.Record:
    """Wait for the first 200 through the edge, then for all machines."""
    url = str(outputs["url"])
    with steps.step("first answer through the edge") as detail:
        _poll(lambda: _answers(url), detail, FIRST_ANSWER_SECONDS, f"{url} did not answer")
    first = steps.elapsed()
    with steps.step("all machines in service") as detail:
        _poll(_all_ready, detail, FIRST_ANSWER_SECONDS, "not every machine is in service")
    seconds = {"first_answer": first, "all": steps.elapsed()}
    return status.Record("up", url, app, seconds, dict(outputs), [asdict(step) for step in steps.done])


def _poll(done: Callable[[], bool], detail: Callable[[str], None], seconds: float, otherwise: str) -> None:
    """Wait until `done`; UpError when a machine fails to boot or the controller is gone, or after `seconds`."""
    deadline, began = time.monotonic() + seconds, time.time()
    while not done():
        for one in ended.all_ended():
            if one.never_up and one.ended_at >= began:
                raise UpError(f"machine {one.id} ({one.tier}) was given up:\n{access.boot_failure(one.id)}")
        found = observation.observe()
        for one in found:
            if one.state is State.FAILED:
                raise UpError(f"machine {one.id} ({one.tier}) failed to boot:\n{access.boot_failure(one.id)}")
        if daemon.find(down.CONTROLLER) is None:
            raise UpError(f"the controller ended:\n{daemon.last_words(down.CONTROLLER)}")
        if time.monotonic() > deadline:
            states = ", ".join(f"{one.id} ({one.tier}) {one.state}" for one in found) or "no machine was started"
            raise UpError(
                f"{otherwise} within {seconds:.0f} s: {states}. Look into one with: ./expressway lab logs MACHINE\n"
                f"The controller's last words:\n{daemon.last_words(down.CONTROLLER, 5)}"
            )
        ready = sum(one.state is State.READY for one in found)
        detail(f"{ready} of {len(found)} machines ready")
        time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return _get(url, 2).status_code == HTTPStatus.OK
    return False


def _all_ready() -> bool:
    return all(one.state is State.READY for one in observation.observe())


def _get(url: str, seconds: float) -> requests.Response:
    with requests.Session() as session:
        # A proxy of the environment is not for this host's own addresses.
        session.trust_env = False
        with warnings.catch_warnings():
            # A certificate is for the site's names, by an authority that needn't be this host's; here only the address
            # is known, and whether anything answers there is all that is asked.
            warnings.simplefilter("ignore", InsecureRequestWarning)
            return session.get(url, timeout=seconds, verify=False)
