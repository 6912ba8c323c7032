"""What identifies an app before it is built: its files, and nothing around them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from artifact import AppError, source_hash
from artifact.source import read
from tests.unit.artifact_apps import write_app


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_app(tmp_path / "app", {}, index__js="go();", lib__js="exports.go = 1;")


def test_the_hash_ignores_place_times_permissions_and_what_is_not_copied(app: Path, tmp_path: Path) -> None:
    other = write_app(tmp_path / "other", {}, index__js="go();", lib__js="exports.go = 1;")
    for name in ("node_modules/x/index.js", ".git/HEAD", ".env", ".env.local", "lib/node_modules/y.js"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text("x")
    (other / "lib.js").chmod(0o600)
    os.utime(other / "index.js", (0, 0))

    assert source_hash(other, 24, "x64") == source_hash(app, 24, "x64")


@pytest.mark.parametrize(
    "change",
    [
        lambda app: (app / "lib.js").write_text("exports.go = 2;"),
        lambda app: (app / "lib.js").rename(app / "library.js"),
        lambda app: (app / "lib.js").chmod(0o755),
        lambda app: (app / "new.js").touch(),
        lambda app: (app / ".env.example").touch(),
        lambda app: (app / "link").symlink_to("lib.js"),
    ],
    ids=["content", "name", "executable", "new file", "public dotenv file", "link"],
)
def test_the_hash_follows_every_file(app: Path, change: Callable[[Path], object]) -> None:
    before = source_hash(app, 24, "x64")

    change(app)

    assert source_hash(app, 24, "x64") != before


def test_the_hash_follows_the_target(app: Path) -> None:
    targets = {source_hash(app, node, arch) for node in (24, 26) for arch in ("x64", "arm64")}

    assert len(targets) == 4, "an artifact holds native modules of one Node and one architecture"


def test_dotenv_files_are_withheld(app: Path) -> None:
    for name in (".env", ".env.production", ".env.example"):
        (app / name).touch()

    source = read(app)

    assert source.withheld == [Path(".env"), Path(".env.production")]
    assert Path(".env.example") in source.files, "an example holds no secret"


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "../app-two/file"])
def test_a_link_that_leads_out_is_refused(app: Path, target: str) -> None:
    (app / "link").symlink_to(target)

    with pytest.raises(AppError, match="must stay inside") as caught:
        read(app)

    assert target in str(caught.value), "the problem names where it leads"


def test_an_absolute_link_is_refused_even_to_the_inside(app: Path) -> None:
    (app / "link").symlink_to(app / "index.js")

    with pytest.raises(AppError, match="must stay inside"):
        read(app)


def test_a_link_inside_is_kept_even_to_a_folder(app: Path) -> None:
    (app / "docs").mkdir()
    (app / "manual").symlink_to("docs")
    (app / "docs" / "code.js").symlink_to("../index.js")

    assert {Path("manual"), Path("docs/code.js")} <= set(read(app).files)
