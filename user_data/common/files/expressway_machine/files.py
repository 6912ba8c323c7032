"""Writing files so that a reader, or a crash, never meets half of one."""

import os
import shutil
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def write(path: Path, text: str, mode: int = 0o644, group: str | None = None) -> bool:
    """Put `text` at `path` by rename, with `mode`, for `group` if one is named. Whether that changed what was there."""
    # As bytes: what a disk has made of it may be no text.
    if path.is_file() and path.read_bytes() == text.encode() and path.stat().st_mode & 0o7777 == mode:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    # Its owner's alone from the first moment: what is in it may be secret.
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        if group:
            shutil.chown(stream.fileno(), group=group)
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(path)
    return True


def link(path: Path, target: Path) -> bool:
    """Point the symbolic link `path` at `target`, in one step. Whether that changed where it pointed."""
    if path.is_symlink() and path.readlink() == target:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.rename(path)
    return True


def render(template: Path, **context: Any) -> str:
    """Render a Jinja2 template. An undefined name is an error (jinja2.UndefinedError), never an empty string."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701, configuration files, not HTML
    )
    return environment.get_template(template.name).render(**context)
