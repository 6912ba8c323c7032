"""Releases: what they are called, and where their archives lie."""

from .rule import Rule, matching, number

RELEASE_ID = matching(
    # The machines' own rule, as it becomes a folder's name there.
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    "it must be at most 64 letters, digits, dots, underscores and hyphens, and start with a letter or digit",
    "Write it like 2026-11-25 or 5e884898da28.",
)

SHA256 = matching(r"[0-9a-f]{64}", "it must be a SHA-256 in lower-case hexadecimal", "Leave it out: it is computed.")

OLD_VERSIONS_DAYS = number(1)


def key_in(folder: str) -> Rule:
    """The rule for an archive's key: it lies in `folder`, all that the machines' role may read."""
    return matching(
        rf"{folder}/[A-Za-z0-9!_.*'()/-]{{1,900}}",
        f"it must lie in {folder}/, where machines may read",
        f"Start it with {folder}/, or leave it out.",
    )
