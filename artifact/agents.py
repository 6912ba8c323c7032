"""The APM agents that come with an app's artifact: pinned and verified by hash, beside the app and not in it.

npm checks every package against the integrity in `agents/<agent>/package-lock.json`. No install script is run, so what
an agent would compile it goes without; what it ships compiled is kept for the servers' architecture alone.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from . import npm
from .problems import BuildError
from .store import Store

AGENTS = {
    "newrelic": "newrelic",
    "appdynamics": "opentelemetry",  # its own asks for Node 21 or older, and npm has only parts of it
    "datadog": "datadog",
    "opentelemetry": "opentelemetry",
}
"""The agent that tells each vendor's backend."""

FOLDER = "apm"
"""Where it is in an artifact, beside `app`."""

_LOCKS = Path(__file__).parent / "agents"
_FILES = ("package.json", "package-lock.json", "start.cjs")
_FORMAT = "1"  # change it when the agent's folder would be another one
# To read, to debug and to bundle: more than half of the bytes.
_NOT_SHIPPED = (".map", ".d.ts", ".d.mts", ".d.cts", ".md", ".ts")
_OTHER_BUILDS = frozenset({("build", "esm"), ("build", "esnext")})


def fingerprint(vendor: str, arch: str) -> str:
    """What identifies a vendor's agent before it is built. BuildError when there is no such vendor."""
    if vendor not in AGENTS:
        raise BuildError(f"There is no APM agent for {vendor}. Choose {', '.join(AGENTS)}.")
    folder = _LOCKS / AGENTS[vendor]
    files = [(folder / name).read_bytes() for name in _FILES]
    return hashlib.sha256(b"\0".join([_FORMAT.encode(), arch.encode(), *files])).hexdigest()


def unpacked(vendor: str, arch: str, cache: Path, progress: Callable[[str], None]) -> Path:
    """The folder of a vendor's agent, fetched unless it is there. BuildError when npm fails."""
    store, agent = Store(cache), AGENTS.get(vendor, "")
    name = f"agent-{agent}-{arch}-{fingerprint(vendor, arch)[:12]}"
    target = store.folder(name)
    with store.lock(name):
        if target.exists():
            return target
        progress(f"fetching the APM agent for {vendor}")
        with store.new_folder() as work:
            for file in _FILES:
                shutil.copy(_LOCKS / agent / file, work)
            command = [*npm.bundled().npm, "ci", "--ignore-scripts", "--no-bin-links"]
            command += ["--os=linux", f"--cpu={arch}", "--libc=glibc"]
            npm.run(command, work, npm.environment(npm.bundled()), f"Fetching the APM agent for {vendor}")
            (work / "node_modules/.package-lock.json").unlink()
            work.rename(target)
    return target


def left_out(arch: str) -> Callable[[PurePosixPath], bool]:
    """Says of a path in an agent's folder whether an artifact for `arch` goes without it."""

    def skip(path: PurePosixPath) -> bool:
        if path.name.endswith(_NOT_SHIPPED) or path.parts[-2:] in _OTHER_BUILDS:
            return True
        if "prebuilds" in path.parts[:-1]:
            platform = path.parts[path.parts.index("prebuilds") + 1]
            return platform != f"linux-{arch}"
        return False

    return skip
