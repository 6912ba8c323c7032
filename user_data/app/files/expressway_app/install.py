"""Make this machine an app server. Each step finds what an earlier run, or a baked image, has already done."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config, files, host, launch, metadata, session_manager
from expressway_machine.aws import Clients

from . import command, deploys, environment, journal, paths, pool, releases, start, trust
from .artifact import ArtifactError, read_pointer
from .artifact import fetch as fetch_archive
from .command import CommandError
from .report import Reporter

BUNDLE = Path(__file__).resolve().parent.parent
SYSTEMD = Path("/etc/systemd/system")
FOLLOWER = "expressway-secrets.service"
DEPLOYS = "expressway-deploys.service"
METRICS = "expressway-metrics.service"

FAILURES = (
    *(OSError, ValueError, KeyError, subprocess.CalledProcessError, BotoCoreError, ClientError),
    *(ArtifactError, CommandError, start.StartError),
)
"""What may keep the app from being installed and started."""


def main() -> int:
    """Install and start the app; 0 once it is ready, 1 with the app's last words and the reason otherwise."""
    began = time.time()
    try:
        machine = config.load()
        reporter = Reporter(machine, metadata.instance_id())
        # Before the pointer is read: a deploy that comes later is seen to be another one.
        deploy = metadata.tag(deploys.TAG)
    except (OSError, ValueError, KeyError) as error:
        return failed(error)
    try:
        reporter.write("installing", deploy=deploy)
        changed = prepare(machine, reporter, deploy)
        session_manager.configure(machine, BUNDLE)
        reporter.write("starting", deploy=deploy)
        begin(machine, restart=changed)
        await_app(machine, deploy)
        reporter.write("ready", deploy=deploy)
        if hook := machine["launch_hook"]:
            launch.complete(Clients(machine["region"]).get("autoscaling"), metadata.instance_id(), hook)
    except FAILURES as error:
        words = error.log if isinstance(error, CommandError) else journal.last_words(journal.read(began))
        report = reporter.write("failed", deploy=deploy, reason=reason(error), log=words)
        # The app's own words first, and why it was given up after them.
        print("\n".join(report["log"]), file=sys.stderr)
        tell_of_failure(machine)
        if hook := machine["launch_hook"]:
            launch.abandon(Clients(machine["region"]).get("autoscaling"), metadata.instance_id(), hook)
        return failed(error)
    return 0


def await_app(machine: config.Machine, deploy: str | None) -> None:
    """Return once the app is ready. StartError when it won't be; deploys are followed in either case."""
    try:
        start.wait_until_ready(machine["app"])
    except start.StartError:
        deploys.followed(deploy, good=None)
        raise
    else:
        deploys.followed(deploy, good=paths.release())
    finally:
        # Only now, so that it doesn't take this deploy for one to come; always, to run the bundle that is there.
        host.run("systemctl", "restart", "--no-block", DEPLOYS)


def watched(machine: config.Machine) -> bool:
    """Whether this machine measures itself, or tells of its logs: one service does both."""
    return bool(machine["metrics"] or machine["logs"])


def tell_of_failure(machine: config.Machine) -> None:
    """Have the boot's log told before Auto Scaling takes the machine away. It is no failure of its own."""
    if not machine["logs"]:
        return
    try:
        host.install_files(BUNDLE / "units", [METRICS], SYSTEMD)
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "start", METRICS)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"expressway: logs: {error}", file=sys.stderr)


def failed(error: Exception) -> int:
    """Say why; the exit status."""
    print(f"expressway: app server: {reason(error)}", file=sys.stderr)
    return 1


def reason(error: Exception) -> str:
    """What went wrong, for people."""
    return str(error) if isinstance(error, (start.StartError, CommandError)) else f"{type(error).__name__}: {error}"


def prepare(machine: config.Machine, reporter: Reporter, deploy: str | None) -> bool:
    """Put everything in place that the service needs. Whether that changed what a running service would use."""
    clients = Clients(machine["region"])
    s3, ssm = clients.get("s3"), clients.get("ssm")
    host.run("systemd-sysusers", str(BUNDLE / "units/expressway-app.sysusers.conf"))
    host.close_ssh()
    host.set_upgrades(BUNDLE)
    runtime_sha = machine["runtime"]["sha256"]
    runtime = paths.RUNTIMES / runtime_sha
    # Downloads that don't need each other.
    with ThreadPoolExecutor() as threads:
        certificates = threads.submit(trust.install_rds_ca, paths.RDS_CA) if machine["database"] else None
        node = threads.submit(fetch_archive, s3, machine["bucket"], machine["runtime"]["key"], runtime_sha, runtime)
        release = read_pointer(ssm, machine["release_parameter"])
        folder = releases.fetch(s3, machine, release)
        node.result()
        rds_ca = certificates.result() if certificates else ""
    print(f"expressway: release {release.release_id}, Node runtime {runtime_sha[:12]}", flush=True)
    trusted = files.write(paths.CA_BUNDLE, paths.SYSTEM_CA.read_text() + rds_ca)
    with_secrets = (s3, clients.get("secretsmanager"))
    command.before_start(
        *(machine, release, folder, metadata.instance_id(), with_secrets),
        lambda: reporter.write("release-command", deploy=deploy),
    )
    host.install_files(BUNDLE / "units", [pool.UNIT, pool.HOLDER_UNIT] if pool.used(machine) else [], SYSTEMD)
    host.install_files(BUNDLE / "units", [DEPLOYS, *([METRICS] if watched(machine) else [])], SYSTEMD)
    return any(
        [
            files.link(paths.RUNTIMES / "current", runtime),
            releases.make_current(folder),
            trusted,
            files.write(paths.ECOSYSTEM, releases.ecosystem(folder, runtime)),
            host.install_files(BUNDLE / "units", [journal.UNIT, FOLLOWER], SYSTEMD),
            reserve_port(machine["app"]["port"]),
        ]
    )


def reserve_port(port: int) -> bool:
    """Keep the kernel from giving the app's port to an outgoing connection while the app restarts."""
    path = Path("/etc/sysctl.d/60-expressway.conf")
    # The dash: a container may not let this be set, and the app runs without it.
    changed = files.write(path, f"-net.ipv4.ip_local_reserved_ports = {port}\n")
    host.run("/usr/lib/systemd/systemd-sysctl", str(path))
    return changed


def begin(machine: config.Machine, *, restart: bool) -> None:
    """Start the service now and at each boot, what measures it, and what follows its secrets, if it has any.

    None is waited for: a start that fails at first is tried again.
    """
    host.run("systemctl", "daemon-reload")
    # Debian's package has started one of its own.
    if pool.used(machine):
        host.run("systemctl", "enable", "--quiet", pool.UNIT, pool.HOLDER_UNIT)
        host.run("systemctl", "restart", "--no-block", pool.UNIT, pool.HOLDER_UNIT)
    else:
        host.run("systemctl", "disable", "--now", "--quiet", pool.UNIT)
    host.run("systemctl", "enable", "--quiet", journal.UNIT, DEPLOYS)
    host.run("systemctl", "restart" if restart else "start", "--no-block", journal.UNIT)
    beside = [*([FOLLOWER] if environment.wanted_secrets(machine) else []), *([METRICS] if watched(machine) else [])]
    for unit in beside:
        host.run("systemctl", "enable", "--quiet", unit)
        # Always: it has to run the bundle that is there now, and nothing waits for it.
        host.run("systemctl", "restart", "--no-block", unit)
