"""Version, changelog, tag and golden state of a release agree, or it is said what does not."""

import pytest

from scripts.release import problems

GOING_ON = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n\n## [0.1.0] - 2026-11-01\n\n- All.\n"
RELEASED = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n- Something.\n\n## [0.1.0] - 2026-11-01\n"


def test_a_commit_on_its_way_to_the_next_release_is_fine() -> None:
    assert problems("0.2.0", GOING_ON, frozenset(), {"v0.1.0"}, {"0.1.0", "0.2.0"}) == []


def test_a_release_is_fine() -> None:
    assert problems("0.2.0", RELEASED, {"v0.2.0"}, {"v0.1.0", "v0.2.0"}, {"0.1.0", "0.2.0"}) == []


@pytest.mark.parametrize(
    ("version", "changelog", "here", "states", "said"),
    [
        ("0.1.0", GOING_ON, set[str](), {"0.1.0"}, "0.1.0 is released, and this commit is not it"),
        ("0.2.0", GOING_ON, set[str](), {"0.1.0"}, "no 0.2.0.json: run make golden-state"),
        ("0.2.0", GOING_ON, {"v0.2.0"}, {"0.2.0"}, "newest release is not 0.2.0"),
        ("0.2.0", GOING_ON, {"v0.2.0"}, {"0.2.0"}, "entries under [Unreleased]"),
        ("0.2.0", RELEASED, {"v0.3.0"}, {"0.2.0"}, "tagged v0.3.0, and its version is 0.2.0"),
        ("0.2.0", RELEASED.replace("Unreleased", "Next"), {"v0.2.0"}, {"0.2.0"}, "no section [Unreleased]"),
        ("0.2.0", RELEASED.replace("0.1.0", "0.10.0"), {"v0.2.0"}, {"0.2.0"}, "out of order"),
        ("0.2", RELEASED, set[str](), {"0.2.0"}, "three numbers"),
    ],
)
def test_what_does_not_agree_is_said(version: str, changelog: str, here: set[str], states: set[str], said: str) -> None:
    found = problems(version, changelog, here, {"v0.1.0", *here}, states)
    assert [each for each in found if said in each], found
