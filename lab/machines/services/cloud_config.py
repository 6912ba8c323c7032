"""User data for the machines that the lab runs behind AWS's managed services."""

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ConfigFile:
    """A file that cloud-init writes; `owner` is its user and group. Only the owner may read it unless `public`."""

    path: str
    content: str
    owner: str
    public: bool = False


def render(files: Sequence[ConfigFile], commands: Sequence[str]) -> bytes:
    """A #cloud-config that writes `files` and runs `commands` (shell) until one fails. Byte-stable."""
    written = [
        {
            "path": file.path,
            "content": file.content,
            "owner": f"{file.owner}:{file.owner}",
            "permissions": "0644" if file.public else "0600",
        }
        for file in files
    ]
    # One script, because cloud-init goes on after a command of its list that fails.
    script = "\n".join(["set -eu", *commands])
    config = {"write_files": written, "runcmd": [["sh", "-c", script]]}
    # JSON is YAML too.
    return f"#cloud-config\n{json.dumps(config, indent=1)}\n".encode()
