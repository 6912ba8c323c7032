"""What unit tests share: a user data folder small enough to read, and a cache of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

from components import _bundle, _render

_TEMPLATE = (
    "#cloud-config\nmachine={{ machine | tojson }}\npackages={{ packages | join(' ') }}\n# {{ bootstrap | trim }}\n"
)


@pytest.fixture(scope="session", autouse=True)
def no_source_positions() -> Iterator[None]:
    """A fifth of what a program with mocks costs, for the engine that isn't there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace)
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("EXPRESSWAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """The components' user data, replaced by a small one that shows what a template is given."""
    root = tmp_path / "user_data"
    for tier in ("app", "edge"):
        (root / tier / "files").mkdir(parents=True)
        (root / tier / "cloud-config.yaml.j2").write_text(_TEMPLATE)
        (root / tier / "packages.txt").write_text("python3-boto3\n")
        (root / tier / "files" / "install").write_text(f"#!/bin/sh\necho {tier}\n")
    (root / "common" / "files").mkdir(parents=True)
    (root / "common" / "files" / "shared.py").write_text("# shared\n")
    (root / "common" / "bootstrap.py").write_text("print('bootstrap')\n")
    monkeypatch.setattr(_render, "user_data_root", lambda: root)
    monkeypatch.setattr(_bundle, "user_data_root", lambda: root)
    return root
