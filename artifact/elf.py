"""Finds native modules that were compiled for the wrong architecture, by the header of their files."""

from pathlib import Path

_MACHINES = {"x64": 62, "arm64": 183}  # e_machine, ELF specification


def wrong_architecture(folder: Path, arch: str) -> Path | None:
    """The first native module under `folder` that can't run on `arch`, relative to it.

    Packages that carry a build per platform keep them under `prebuilds/` and choose at run time: those may differ.
    """
    for file in sorted(folder.rglob("*.node")):
        if file.is_file() and "prebuilds" not in file.parts:
            with file.open("rb") as opened:
                header = opened.read(20)
            if header[:4] == b"\x7fELF" and int.from_bytes(header[18:20], "little") != _MACHINES[arch]:
                return file.relative_to(folder)
    return None
