"""Make this machine an app server. Each step finds what an earlier run, or a baked image, has already done."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from expressway_machine import config, files, host, launch, metadata, readiness, session_manager
from expressway_machine.aws import Clients

from . import artifact, environment, paths, pm2, trust

BUNDLE = Path(__file__).resolve().parent.parent
SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
UNIT = "expressway-app.service"
FOLLOWER = "expressway-secrets.service"
PATIENCE = 90
"""Seconds from the start of the service until its process is up, and once more from then until the app is ready."""


def main() -> int:
    """Install and start the app; 0 once it is ready, 1 with the reason otherwise."""
    try:
        machine = config.load()
        changed = prepare(machine)
        session_manager.configure(machine, BUNDLE)
        start(restart=changed, follow=bool(environment.wanted_secrets(machine)))
        wait_until_ready(machine["app"])
        if hook := machine["launch_hook"]:
            launch.complete(Clients(machine["region"]).get("autoscaling"), metadata.instance_id(), hook)
    except (OSError, ValueError, KeyError, artifact.ArtifactError, subprocess.CalledProcessError) as error:
        print(f"expressway: app server: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(machine: config.Machine) -> bool:
    """Put everything in place that the service needs. Whether that changed what a running service would use."""
    clients = Clients(machine["region"])
    s3, ssm = clients.get("s3"), clients.get("ssm")
    host.run("systemd-sysusers", str(BUNDLE / "units/expressway-app.sysusers.conf"))
    host.close_ssh()
    host.set_upgrades(BUNDLE)
    runtime_sha = machine["runtime"]["sha256"]
    runtime = paths.RUNTIMES / runtime_sha
    # Downloads that don't need each other.
    with ThreadPoolExecutor() as pool:
        certificates = pool.submit(trust.install_rds_ca, paths.RDS_CA) if machine["database"] else None
        node = pool.submit(artifact.fetch, s3, machine["bucket"], machine["runtime"]["key"], runtime_sha, runtime)
        release = artifact.read_pointer(ssm, machine["release_parameter"])
        folder = paths.RELEASES / release.release_id
        artifact.fetch(s3, machine["bucket"], release.key, release.sha256, folder, owner=paths.USER)
        node.result()
        rds_ca = certificates.result() if certificates else ""
    ecosystem = pm2.ecosystem(
        json.loads((folder / pm2.MANIFEST).read_text()), folder, runtime, len(os.sched_getaffinity(0)), memory_bytes()
    )
    print(f"expressway: release {release.release_id}, Node runtime {runtime_sha[:12]}", flush=True)
    return any(
        [
            files.link(paths.RUNTIMES / "current", runtime),
            files.link(paths.RELEASES / "current", folder),
            files.write(paths.CA_BUNDLE, SYSTEM_CA.read_text() + rds_ca),
            files.write(paths.ECOSYSTEM, ecosystem),
            host.install_files(BUNDLE / "units", [UNIT, FOLLOWER], Path("/etc/systemd/system")),
            reserve_port(machine["app"]["port"]),
        ]
    )


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def reserve_port(port: int) -> bool:
    """Keep the kernel from giving the app's port to an outgoing connection while the app restarts."""
    path = Path("/etc/sysctl.d/60-expressway.conf")
    # The dash: a container may not let this be set, and the app runs without it.
    changed = files.write(path, f"-net.ipv4.ip_local_reserved_ports = {port}\n")
    host.run("/usr/lib/systemd/systemd-sysctl", str(path))
    return changed


def start(*, restart: bool, follow: bool) -> None:
    """Start the service now and at each boot, and what follows its secrets, if it has any.

    Neither is waited for: a start that fails at first is tried again.
    """
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "--quiet", UNIT)
    host.run("systemctl", "restart" if restart else "start", "--no-block", UNIT)
    if follow:
        host.run("systemctl", "enable", "--quiet", FOLLOWER)
        # Always: it has to run the bundle that is there now, and nothing waits for it.
        host.run("systemctl", "restart", "--no-block", FOLLOWER)


def wait_until_ready(app: config.Machine, patience: float = PATIENCE) -> None:
    """Return once the app is ready. TimeoutError, with the end of its log printed, when that takes too long.

    An app that warms up for long isn't one that doesn't start: once its process is up, by its liveness path, it has
    `patience` seconds more.
    """
    port, liveness, path = app["port"], app["liveness_path"], app["readiness_path"]
    deadline = time.monotonic() + patience
    state = f"the app isn't up (no good answer to {liveness})"
    up = False
    while not (answer := readiness.probe("127.0.0.1", port, path)).ready:
        if not up and (alive := readiness.probe("127.0.0.1", port, liveness)).ready:
            up, state = True, f"the app is up ({liveness}: {alive.detail})"
            deadline = time.monotonic() + patience
        if time.monotonic() > deadline:
            host.print_log(UNIT)
            raise TimeoutError(f"{state}; no ready answer on port {port}, {path}, in {patience:.0f} s: {answer.detail}")
        time.sleep(0.1)
    print(f"expressway: the app is ready ({answer.detail})", flush=True)
