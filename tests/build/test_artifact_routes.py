"""The routes of real apps, as Express lists them: of its versions 4 and 5, however they are started."""

from pathlib import Path

import pytest

from artifact import cache, routes
from artifact.npm import host_arch
from artifact.problems import BuildError
from tests.paths import ROOT
from tests.unit.artifact_apps import FIXTURES, write_app

NODE = 24

SERVER = """\
const express = require("express");
const app = express(), items = express.Router(), deep = express.Router(), admin = express();
deep.get("/notes", (_request, response) => response.end());
items.get("/", (_request, response) => response.end());
items.route("/:id").get((_request, response) => response.end()).delete((_request, response) => response.end());
items.use("/:id", deep);
app.get("/", (_request, response) => response.end());
app.use(express.json(), (_request, _response, next) => next());
app.use("/items", items);
app.route("/any").all((_request, response) => response.end());
app.route("/some").post((_request, response) => response.end()).all((_request, response) => response.sendStatus(405));
app.use(["/v1", "/v2"], deep);
admin.get("/users", (_request, response) => response.end());
app.use("/admin", admin);
if (process.env.HOME && process.env.SECRET) throw new Error("it has what is ours");
console.log("{}");
app.listen(process.env.PORT, process.env.HOST);
"""

EXPECTED = {
    "GET /",
    "GET /any",
    "POST /some",
    "GET /items",
    "GET /items/:id",
    "DELETE /items/:id",
    "GET /items/:id/notes",
    "GET /v1/notes",
    "GET /v2/notes",
    "GET /admin/users",
}


def listed(app: Path) -> set[str]:
    found = routes.listed(app, NODE, host_arch(), cache.root(), lambda _: None)
    return {f"{each.method} {each.path}" for each in found}


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("start", ["node server.js", "exec node server.js"])
def test_routers_within_routers_and_apps_within_apps_are_listed_by_their_whole_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int, start: str
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    app = write_app(tmp_path / "app", {"dependencies": {"express": f"^{version}.0.0"}, "scripts": {"start": start}})
    (app / "server.js").write_text(SERVER)
    assert listed(app) == EXPECTED


def test_the_sample_apps_routes_are_listed_without_its_database() -> None:
    found = listed(ROOT / "app")
    assert {"GET /", "GET /items", "POST /items", "GET /items/:id"} <= found


def test_an_app_that_ends_before_it_listens_says_so() -> None:
    with pytest.raises(BuildError, match="no Express app began to listen: no such config"):
        listed(FIXTURES / "exits")
