"""The runtime that machines get: Node, npm and PM2, pinned and verified by hash, as one tarball.

npm checks every package against the integrity in `runtime/<major>/package-lock.json`. No install script is run.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import npm, tarball
from .problems import BuildError
from .store import Store

NODE_VERSIONS = (24, 26)
"""Node's supported majors."""
ARCHITECTURES = ("x64", "arm64")
"""Supported architectures, in Node's terms."""

_LOCKS = Path(__file__).parent / "runtime"
_FORMAT = "1"  # change it when the tarball's layout changes
# Needed to compile native modules and to read, not to run: three quarters of the files.
_NOT_SHIPPED = frozenset(
    PurePosixPath(name) for name in ("include", "share", "lib/node_modules/npm/docs", "lib/node_modules/npm/man")
)


@dataclass(frozen=True)
class Runtime:
    """A built runtime tarball."""

    path: Path
    sha256: str

    @property
    def key(self) -> str:
        """Where it goes in the artifact bucket."""
        return f"runtime/{self.path.name}"


def fingerprint(node: int, arch: str) -> str:
    """What identifies the runtime before it is built: its lock file, and how it is packed."""
    if node not in NODE_VERSIONS or arch not in ARCHITECTURES:
        nodes, archs = ", ".join(map(str, NODE_VERSIONS)), ", ".join(ARCHITECTURES)
        raise BuildError(f"There is no runtime for Node {node} on {arch}. Choose Node {nodes}, and {archs}.")
    lock = (_LOCKS / str(node) / "package-lock.json").read_bytes()
    return hashlib.sha256(b"\0".join([_FORMAT.encode(), arch.encode(), lock])).hexdigest()


def find_runtime(node: int, arch: str, cache: Path) -> Runtime | None:
    """The runtime, if it was built already. Reads only."""
    entry = Store(cache).find(f"runtime-{fingerprint(node, arch)}")
    return Runtime(entry.path, entry.sha256) if entry else None


def build_runtime(node: int, arch: str, cache: Path, progress: Callable[[str], None]) -> Runtime:
    """The runtime, built unless it was already. BuildError when npm fails."""
    store = Store(cache)
    name = f"runtime-{fingerprint(node, arch)}"
    with store.lock(name):
        if found := find_runtime(node, arch, cache):
            return found
        root = _unpacked(store, node, arch, progress)
        progress(f"packing Node {node} and PM2 for {arch}")
        with store.new_file() as file:
            digest = tarball.pack(file, {}, {"": root}, skip=_NOT_SHIPPED.__contains__)
            entry = store.add(name, file, f"node-{node}-{arch}-{digest}.tar.gz", digest, {})
        return Runtime(entry.path, entry.sha256)


def tools(node: int, cache: Path, progress: Callable[[str], None]) -> npm.Node:
    """A Node of the wanted major to build apps with: the runtime itself, where this machine can run it."""
    if not any(npm.runs_here(arch) for arch in ARCHITECTURES):
        return npm.bundled()
    store, arch = Store(cache), npm.host_arch()
    with store.lock(f"runtime-{fingerprint(node, arch)}"):
        return npm.Node(_unpacked(store, node, arch, progress))


def _unpacked(store: Store, node: int, arch: str, progress: Callable[[str], None]) -> Path:
    """The runtime's files, with Node's headers. Call it under the runtime's lock."""
    target = store.folder(f"node-{node}-{arch}-{fingerprint(node, arch)[:12]}")
    if target.exists():
        return target
    progress(f"fetching Node {node} and PM2 for {arch}")
    with store.new_folder() as work:
        lib = work / "lib"
        lib.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_LOCKS / str(node) / name, lib)
        command = [*npm.bundled().npm, "ci", "--ignore-scripts", "--os=linux", f"--cpu={arch}", "--no-bin-links"]
        npm.run(command, lib, npm.environment(npm.bundled()), f"Fetching Node {node} and PM2 for {arch}")
        packages = lib / "node_modules"
        node_package = packages / f"node-linux-{arch}"
        if not (node_package / "bin/node").is_file():
            raise BuildError(f"{node_package.name} holds no bin/node.")
        for part in ("bin", "include", "share"):
            (node_package / part).rename(work / part)
        (node_package / "LICENSE").rename(work / "LICENSE")
        shutil.rmtree(node_package)
        (packages / ".package-lock.json").unlink()
        for link, program in (("npm", "npm/bin/npm-cli.js"), ("npx", "npm/bin/npx-cli.js"), ("pm2", "pm2/bin/pm2")):
            (packages / program).chmod(0o755)
            (work / "bin" / link).symlink_to(f"../lib/node_modules/{program}")
        work.rename(target)
    return target
