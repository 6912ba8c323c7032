"""The two ways in which files reach a machine: its user data, and its tier's bundle."""

import os
import tarfile
from pathlib import Path

import jinja2
import pytest

from components import _bundle, _render

MACHINE: dict[str, object] = {"tier": "app", "name": "it's <mine>", "app": {"port": 3000}}


def test_user_data_is_the_tiers_template_filled_in(user_data: Path) -> None:
    text = _render.render("app", MACHINE, user_data)
    assert text.startswith("#cloud-config\n")
    assert "packages=python3-boto3\n" in text
    assert "# print('bootstrap')\n" in text


def test_a_name_that_nobody_gives_is_an_error(user_data: Path) -> None:
    (user_data / "app" / "cloud-config.yaml.j2").write_text("{{ machine.nmae }}")
    with pytest.raises(jinja2.UndefinedError, match="nmae"):
        _render.render("app", MACHINE, user_data)


def test_user_data_up_to_the_limit_is_taken_and_not_a_byte_more(user_data: Path) -> None:
    template = user_data / "app" / "cloud-config.yaml.j2"
    template.write_text("x" * _render.LIMIT)
    assert len(_render.render("app", MACHINE, user_data)) == _render.LIMIT
    template.write_text("ü" + "x" * (_render.LIMIT - 1))
    with pytest.raises(ValueError, match="16385 bytes"):
        _render.render("app", MACHINE, user_data)


def test_a_bundle_holds_common_files_and_the_tiers_own(user_data: Path, tmp_path: Path) -> None:
    (user_data / "app" / "files" / "units").mkdir()
    (user_data / "app" / "files" / "units" / "app.service").write_text("[Unit]\n")
    (user_data / "app" / "files" / "__pycache__").mkdir()
    (user_data / "app" / "files" / "__pycache__" / "x.pyc").write_text("")
    bundle = _bundle.build("app", user_data, tmp_path / "out")
    with tarfile.open(bundle.path) as archive:
        assert archive.getnames() == ["install", "shared.py", "units/app.service"]


def test_a_bundle_depends_on_contents_and_nothing_else(user_data: Path, tmp_path: Path) -> None:
    first = _bundle.build("app", user_data, tmp_path / "one")
    install = user_data / "app" / "files" / "install"
    os.utime(install, (1, 1))
    install.chmod(0o600)
    second = _bundle.build("app", user_data, tmp_path / "two")
    assert first.path.read_bytes() == second.path.read_bytes(), "times and stray permission bits must not count"
    assert first.path.read_bytes()[4:8] == bytes(4), "gzip's own time stamp must not count either"
    install.chmod(0o700)
    assert _bundle.build("app", user_data, tmp_path / "two").sha256 != first.sha256, "whether it can be run does count"
    install.write_text("#!/bin/sh\n")
    assert _bundle.build("app", user_data, tmp_path / "two").key != first.key, "so do contents"


def test_a_bundles_files_are_roots_and_ready_to_run(user_data: Path, tmp_path: Path) -> None:
    (user_data / "app" / "files" / "install").chmod(0o711)
    bundle = _bundle.build("app", user_data, tmp_path / "out")
    with tarfile.open(bundle.path) as archive:
        modes = {each.name: (each.mode, each.uid, each.gid, each.mtime) for each in archive}
    assert modes == {"install": (0o755, 0, 0, 0), "shared.py": (0o644, 0, 0, 0)}


def test_a_tiers_file_must_not_hide_a_common_one(user_data: Path, tmp_path: Path) -> None:
    (user_data / "app" / "files" / "shared.py").write_text("# other\n")
    with pytest.raises(ValueError, match="hides"):
        _bundle.build("app", user_data, tmp_path / "out")


def test_bundles_are_kept_in_the_cache_under_their_hash(user_data: Path, cache: Path) -> None:
    bundle = _bundle.build("edge", user_data)
    assert bundle.path == cache / "bundles" / f"edge-{bundle.sha256}.tar.gz"
    before = bundle.path.stat().st_ino
    assert _bundle.build("edge", user_data).path.stat().st_ino == before, "what is there already is not written again"
