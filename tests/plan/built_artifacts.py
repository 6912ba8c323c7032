"""A cache that holds what the program wants to upload, without building it: the plan is about AWS, not about npm."""

import hashlib
from pathlib import Path

import artifact
from artifact.runtime import fingerprint
from artifact.store import Store

START = {"mode": "cluster", "script": "server.js", "args": [], "npm_script": None, "reason": "test"}


def fill(cache: Path, app: Path, node: int, arch: str) -> None:
    """Make `artifact.find` and `artifact.find_runtime` find something small in `cache`."""
    _add(cache, f"app-{artifact.source_hash(app, node, arch)}", "app-1", b"an app", {"start": START})
    _add(cache, f"runtime-{fingerprint(node, arch)}", f"node-{node}-{arch}", b"a runtime", {})
    assert artifact.find(app, node, arch, cache), "the app's artifact must be found where the test put it"
    assert artifact.find_runtime(node, arch, cache), "the runtime must be found where the test put it"


def _add(cache: Path, name: str, stem: str, content: bytes, details: dict[str, object]) -> None:
    store = Store(cache)
    digest = hashlib.sha256(content).hexdigest()
    with store.new_file() as file:
        file.write_bytes(content)
        store.add(name, file, f"{stem}-{digest}.tar.gz", digest, details)
