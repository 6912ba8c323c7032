"""Images: built once, whole or not there, whatever is killed on the way."""

import contextlib
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from lab.machines import debian, image
from lab.machines.recipe import BASE, File, Recipe, Tarball
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SMALL = Recipe(
    "small", BASE, files=(File("etc/made", "from a file\n"),), commands=("cat /etc/made > /root/copy", "rm /etc/issue")
)


def quiet(_: str) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of its own that has the base already."""
    base = image.ensure([BASE], quiet)["base"].layers[0].parent
    (tmp_path / base.name).symlink_to(base)
    return tmp_path


def build(recipe: str, cache: Path) -> "subprocess.Popen[bytes]":
    """Make an image in a process of its own."""
    script = (
        "import contextlib; from pathlib import Path; from lab.machines import image, recipe\n"
        "from lab.machines.recipe import BASE, Recipe\n"
        f"image.ensure([{recipe}], lambda _: contextlib.nullcontext(), Path({str(cache)!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)


def test_a_layer_holds_what_its_recipe_says_and_nothing_of_its_making(cache: Path) -> None:
    made = image.ensure([SMALL], quiet, cache)["small"]
    top, base = made.layers
    assert (top / "root/copy").read_text() == "from a file\n", "files are there when commands run"
    assert (top / "etc/issue").is_char_device(), "what a command removes is hidden"
    assert (base / "etc/issue").exists(), "and the base is as it was"
    assert not (top / "usr/sbin/policy-rc.d").exists(), "services may start again"
    assert (base / "etc/machine-id").read_text() == "", "each machine gets an identity of its own"
    assert sorted(path.name for path in top.parent.iterdir()) == ["image.json", "log", "root"], "no scaffolding"


def test_an_image_that_is_there_is_not_made_again(cache: Path) -> None:
    first = image.ensure([SMALL], quiet, cache)["small"]
    steps: list[str] = []

    def counting(step: str) -> AbstractContextManager[None]:
        steps.append(step)
        return contextlib.nullcontext()

    assert image.ensure([SMALL], counting, cache)["small"] == first, "the same image"
    assert steps == [], f"nothing was made: {steps}"


def test_a_tarball_is_unpacked_under_its_hash(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/node").write_text("node")
    subprocess.run(["tar", "-czf", "runtime.tar.gz", "bin"], cwd=tmp_path, check=True)
    runtime = Tarball(tmp_path / "runtime.tar.gz", "f00d", "opt/expressway/runtime/f00d")
    made = image.ensure([Recipe("with-runtime", BASE, tarballs=(runtime,))], quiet, cache)["with-runtime"]
    assert (made.layers[0] / "opt/expressway/runtime/f00d/bin/node").read_text() == "node", "unpacked"


def test_a_killed_build_leaves_no_process_and_no_mount_and_the_next_one_works(cache: Path) -> None:
    slow = build("Recipe('small', BASE, commands=('sleep 321',))", cache)
    deadline = time.monotonic() + 60
    while not sleeping() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleeping(), "the build is at its command"
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    while sleeping() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not sleeping(), "its programs die with it"
    assert str(cache) not in Path("/proc/self/mountinfo").read_text(), "no mount is left"
    assert list(cache.glob(".building-*")), "its directory is"
    image.ensure([SMALL], quiet, cache)
    assert not list(cache.glob(".building-*")), "the next build removes it"


def sleeping() -> bool:
    return any(process.info["cmdline"] == ["sleep", "321"] for process in psutil.process_iter(["cmdline"]))


def test_two_builds_at_once_make_an_image_once(cache: Path) -> None:
    both = [build("Recipe('small', BASE, commands=('sleep 1',))", cache) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0], "both end well"
    assert len(list(cache.glob("small-*"))) == 1, "one image"


def test_a_command_that_fails_is_told_with_its_last_words(cache: Path) -> None:
    failing = Recipe("failing", BASE, commands=("echo it broke here", "false"))
    with pytest.raises(image.ImageError, match=r"image failing could not be made: .* status 1\n(.|\n)*it broke here"):
        image.ensure([failing], quiet, cache)
    assert not list(cache.glob("*failing*")), "nothing of it is left"


def test_a_mirror_that_cannot_be_reached_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(debian.MIRROR_VARIABLE, "http://127.0.0.1:9/debian")
    with pytest.raises(
        image.ImageError, match=r"^image base .* the Debian mirror http://127\.0\.0\.1:9/debian can't be"
    ):
        image.ensure([BASE], quiet, tmp_path)


def test_pruning_keeps_what_the_kept_images_are_made_of(cache: Path) -> None:
    kept = image.ensure([SMALL], quiet, cache)["small"]
    other = image.ensure([Recipe("other", BASE, files=(File("etc/other", ""),))], quiet, cache)["other"]
    assert image.prune([kept], cache) == [other.layers[0].parent.name], "only the other is removed"
    assert all(layer.is_dir() for layer in kept.layers), "the kept image is whole"
