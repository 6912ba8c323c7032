"""One machine of the lab: a systemd-nspawn container on an overlay of its image, with real systemd and cloud-init.

A machine outlives the process that started it, and everything about it can be found again from its directory and from
/proc. Nothing of it is mounted in the host's own namespace: the overlay lives and dies with the machine. So whatever
is killed, and when, `observe` shows what is left and `stop` removes it. What a machine wrote stays in its directory
until then: a machine that was turned off, or ended by itself, is started again on its own disk by `resume`.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import paths
from lab.network import addresses

from . import boot, control_groups, ended, guest
from .access import MachineError, boot_failure, logs, run, shell
from .bake import overlay_option
from .observation import ENDED, OFF, UNFINISHED, MachineStatus, State, leader, observe, process, resident_bytes

__all__ = [
    "Bind",
    "MachineError",
    "MachineSpec",
    "MachineStatus",
    "State",
    "boot_failure",
    "halt",
    "leader",
    "logs",
    "observe",
    "resident_bytes",
    "resume",
    "run",
    "shell",
    "start",
    "stop",
    "teardown_all",
]

GRACE_SECONDS: Final = 10.0
"""How long a machine may take to shut down before it is killed."""

_LINK_SECONDS: Final = 10.0

# Where systemd-nspawn keeps locks, which stay when it is killed. Each machine's has a private one.
_RUNTIME: Final = Path("/run/systemd/nspawn")

# The keeper of a machine: it starts systemd-nspawn, waits for it and writes down how it ended, which says whether the
# machine wants to be started again. A machine becomes visible when it has a keeper, so that nobody takes one that is
# being started for a dead one. The keeper's end, in whatever way, is the machine's.
_KEEPER: Final = f"""
set -eu
new=$1 home=$2 lower=$3 runtime=$4; shift 4
cat /proc/$$/stat > "$new/process.new"
mv "$new/process.new" "$new/process"
[ "$new" = "$home" ] || mv --no-target-directory "$new" "$home"
trap 'echo $? > "$home/{ENDED}"' EXIT
rm -f "$home/{OFF}"
groups=
while [ "$1" != -- ]; do
  mkdir -p "$1/keeper"
  echo 0 > "$1/keeper/cgroup.procs"
  groups="$groups $1"
  shift
done
shift
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$home/upper,workdir=$home/work" "$home/root"
mkdir -p "$runtime"
mount -t tmpfs -o mode=700 tmpfs "$runtime"
(
  for group in $groups; do echo 0 > "$group/cgroup.procs"; done
  exec setpriv --pdeathsig KILL "$@"
) &
nspawn=$!
trap 'kill -TERM $nspawn 2> /dev/null || true' TERM
status=0
wait $nspawn || status=$?
# A signal ends the wait, not what is waited for.
while kill -0 $nspawn 2> /dev/null; do status=0; wait $nspawn || status=$?; done
exit $status
"""


@dataclass(frozen=True)
class Bind:
    """A directory of this host that a machine sees as its own `path`, and writes to unless it is `read_only`."""

    source: Path
    path: str
    read_only: bool = False


@dataclass(frozen=True)
class MachineSpec:
    """What to start. `layers` are the image's directories, topmost first; `authority` is a PEM file to trust.

    `reboots` is how often the machine has been rebooted from outside. `cpus` is how many of the host's CPUs it may have
    once it is ready, and `memory` how many bytes; it boots with all of them. None: always all. `resource` is what it is
    the machine of, where another may come to have its name.
    """

    id: str
    tier: str
    address: str
    hostname: str
    layers: tuple[Path, ...]
    authority: Path | None = None
    reboots: int = 0
    cpus: float | None = None
    memory: int | None = None
    binds: tuple[Bind, ...] = ()
    resource: str = ""


def start(spec: MachineSpec, machines: Path = paths.MACHINES) -> None:
    """Start a machine and return as soon as the host's end of its link is there (`addresses.interface`).

    Raises MachineError when there is already one of that id, or when systemd-nspawn ends at once.
    """
    home = machines / spec.id
    if home.exists():
        raise MachineError(f"machine {spec.id} is already there: stop it first")
    machines.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=machines))
    _record(spec, new)
    _prepare(spec, new)
    _launch(spec, new, home)


def resume(spec: MachineSpec, machines: Path = paths.MACHINES) -> None:
    """Start a machine again on its own disk, and return as `start` does. Like a computer's, its memory is gone.

    Raises MachineError when it runs or is not there, or when systemd-nspawn ends at once.
    """
    home = machines / spec.id
    if not home.exists() or process(home) is not None:
        raise MachineError(f"machine {spec.id} is not there, or not off")
    # Until it has a keeper it is off, whenever this is killed.
    (home / OFF).touch()
    _clear(spec.id)
    (home / ENDED).unlink(missing_ok=True)
    # cloud-init removes its last boot's result, but not before it runs.
    (home / "upper" / boot.RESULT).unlink(missing_ok=True)
    _record(spec, home)
    _launch(spec, home, home)


def halt(machine: str, machines: Path = paths.MACHINES, grace: float = GRACE_SECONDS) -> None:
    """Shut a machine down, kill it when that takes more than `grace` seconds, and keep its disk for `resume`.

    Does nothing for a machine that is not there.
    """
    home = machines / machine
    if home.exists():
        # Said before it is done: it does not end by itself.
        (home / OFF).touch()
    pid = process(home)
    if pid is not None and grace > 0:
        _signal(pid, signal.SIGTERM)
        _await_end(home, grace)
    if (pid := process(home)) is not None:
        _signal(pid, signal.SIGKILL)
    _clear(machine)


def stop(machine: str, machines: Path = paths.MACHINES, grace: float = GRACE_SECONDS) -> None:
    """Shut a machine down as `halt` does, and remove all that is left of it but what it has said."""
    found = next((each for each in observe(machines) if each.id == machine), None)
    halt(machine, machines, grace)
    if found is not None:
        ended.keep(found, machines / machine, machines)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(machines / machine)


def teardown_all(machines: Path = paths.MACHINES, grace: float = 0) -> None:
    """Stop every machine, whatever state it is in, side by side."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda found: stop(found.id, machines, grace), observe(machines)))
    # What is still there are starts that were cut short.
    shutil.rmtree(machines, ignore_errors=True)
    with contextlib.suppress(OSError):  # not there, or in use by others
        _RUNTIME.rmdir()


def _record(spec: MachineSpec, home: Path) -> None:
    record = {
        "tier": spec.tier,
        "address": spec.address,
        "started_at": time.time(),
        "reboots": spec.reboots,
        "resource": spec.resource,
    }
    unfinished = home / "machine.json.new"
    unfinished.write_text(json.dumps(record))
    unfinished.rename(home / "machine.json")


def _launch(spec: MachineSpec, new: Path, home: Path) -> None:
    """Start the keeper of the machine whose directory is `new`, and becomes `home`."""
    for bind in spec.binds:
        bind.source.mkdir(parents=True, exist_ok=True)
    groups = map(str, control_groups.create(spec.id, cpu=spec.cpus is not None, memory=spec.memory is not None))
    places = [str(new), str(home), overlay_option(spec.layers), str(_RUNTIME)]
    keeper = ["sh", "-c", _KEEPER, "machine", *places, *groups, "--"]
    with (new / "console.log").open("ab") as console:
        subprocess.run(
            ["setsid", "--fork", "unshare", "--mount", "--propagation", "private", *keeper, *_nspawn(spec, home)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            check=True,
        )
    _await_link(spec, home)


def _clear(machine: str) -> None:
    """Remove what a machine that has ended may have left running, and its link."""
    control_groups.remove(machine)
    interface = addresses.interface(machine)
    # The kernel removes it a moment after the last process; a machine started again must not find the old one.
    if _has_interface(interface):
        subprocess.run(["ip", "link", "delete", "dev", interface], check=False, capture_output=True)


def _nspawn(spec: MachineSpec, home: Path) -> list[str]:
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--directory={home / 'root'}",
        # Short whatever the id is: the name must be a host name.
        f"--machine={addresses.interface(spec.id)}",
        f"--hostname={spec.hostname}",
        # A bare host has no system bus to register at.
        "--register=no",
        "--keep-unit",
        f"--network-veth-extra={addresses.interface(spec.id)}:{guest.INTERFACE}",
        f"--bind-ro={home / 'hypervisor-uuid'}:/sys/hypervisor/uuid",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=read-only",
        *(f"--bind{'-ro' if bind.read_only else ''}={bind.source}:{bind.path}" for bind in spec.binds),
    ]


def _prepare(spec: MachineSpec, home: Path) -> None:
    for name in ("upper", "work", "root"):
        (home / name).mkdir(mode=0o755)
    (home / "hypervisor-uuid").write_text(guest.hypervisor_uuid(spec.id) + "\n")
    _write(home / "upper", guest.files(spec.id, spec.address))
    if spec.authority is not None:
        bundle = next(file for layer in spec.layers if (file := layer / guest.CA_BUNDLE).exists())
        subject_hash = subprocess.run(
            ["openssl", "x509", "-noout", "-subject_hash", "-in", str(spec.authority)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        _write(home / "upper", guest.trust(bundle.read_text(), spec.authority.read_text(), subject_hash))


def _write(root: Path, files: Iterable[guest.GuestFile]) -> None:
    for file in files:
        target = root / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            target.symlink_to(file.content)
        else:
            target.write_text(file.content)


def _await_link(spec: MachineSpec, home: Path) -> None:
    deadline = time.monotonic() + _LINK_SECONDS
    while not _has_interface(addresses.interface(spec.id)):
        if (home / ENDED).exists() or time.monotonic() > deadline:
            raise MachineError(f"machine {spec.id} did not start: {logs(spec.id, home.parent)}")
        time.sleep(0.01)


def _has_interface(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _await_end(home: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process(home) is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
