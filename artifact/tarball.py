"""Reproducible tarballs: the same content gives the same bytes, whoever packs it, wherever and whenever."""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from .problems import BuildError
from .source import points_inside

_LEVEL = 6  # gzip's own default; 9 takes three times as long for 1 % less


def pack(
    target: Path,
    files: Mapping[str, bytes],
    folders: Mapping[str, Path],
    skip: Callable[[PurePosixPath], bool] = lambda _: False,
) -> str:
    """Write a tar.gz of `files` (name to content) and `folders` (name to folder); give its SHA-256.

    `skip` gets a name inside the tarball and says whether to leave it out; a folder goes whole. BuildError when a
    symbolic link leads out of its folder.
    """
    members: dict[str, Path | bytes] = dict(files)
    for name, folder in folders.items():
        members.update(_members(PurePosixPath(name), folder, skip))
    with target.open("wb") as raw:
        # An empty file name and a zero time keep the two out of gzip's header.
        with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed, tarfile.open(None, "w", packed) as tar:
            for name in sorted(members):
                _add(tar, name, members[name])
        raw.flush()
        os.fsync(raw.fileno())
    return sha256(target)


def sha256(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _members(prefix: PurePosixPath, folder: Path, skip: Callable[[PurePosixPath], bool]) -> dict[str, Path | bytes]:
    found: dict[str, Path | bytes] = {str(prefix): folder} if prefix.name else {}
    for parent, folders, names in os.walk(folder):
        within = prefix / Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not skip(within / name)]
        for name in [*folders, *(name for name in names if not skip(within / name))]:
            path = Path(parent) / name
            if path.is_symlink() and not points_inside(path, folder):
                raise BuildError(f"{within / name} is a symbolic link that leads out of the app, to {path.readlink()}.")
            if path.is_symlink() or path.is_dir() or path.is_file():
                found[str(within / name)] = path
    return found


def _add(tar: tarfile.TarFile, name: str, member: Path | bytes) -> None:
    info = tarfile.TarInfo(name)
    if isinstance(member, bytes):
        info.size, info.mode = len(member), 0o644
        tar.addfile(info, io.BytesIO(member))
    elif member.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(member.readlink()), 0o777
        tar.addfile(info)
    elif member.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
    else:
        status = member.stat()
        info.size, info.mode = status.st_size, 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        with member.open("rb") as content:
            tar.addfile(info, content)
