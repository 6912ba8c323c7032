"""Releases of the sample app for the proof: the app itself with another version, or with one fault."""

import json
import shutil
from pathlib import Path
from typing import Final

from lab import paths

FAULTS: Final = {
    "exits": 'console.error("no such file: settings.json"); process.exit(1);',
    "unready": 'import { createServer } from "node:http";\n'
    "createServer((_, answer) => { answer.statusCode = 503; answer.end(); }).listen(process.env.PORT);\n"
    'process.send?.("ready");',
    "errors": "",
}
"""What server.js is instead, by fault. `errors` is in the app: it answers 500 once it has been ready for a moment."""

_SHARDED: Final = Path(__file__).with_name("sharded_app")
_ROUTES: Final = """
import { Router } from "express";

/** Routes that misbehave, for the proof. */
export function faultyRoutes() {
  const routes = Router();
  routes.get("/500", (_request, response) => response.status(500).json({ fault: 500 }));
  routes.get("/503", (_request, response) => response.status(503).json({ fault: 503 }));
  routes.get("/late", () => {}); // never
  routes.get("/much", (_request, response) => response.set("X-Much", "x".repeat(40_000)).json({ fault: "much" }));
  return routes;
}
"""
_MOUNT: Final = '  app.use("/faulty", faultyRoutes());\n'
_ERRORS: Final = """  const begun = Date.now();
  app.use((request, response, next) =>
    request.path === "/readyz" || Date.now() - begun < 3_000 ? next() : response.status(500).json({ fault: "errors" }),
  );
"""


def make(app: Path, into: Path, version: str, fault: str | None = None, release_command: str | None = None) -> Path:
    """The folder of a copy of the sample app, with routes that misbehave, and a fault or a release command."""
    folder = into / f"release-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns("node_modules"))
    package = json.loads((folder / "package.json").read_text())
    package["version"] = version
    if release_command is not None:
        package["expressway"]["release"] = release_command
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n")
    lock = json.loads((folder / "package-lock.json").read_text())
    lock["version"] = lock["packages"][""]["version"] = version
    (folder / "package-lock.json").write_text(json.dumps(lock, indent=2) + "\n")
    (folder / "src/faulty.js").write_text(_ROUTES)
    file = folder / "src/app.js"
    before = file.read_text()
    after = _insert(before, '  app.use("/items"', (_ERRORS if fault == "errors" else "") + _MOUNT)
    file.write_text('import { faultyRoutes } from "./faulty.js";\n' + after)
    if fault and FAULTS[fault]:
        (folder / "server.js").write_text(FAULTS[fault] + "\n")
    return folder


def sample(into: Path) -> Path:
    """The folder of the release that most scenarios begin with."""
    return make(paths.ROOT / "app", into, "0.1.1")


def sharded(into: Path) -> Path:
    """The folder of an app that answers as the sample app does, with its items on shards; the last has none yet.

    It has the sample app's kit and dependencies.
    """
    folder = into / "sharded"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(paths.ROOT / "app", folder, ignore=shutil.ignore_patterns("node_modules"))
    for name in ("server.js", "prepare.js"):
        shutil.copyfile(_SHARDED / name, folder / name)
    package = json.loads((folder / "package.json").read_text())
    package["expressway"] |= {"release": "node prepare.js", "shards": {"items": "key"}}
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n")
    return folder


def _insert(text: str, before: str, what: str) -> str:
    if text.count(before) != 1:
        raise ValueError(f"the sample app no longer has one line with {before.strip()}")
    return text.replace(before, what + before)
