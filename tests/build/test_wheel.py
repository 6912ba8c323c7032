"""The wheel, built and installed where nothing else is."""

import sys
import zipfile
from pathlib import Path

import pytest

from components import _bundle
from tests.fresh_environment import ROOT, build_wheel, install, make_environment, run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment."""
    return make_environment(tmp_path_factory.mktemp("fresh") / "venv")


def test_nothing_but_expressway_is_at_its_top(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"expressway"}
    assert "expressway/py.typed" in names
    assert "expressway/components/app_servers.py" in names
    assert not [name for name in names if "__pycache__" in name or ".venv" in name]


def test_installed_alone_it_gives_machines_the_same_files(wheel: Path, python: Path, tmp_path: Path) -> None:
    install(python, wheel)
    program = (
        "from expressway import AppServers, Cache, Database, LoadBalancer, Network, Release, __version__\n"
        "from expressway.components import _bundle\n"
        "from pathlib import Path\n"
        "print(__version__, *(_bundle.build(tier, directory=Path('out')).sha256 for tier in ('app', 'edge')))"
    )
    done = run(python, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    here = [_bundle.build(tier, directory=tmp_path / "here").sha256 for tier in ("app", "edge")]
    assert done.stdout.split() == [wheel.name.split("-")[1], *here], "the very files of this clone, modes included"

    told = run(python.with_name("expressway"), "--help", cwd=tmp_path)
    assert told.returncode == 1
    assert "pip install 'expressway[cli]'" in told.stderr, "the components alone don't bring the command line's needs"


def test_its_command_line_checks_and_builds_and_leaves_the_lab_to_a_clone(wheel: Path, python: Path) -> None:
    install(python, f"{wheel}[cli]")
    command = python.with_name("expressway")
    checked = run(command, "check", ROOT / "Pulumi.dev.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no mistakes" in checked.stdout
    shown = run(command, "--help")
    assert " build " in shown.stdout
    assert " lab " not in shown.stdout
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent"}
    looked = run(command, "doctor", cwd=ROOT, AWS_SHARED_CREDENTIALS_FILE="/nonexistent", **nobody)
    assert looked.returncode == 1
    assert "all of it" in looked.stdout, looked.stderr


def test_a_type_checker_sees_the_arguments(wheel: Path, python: Path, tmp_path: Path) -> None:
    install(python, wheel)
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text((ROOT / "examples" / "python-stack" / "__main__.py").read_text())
    wrong.write_text('from expressway import Network\n\nNetwork("net", {"nats": 1})\n')
    checker = Path(sys.executable).with_name("basedpyright")
    checked = run(checker, "--level", "error", "--pythonpath", python, right, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    found = run(checker, "--level", "error", "--pythonpath", python, wrong, cwd=tmp_path)
    assert '"nats" is an undefined item' in found.stdout, found.stdout
