"""The cache of images: root file systems kept under the hash of what they were made from, made when missing.

An image is a stack of layers: the base that mmdebstrap made, and at most one layer over it with packages and files.
Each is built in a directory of its own that is then renamed, so what the cache holds is whole. One build runs at a
time: a second waits for the first.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab import paths
from lab.api import amis

from . import debian
from .bake import TREE, ImageError, bake
from .recipe import Recipe

Progress = Callable[[str], AbstractContextManager[object]]
"""Called with what is being made; the context lasts as long as that takes."""

LAYER_BYTES: Final = 500 * 2**20
"""Room that a layer may take while it is made; the largest measured is 417 MiB."""

_BUILDERS: Final = 2
_RECORD: Final = "image.json"
_UNFINISHED: Final = ".building-"


@dataclass(frozen=True)
class Image:
    """A complete image. `layers` are its directories, topmost first; `built` is ISO 8601, UTC."""

    name: str
    key: str
    layers: tuple[Path, ...]
    built: str

    def ami(self) -> amis.Image:
        """The image as EC2 lists it: Debian's plain one under Debian's account, a baked one under the lab's own."""
        machine = os.uname().machine
        architecture = "arm64" if machine == "aarch64" else machine
        if self.name == "debian-13":
            date = self.built[:10].replace("-", "")
            name = f"debian-13-{debian.architecture()}-{date}-lab"
            return amis.Image(name, architecture, self.built, owner=amis.DEBIAN)
        return amis.Image(f"{self.name}-{self.key}", architecture, self.built)


def ensure(recipes: Sequence[Recipe], progress: Progress, cache: Path | None = None) -> Mapping[str, Image]:
    """The images of `recipes` by name, making those that are missing. `cache` defaults to `paths.images()`.

    Raises ImageError when one cannot be made; those that are complete stay.
    """
    cache = cache or paths.images()
    cache.mkdir(parents=True, exist_ok=True)
    archive, architecture = debian.archive(), debian.architecture()
    keys = {recipe: recipe.key(archive, architecture) for recipe in _with_parents(recipes)}
    with _lock(cache):
        for leftover in cache.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover)
        missing = [recipe for recipe, key in keys.items() if not (_home(cache, recipe, key) / _RECORD).exists()]
        _check_room(cache, len(missing))

        def make(recipe: Recipe) -> None:
            with progress(f"image {recipe.name}"):
                _make(recipe, keys, cache, archive, architecture)

        for generation in ([r for r in missing if r.parent is None], [r for r in missing if r.parent is not None]):
            with ThreadPoolExecutor(_BUILDERS) as pool:
                list(pool.map(make, generation))
    return {recipe.name: _load(cache, recipe, keys) for recipe in recipes}


def prune(keep: Iterable[Image], cache: Path | None = None) -> list[str]:
    """Remove every cached layer that no image of `keep` needs, and return their names. No machine may be using them."""
    cache = cache or paths.images()
    needed = {layer.parent.name for image in keep for layer in image.layers}
    removed: list[str] = []
    with _lock(cache):
        for home in sorted(cache.iterdir()):
            if home.is_dir() and home.name not in needed:
                shutil.rmtree(home)
                removed.append(home.name)
    return removed


def _with_parents(recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes and what they build on, each once, parents first."""
    found: dict[Recipe, None] = {}
    for recipe in recipes:
        if recipe.parent is not None:
            found |= dict.fromkeys(_with_parents([recipe.parent]))
        found[recipe] = None
    return list(found)


def _home(cache: Path, recipe: Recipe, key: str) -> Path:
    return cache / f"{recipe.name}-{key}"


def _layers(cache: Path, recipe: Recipe, keys: Mapping[Recipe, str]) -> list[Path]:
    own = _home(cache, recipe, keys[recipe]) / TREE
    return [own] if recipe.parent is None else [own, *_layers(cache, recipe.parent, keys)]


def _load(cache: Path, recipe: Recipe, keys: Mapping[Recipe, str]) -> Image:
    record = json.loads((_home(cache, recipe, keys[recipe]) / _RECORD).read_text())
    return Image(recipe.name, keys[recipe], tuple(_layers(cache, recipe, keys)), record["built"])


def _make(recipe: Recipe, keys: Mapping[Recipe, str], cache: Path, archive: debian.Archive, architecture: str) -> None:
    home = _home(cache, recipe, keys[recipe])
    work = home.with_name(_UNFINISHED + home.name)
    work.mkdir()
    lower = _layers(cache, recipe.parent, keys) if recipe.parent else []
    try:
        bake(recipe, lower, work, archive, architecture)
        built = datetime.now(UTC).isoformat(timespec="seconds")
        (work / _RECORD).write_text(json.dumps({"name": recipe.name, "built": built}))
        # dpkg did not wait for the disk; a power cut after the rename must not leave a hollow image.
        subprocess.run(["sync", "--file-system", str(work)], check=True)
        work.rename(home)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _check_room(cache: Path, layers: int) -> None:
    free, needed = shutil.disk_usage(cache).free, layers * LAYER_BYTES
    if free < needed:
        raise ImageError(
            f"{layers} images to make need {needed // 2**20} MB, and {cache} has {free // 2**20} MB free:"
            " make room, or set EXPRESSWAY_CACHE to a directory on another disk"
        )


@contextlib.contextmanager
def _lock(cache: Path) -> Generator[None, None, None]:
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
