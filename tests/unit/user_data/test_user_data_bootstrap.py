"""The bootstrap program, against a bucket."""

import hashlib
import importlib.util
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.paths import ROOT

SOURCE = ROOT / "user_data/common/bootstrap.py"
INSTALL = "#!/bin/sh\necho installed\n"


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SOURCE)
    assert spec, SOURCE
    assert spec.loader, SOURCE
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bundle(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content.encode()))
    return packed.getvalue()


@pytest.fixture
def put(app_machine: dict[str, Any]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Put a bundle into the bucket, and give the machine that is to run it."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="shop-artifacts")

        def store(body: bytes, sha256: str | None = None) -> dict[str, Any]:
            sha256 = sha256 or hashlib.sha256(body).hexdigest()
            key = f"bundles/app-{sha256}.tar.gz"
            s3.put_object(Bucket="shop-artifacts", Key=key, Body=body)
            return app_machine | {"bundle": {"key": key, "sha256": sha256}}

        yield store


def test_the_bundle_is_unpacked_under_its_hash_and_pointed_at(
    bootstrap: ModuleType, put: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    machine = put(bundle(install=INSTALL))
    program = bootstrap.prepare(machine, tmp_path, patience=0)
    assert program == tmp_path / "bundle/install", "what is handed over to"
    assert program.read_text() == INSTALL, "the bundle's own"
    assert os.access(program, os.X_OK), "it must still be executable"
    assert (tmp_path / "bundle").resolve() == tmp_path / "bundles" / machine["bundle"]["sha256"], "where it is"


def test_a_second_run_changes_nothing_and_needs_no_bucket(
    bootstrap: ModuleType, put: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    machine = put(bundle(install=INSTALL))
    bootstrap.prepare(machine, tmp_path, patience=0)
    before = {each: each.lstat().st_mtime_ns for each in tmp_path.rglob("*") if each.is_file()}
    bootstrap.prepare(machine | {"bucket": "no-such-bucket"}, tmp_path, patience=0)
    assert {each: each.lstat().st_mtime_ns for each in tmp_path.rglob("*") if each.is_file()} == before, "files moved"


def test_another_hash_is_refused_and_leaves_nothing(
    bootstrap: ModuleType, put: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    machine = put(bundle(install=INSTALL), sha256="f" * 64)
    with pytest.raises(RuntimeError, match="SHA-256"):
        bootstrap.prepare(machine, tmp_path, patience=0)
    assert list(tmp_path.rglob("*")) == [], "nothing of it may be run"


def test_a_bundle_that_is_not_there_is_waited_for_and_then_named(
    bootstrap: ModuleType, put: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    machine = put(bundle(install=INSTALL))
    missing = machine | {"bundle": machine["bundle"] | {"key": "bundles/other.tar.gz"}}
    with pytest.raises(RuntimeError, match=r"s3://shop-artifacts/bundles/other\.tar\.gz"):
        bootstrap.prepare(missing, tmp_path, patience=0)


def test_killed_while_unpacking_it_begins_anew(
    bootstrap: ModuleType, put: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = put(bundle(install=INSTALL, other="complete"))

    def killed(archive: tarfile.TarFile, path: Path, **_: Any) -> None:
        (Path(path) / "other").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", killed)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.prepare(machine, tmp_path, patience=0)
    assert not (tmp_path / "bundles" / machine["bundle"]["sha256"]).exists(), "half a bundle would be taken for whole"
    bootstrap.prepare(machine, tmp_path, patience=0)
    assert (tmp_path / "bundle/other").read_text() == "complete", "what the killed run left is gone"
    assert [each.name for each in (tmp_path / "bundles").iterdir()] == [machine["bundle"]["sha256"]], "no leftovers"


def test_killed_before_the_link_is_moved_the_old_bundle_stays(
    bootstrap: ModuleType, put: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = put(bundle(install="old")), put(bundle(install="new"))
    bootstrap.prepare(old, tmp_path, patience=0)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "symlink_to", killed)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.prepare(new, tmp_path, patience=0)
    assert (tmp_path / "bundle/install").read_text() == "old", "there is always a bundle to run"
    bootstrap.prepare(new, tmp_path, patience=0)
    assert (tmp_path / "bundle/install").read_text() == "new", "the next run finishes"


def test_a_bundle_cannot_write_outside_its_folder(
    bootstrap: ModuleType, put: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    machine = put(bundle(**{"install": INSTALL, "../../escaped": "x"}))
    with pytest.raises(tarfile.TarError):
        bootstrap.prepare(machine, tmp_path, patience=0)
    assert not list(tmp_path.rglob("escaped")), "it escaped"
