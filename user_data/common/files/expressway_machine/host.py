"""Running this machine's own programs."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from .files import write


def run(*command: str, user: str | None = None) -> None:
    """Run a program to its end, its output into this one's. subprocess.CalledProcessError when it fails."""
    subprocess.run(command, check=True, user=user, group=user, extra_groups=[] if user else None)


def start(unit: str, *, restart: bool = False) -> None:
    """Start a unit and wait for it. subprocess.CalledProcessError when it fails, with the end of its log printed."""
    try:
        run("systemctl", "restart" if restart else "start", unit)
    except subprocess.CalledProcessError:
        print_log(unit)
        raise


def print_log(unit: str, lines: int = 60) -> None:
    """Print the end of a unit's log, so that it is in cloud-init's own, which is what people look at first."""
    print(f"expressway: the end of the log of {unit}:", flush=True)
    run("journalctl", f"--unit={unit}", f"--lines={lines}", "--no-pager", "--output=short-iso")


def install_files(source: Path, names: Sequence[str], target: Path) -> bool:
    """Copy the named files, as they are, into a folder. Whether any of them changed."""
    changed = [write(target / name, (source / name).read_text()) for name in names]
    return any(changed)


def set_upgrades(bundle: Path) -> None:
    """Have apt upgrade by the rules in the bundle's `apt` folder."""
    install_files(bundle / "apt", sorted(each.name for each in (bundle / "apt").iterdir()), Path("/etc/apt/apt.conf.d"))


def close_ssh() -> None:
    """Switch off the SSH server that Debian's cloud image starts: there is no key pair, and no port is open for it."""
    if Path("/usr/lib/systemd/system/ssh.service").exists():
        run("systemctl", "disable", "--now", "--quiet", "ssh.service", "ssh.socket")
