"""Make one layer of an image in a directory: packages, files, tarballs, commands.

Every program runs in mount and process namespaces of its own that end with this process, however it ends. So a build
that is killed half-way leaves its directory and nothing else: no mount, no process.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from .debian import KEYRING, SUITE, Archive
from .recipe import File, Recipe

TREE: Final = "root"
"""Where in its directory a layer's files are."""

_NAMESPACES: Final = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)

_CHROOT: Final = """
set -eu
work=$1 lower=$2 inside=$3
root=$work/root
if [ -n "$lower" ]; then
    mkdir -p "$work/overlay" "$work/merged"
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$root,workdir=$work/overlay" "$work/merged"
    root=$work/merged
fi
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
for directory in run tmp; do mount -t tmpfs -o mode=755 tmpfs "$root/$directory"; done
# The image's own resolver is the lab's, which isn't there yet.
for file in resolv.conf hosts; do
    if [ -e "$root/etc/$file" ]; then mount --bind "/etc/$file" "$root/etc/$file"; fi
done
# Debian's way to say that no service may be started now.
printf '#!/bin/sh\\nexit 101\\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
status=0
chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \\
    sh -euc "$inside" || status=$?
rm "$root/usr/sbin/policy-rc.d"
exit $status
"""

_GENERALISE: Final = (
    # What each machine must have of its own.
    "rm -rf /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/cloud",
    ": > /etc/machine-id",
    "find /var/log -type f -delete",
    "apt-cache gencaches",
    # Nothing in /usr is news to the first boot.
    "touch --reference=/usr /etc/.updated /var/.updated",
)

_UNREACHABLE: Final = ("Could not resolve", "Temporary failure", "Unable to connect", "Could not connect", "timed out")


class ImageError(Exception):
    """An image could not be made; the message says why, and ends with what the tools said."""


def bake(recipe: Recipe, lower: Sequence[Path], work: Path, archive: Archive, architecture: str) -> None:
    """Make the layer of `recipe`, over the layers `lower` (topmost first), in `work`; ImageError when it fails."""
    tree = work / TREE
    if recipe.parent is None:
        _bootstrap(recipe, work, archive, architecture)
    else:
        tree.mkdir()
        _inside(recipe, lower, work, archive, _apt(recipe))
    _write(tree, recipe.files)
    for tarball in recipe.tarballs:
        target = tree / tarball.into
        target.mkdir(parents=True)
        command = ["tar", "--extract", "--no-same-owner", f"--file={tarball.path}", f"--directory={target}"]
        _run(recipe, archive, work, command)
    _inside(recipe, lower, work, archive, [*recipe.commands, *_GENERALISE])
    for leftover in ("overlay", "merged"):
        shutil.rmtree(work / leftover, ignore_errors=True)


def _bootstrap(recipe: Recipe, work: Path, archive: Archive, architecture: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise ImageError("mmdebstrap is missing: apt-get install mmdebstrap")
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
    command += [f"--architectures={architecture}", f"--keyring={KEYRING}", f"--include={','.join(recipe.packages)}"]
    command += [f"--aptopt={option}" for option in archive.apt_options()]
    # The package lists stay, so that a machine can install before it has asked the mirror for new ones.
    command += ["--dpkgopt=force-unsafe-io", "--skip=cleanup/apt/lists", SUITE, str(work / TREE), *archive.sources()]
    _run(recipe, archive, work, command)


def _apt(recipe: Recipe) -> list[str]:
    commands: list[str] = []
    apt = "apt-get --yes --option Dpkg::Use-Pty=0"
    for packages, option in ((recipe.packages, ""), (recipe.download, " --download-only")):
        if packages:
            install = f"{apt} install{option} {' '.join(packages)}"
            # The lists are those of the parent, which may be old.
            commands.append(f"{install} || {{ {apt} update; {install}; }}")
    if recipe.packages:
        commands.append("rm -f /var/cache/apt/archives/*.deb")
    return commands


def _inside(recipe: Recipe, lower: Sequence[Path], work: Path, archive: Archive, commands: Sequence[str]) -> None:
    stack = overlay_option(lower)
    _run(recipe, archive, work, ["sh", "-c", _CHROOT, "bake", str(work), stack, "\n".join(commands)])


def overlay_option(layers: Iterable[Path]) -> str:
    """The value of overlayfs's `lowerdir` for `layers`, topmost first."""
    return ":".join(str(layer).replace("\\", "\\\\").replace(":", "\\:") for layer in layers)


def _run(recipe: Recipe, archive: Archive, work: Path, command: Sequence[str]) -> None:
    log = work / "log"
    with log.open("ab") as output:
        ended = subprocess.run(
            [*_NAMESPACES, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
    if ended.returncode != 0:
        raise ImageError(explain(recipe.name, archive, ended.returncode, log.read_text(errors="replace")))


def explain(name: str, archive: Archive, status: int, output: str) -> str:
    """One clear sentence on why a build failed, then the end of what the tools said."""
    if status < 0:
        reason = f"it was killed ({signal.Signals(-status).name})"
    elif "No space left on device" in output:
        reason = "the disk is full"
    elif any(sign in output for sign in _UNREACHABLE):
        reason = f"the Debian mirror {archive.main} can't be reached (EXPRESSWAY_DEBIAN_MIRROR names another one)"
    else:
        reason = f"its build ended with status {status}"
    tail = "\n".join(f"  {line}" for line in output.splitlines()[-12:])
    return f"image {name} could not be made: {reason}\n{tail}"


def _write(tree: Path, files: Iterable[File]) -> None:
    for file in files:
        target = tree / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.content)
