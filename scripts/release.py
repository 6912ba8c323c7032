"""Checks that version, changelog, tag and golden state agree: part of `make check`, and a release's last word."""

import re
import subprocess
import sys
from collections.abc import Iterator, Set
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASED = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", re.MULTILINE)
VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)


def main() -> int:
    """Print what does not agree."""
    version = VERSION.search((ROOT / "components" / "__init__.py").read_text())
    found = problems(
        version[1] if version else "",
        (ROOT / "CHANGELOG.md").read_text(),
        _tags("--points-at", "HEAD"),
        _tags(),
        {path.stem for path in (ROOT / "tests" / "fixtures" / "states").glob("*.json")},
    )
    for problem in found:
        print(f"release: {problem}", file=sys.stderr)
    return bool(found)


def problems(version: str, changelog: str, tags_here: Set[str], tags: Set[str], states: Set[str]) -> list[str]:
    """What does not agree, in words.

    `tags_here` are those of the commit that is checked out; a commit without a version's tag is on its way to the next
    release, so its version must not be taken yet.
    """
    return list(_problems(version, changelog, tags_here, tags, states))


def _problems(version: str, changelog: str, tags_here: Set[str], tags: Set[str], states: Set[str]) -> Iterator[str]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield "components/__init__.py has no __version__ of three numbers (https://semver.org)"
        return
    released = RELEASED.findall(changelog)
    if released != sorted(released, key=_order, reverse=True) or len(set(released)) != len(released):
        yield f"CHANGELOG.md has its releases out of order, or one twice: {', '.join(released)}"
    if "## [Unreleased]" not in changelog:
        yield "CHANGELOG.md has no section [Unreleased], where the next change goes"
    if version not in states:
        yield f"tests/fixtures/states has no {version}.json: run make golden-state"
    here = {tag for tag in tags_here if re.fullmatch(r"v\d+\.\d+\.\d+", tag)}
    if here:
        if here != {f"v{version}"}:
            yield f"this commit is tagged {', '.join(sorted(here))}, and its version is {version}"
        if released[:1] != [version]:
            yield f"CHANGELOG.md's newest release is not {version}: give [Unreleased]'s entries a heading with a date"
        unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## [")[0]
        if re.search(r"^- ", unreleased, re.MULTILINE):
            yield f"CHANGELOG.md has entries under [Unreleased], though this is {version}: move them"
    elif f"v{version}" in tags:
        yield f"{version} is released, and this commit is not it: raise __version__ in components/__init__.py"


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _tags(*options: str) -> frozenset[str]:
    done = subprocess.run(["git", "tag", *options], cwd=ROOT, capture_output=True, text=True, check=False)
    return frozenset(done.stdout.split())  # none where this is no clone


if __name__ == "__main__":
    sys.exit(main())
