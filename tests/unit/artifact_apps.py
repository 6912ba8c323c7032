"""Small apps for the tests of `artifact`."""

import json
from pathlib import Path

from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "apps"


def write_app(folder: Path, manifest: dict[str, object] | str, *files: str, **contents: str) -> Path:
    """An app folder: its package.json, `files` that are empty, and `contents` by file name (`__` stands for a dot)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    for name, text in [*((name, "") for name in files), *contents.items()]:
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
