"""Make this machine the edge. Each step finds what an earlier run, or a baked image, has already done."""

import sys
from pathlib import Path

from expressway_machine import config, host, launch, metadata, session_manager
from expressway_machine.aws import Clients

from . import address, nginx

BUNDLE = Path(__file__).resolve().parent.parent
SYSTEMD = Path("/etc/systemd/system")
SYSCTL = "60-expressway.conf"
RECONCILER = "expressway-reconciler.service"
CERTIFICATE = "expressway-certificate.service"
HEALTH = "expressway-health.service"
METRICS = "expressway-metrics.service"


def main() -> int:
    """Configure and start everything; 0 once the public address is here, 1 with the reason otherwise."""
    try:
        machine = config.load()
        serve(machine)
    except Exception as error:  # whatever it was: a machine that isn't the edge must not stay in its place
        print(f"expressway: edge: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        tell_of_failure()
        give_up()
        return 1
    return 0


def serve(machine: config.Machine) -> None:
    """Take up the edge's work, from the machine's own configuration to the launch that Auto Scaling waits for."""
    session_manager.configure(machine, BUNDLE)
    start_nginx(machine)
    if machine["certificate"]:
        start_certificate()
    start_reconciler()
    # Traffic comes with the address, and by now Nginx has its servers.
    clients = Clients(machine["region"], attempts=2, read_timeout=5)
    instance_id = metadata.instance_id()
    public = address.claim(clients.get("ec2"), machine["eip_allocation_id"], instance_id)
    print(f"expressway: the edge is at {public}", flush=True)
    start_beside(HEALTH)
    if machine["metrics"] or machine["logs"]:
        start_beside(METRICS)
    # Last: with this machine in service, the one before it goes.
    launch.complete(clients.get("autoscaling"), instance_id, machine["launch_hook"])


def tell_of_failure() -> None:
    """Have the boot's log told before Auto Scaling takes the machine away."""
    try:
        if config.load()["logs"]:
            start_beside(METRICS)
    except Exception as error:  # as below
        print(f"expressway: edge: its log isn't told: {error}", file=sys.stderr)


def give_up() -> None:
    """Have Auto Scaling replace a machine whose boot has failed. At a later run, it is in service and stays."""
    try:
        machine = config.load()
        autoscaling = Clients(machine["region"], attempts=2, read_timeout=5).get("autoscaling")
        launch.abandon(autoscaling, metadata.instance_id(), machine["launch_hook"])
    except Exception as error:  # the boot's own failure is the one to tell
        print(f"expressway: edge: the launch isn't given up: {error}", file=sys.stderr)


def start_nginx(machine: config.Machine) -> None:
    """Nginx with this machine's configuration, now and at each boot."""
    host.close_ssh()
    host.set_upgrades(BUNDLE)
    host.install_files(BUNDLE / "sysctl", [SYSCTL], Path("/etc/sysctl.d"))
    host.run("/usr/lib/systemd/systemd-sysctl", f"/etc/sysctl.d/{SYSCTL}")
    host.install_files(BUNDLE / "logrotate", ["nginx"], Path("/etc/logrotate.d"))
    changed = nginx.install(BUNDLE / "nginx", machine)
    for unit in ("nginx.service", "logrotate.timer"):
        changed |= host.install_files(BUNDLE / "units", [f"{unit}.conf"], SYSTEMD / f"{unit}.d")
    changed |= host.install_files(BUNDLE / "units", [RECONCILER], SYSTEMD)
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "--quiet", "nginx.service", "logrotate.timer", RECONCILER)
    # A restart, not a reload: the drop-in and the size of the listen queue need one. Nobody is connected yet.
    host.start("nginx.service", restart=changed)
    host.start("logrotate.timer", restart=changed)


def start_certificate() -> None:
    """The certificate's service, of this bundle; back once there is a certificate to serve.

    Where there is none, the boot ends here. Plain HTTP in its place would carry what was meant to be encrypted, and a
    redirect to an HTTPS that can't answer would help nobody.
    """
    if host.install_files(BUNDLE / "units", [CERTIFICATE], SYSTEMD):
        host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "--quiet", CERTIFICATE)
    host.start(CERTIFICATE, restart=True)


def start_reconciler() -> None:
    """The reconciler, of this bundle; back after its first pass."""
    host.start(RECONCILER, restart=True)


def start_beside(unit: str) -> None:
    """What watches over this machine, or measures it, of this bundle. Nothing waits for it."""
    if host.install_files(BUNDLE / "units", [unit], SYSTEMD):
        host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "--quiet", unit)
    host.run("systemctl", "restart", "--no-block", unit)
