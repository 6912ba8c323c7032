"""`expressway lab …`: the same stack on this machine."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.console import err, fail, out, print_json, refuse
from cli.options import Json
from lab.engine import Engine

LEAST_CORE = 0.05
"""Less is less than a machine takes to measure itself."""

app = typer.Typer(no_args_is_help=True, help="The whole stack on this machine, without an AWS account.")


@app.command()
def up(
    app_dir: Annotated[Path | None, typer.Option("--app", help="The Express app's folder.")] = None,
    config: Annotated[
        list[str] | None, typer.Option("--config", "-c", help="A setting on top of Pulumi.lab.yaml, as key=value.")
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(help="A secret for app.secrets or edge.certificate to name, as name=file with its text."),
    ] = None,
    plain: Annotated[bool, typer.Option(help="Boot plain Debian images instead of baked ones.")] = False,
    api_port: Annotated[int, typer.Option(help="Where the API listens on 127.0.0.1.", min=1, max=65535)] = 4566,
    engine: Annotated[
        Engine, typer.Option(help="What applies the program: pulumi, the SDK's mocks, or pulumi where it is found.")
    ] = Engine.AUTO,
    core_per_vcpu: Annotated[
        float | None,
        typer.Option(help="Slower CPUs: each vCPU of a machine's type is this part of a core. Default: all share all."),
    ] = None,
    json: Json = False,
) -> None:
    """Bring the stack up and wait until it answers; change it, where it is up and the Pulumi engine made it."""
    from lab.lock import BusyError
    from lab.up import Options, UpError, up

    if core_per_vcpu is not None and not LEAST_CORE <= core_per_vcpu <= 1:
        refuse(f"--core-per-vcpu {core_per_vcpu:g}: it must be {LEAST_CORE} to 1: so much of a core is a vCPU")
    try:
        wanted = Options(app_dir, tuple(config or ()), plain, api_port, engine, tuple(secret or ()), core_per_vcpu)
        done = up(wanted, err)
    except (UpError, BusyError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; what was started is cleared away by the next `lab up`, or now by: make down")
    if done.app is not None:
        from cli.deploy import deploy_to_lab

        deploy_to_lab(Path(done.app["path"]))
    if json:
        _print_status(json=True)
        return
    record = done.record
    err.print(done.table)
    _print_status(json=False)
    if done.app is None:
        out.print(f"\nfirst answer after {record.seconds['first_answer']:.1f} s: [bold]{record.url}[/bold]")
    # A certificate is for the site's names, and this is an address.
    curl = "curl --insecure" if record.url.startswith("https:") else "curl"
    out.print(f"try: {curl} {record.url}/    stop: make down", markup=False)


@app.command()
def down() -> None:
    """Take the lab down; only the cache stays."""
    from lab import down as lab_down
    from lab.lock import BusyError, exclusive

    _root_only()
    try:
        with exclusive():
            there = lab_down.present()
            lab_down.down()
    except BusyError as error:
        fail(str(error))
    out.print("the lab is down" if there else "there is no lab here")


@app.command()
def status(json: Json = False) -> None:
    """Show the machines of the lab and the app they serve."""
    _print_status(json=json)


@app.command()
def logs(machine: Annotated[str, typer.Argument(help="A machine's id, or a tier if it has one machine.")]) -> None:
    """Print a machine's boot log; by its id, also that of one that is gone."""
    from lab.machines import access, ended

    gone = machine in {each.id for each in ended.all_ended()}
    out.print(access.logs(machine if gone else _find(machine)), markup=False, soft_wrap=True)


@app.command()
def dashboard(
    name: Annotated[str | None, typer.Argument(help="Its name. Default: the only one that there is.")] = None,
    into: Annotated[Path, typer.Option(help="The HTML file that is written.")] = Path("dashboard.html"),
) -> None:
    """Draw a CloudWatch dashboard of the lab as it is now: monitoring.dashboard makes the stack's."""
    from lab import config
    from lab.aws import Aws
    from lab.dashboard.read import DashboardError, names, read

    lab = config.read()
    if lab is None:
        fail("there is no lab here; start one with: make up")
    if not into.absolute().parent.is_dir():
        refuse(f"--into {into}: there is no folder {into.absolute().parent}")
    aws = Aws(lab.endpoint, lab.region)
    there = names(aws)
    if not there:
        fail(
            "there is no dashboard; the stack's is made with: make up UP_ARGS='-c expressway:monitoring.dashboard=true'"
        )
    if name is None and len(there) > 1:
        refuse(f"which dashboard? There are: {', '.join(there)}")
    if name is not None and name not in there:
        refuse(f"there is no dashboard {name!r}. There are: {', '.join(there)}")
    try:
        into.write_text(read(aws, name or there[0]))
    except DashboardError as error:
        fail(str(error))
    except OSError as error:
        fail(f"--into {into}: {error.strerror}")
    out.print(f"{name or there[0]}: {into}", markup=False)


# Options after the machine are the command's, also without `--` before them.
@app.command(context_settings={"allow_interspersed_args": False})
def shell(
    machine: Annotated[str, typer.Argument(help="A machine's id, or a tier if it has one machine.")],
    command: Annotated[list[str] | None, typer.Argument(help="What to run inside; without it, a shell.")] = None,
) -> None:
    """Run a command inside a machine, or open a shell there; its exit status is handed on."""
    from lab.machines import access

    _root_only()
    words = command or []
    try:
        raise typer.Exit(access.shell(_find(machine), words[1:] if words[:1] == ["--"] else words))
    except access.MachineError as error:
        fail(str(error))


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def pulumi(
    command: Annotated[list[str], typer.Argument(help="A command of the Pulumi CLI, such as: preview --diff")],
) -> None:
    """Run the Pulumi CLI on the lab's stack, with the lab's provider, backend and passphrase."""
    import os

    from lab.engine import pulumi_cli
    from lab.engine.apply import HOME, configure
    from lab.engine.stack_config import ConfigError

    _root_only()
    if not HOME.state.exists():
        fail("there is no lab here that the Pulumi engine made; start one with: make pulumi, then make up")
    try:
        found = pulumi_cli.find()
        configure()
    except pulumi_cli.NoCliError as error:
        fail(f"there is no usable Pulumi CLI: {error}. Try: make pulumi")
    except ConfigError as error:
        fail(str(error))
    os.chdir(HOME.project)
    os.execve(found.path, [found.path.name, *command], {**os.environ, **HOME.environment(found)})  # noqa: S606


def _find(name: str) -> str:
    """The id of the machine that `name` names: an id, the beginning of one, or a tier with one machine."""
    from lab import status as lab_status

    there = lab_status.machines()
    if not there:
        fail("there is no lab here; start one with: make up")
    ids = [one["id"] for one in there if one["id"] == name]
    ids = ids or [one["id"] for one in there if one["tier"] == name or one["id"].startswith(name)]
    if len(ids) != 1:
        known = ", ".join(f"{one['id']} ({one['tier']})" for one in there)
        fail(f"{name!r} names {'no machine' if not ids else 'more than one machine'} here. There are: {known}")
    return ids[0]


def _print_status(*, json: bool) -> None:
    from lab import status as lab_status

    record = lab_status.read()
    there = lab_status.machines()
    if json:
        shown = lab_status.Record("down", "", {}, {}, {}, []) if record is None else record
        print_json(
            {
                "phase": shown.phase,
                "url": shown.url or None,
                "works": lab_status.works(),
                "app": shown.app,
                "seconds": shown.seconds,
                "machines": there,
            }
        )
        return
    if record is None:
        out.print("there is no lab here; start one with: make up")
        return
    table = Table("tier", "machine", "address", "state")
    table.add_column("boot, s", justify="right")
    for one in there:
        boot = "" if one["boot_seconds"] is None else f"{one['boot_seconds']:.1f}"
        table.add_row(one["tier"], one["id"], one["address"], one["state"], boot)
    out.print(table)
    if record.app:
        _print_app(record.app)
    if not lab_status.works():
        out.print(f"[red]the lab is not working[/red] (phase: {record.phase}); make up starts a new one")


def _print_app(app: dict[str, Any]) -> None:
    run = "cluster, a worker per CPU" if app["mode"] == "cluster" else "one process"
    why = f" ({app['reason']})" if app["reason"] else ""
    out.print(f"app: {app['name']} {app['version']}, release {app['release']}", markup=False)
    out.print(f"PM2: {run}{why}", markup=False)


def _root_only() -> None:
    import os

    if os.geteuid() != 0:
        fail("the lab's machines are root's: run this as root")
