"""Which of an app's files go into a build, and what identifies them."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .problems import AppError, Problem

SKIPPED_FOLDERS = frozenset({"node_modules", ".git"})
"""Never copied, at any depth: dependencies are installed afresh from the lock file."""

_PUBLIC_DOTENV = frozenset({".env.example", ".env.sample", ".env.template"})


@dataclass(frozen=True)
class Source:
    """The files and links of an app's folder."""

    files: list[Path]
    """Files and symbolic links to copy, relative to the folder, sorted."""
    withheld: list[Path]
    """dotenv files: they tend to hold secrets, so they are left out."""


def read(folder: Path) -> Source:
    """List `folder`, reading no file's content. AppError when a link leads out of it, or a part can't be read."""
    problems: list[Problem] = []
    files: list[Path] = []
    withheld: list[Path] = []
    for entry in _walk(folder, problems):
        relative = entry.relative_to(folder)
        if entry.is_symlink() and not points_inside(entry, folder):
            problems.append(
                Problem(
                    str(entry),
                    f"a symbolic link must stay inside the app's folder, and this one leads to {entry.readlink()}",
                    "Put the file itself there, or remove the link.",
                )
            )
        elif _is_dotenv(entry.name):
            withheld.append(relative)
        elif entry.is_symlink() or entry.is_file():
            files.append(relative)
    if problems:
        raise AppError(problems)
    return Source(sorted(files), sorted(withheld))


def digest(folder: Path, source: Source) -> str:
    """SHA-256 over names, contents, executable bits and link targets; not over times, owners or other permissions."""
    total = hashlib.sha256()
    for relative in source.files:
        path = folder / relative
        if path.is_symlink():
            kind, content = b"link", os.fsencode(path.readlink())
        else:
            kind = b"program" if path.stat().st_mode & stat.S_IXUSR else b"file"
            content = hashlib.sha256(path.read_bytes()).digest()
        for part in (os.fsencode(relative), kind, content):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def points_inside(link: Path, folder: Path) -> bool:
    """Whether a symbolic link is relative and its target, existing or not, lies inside `folder`."""
    target = link.readlink()
    if target.is_absolute():
        return False
    reached = Path(os.path.normpath(link.parent / target))
    return reached.is_relative_to(Path(os.path.normpath(folder)))


def _walk(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        problems.append(
            Problem(str(error.filename), f"the folder must be readable ({error.strerror})", "Fix its permissions.")
        )

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from (Path(parent) / name for name in [*links, *names] if name not in SKIPPED_FOLDERS)


def _is_dotenv(name: str) -> bool:
    return (name == ".env" or name.startswith(".env.")) and name not in _PUBLIC_DOTENV
