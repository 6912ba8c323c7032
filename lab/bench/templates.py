"""Renders configurations."""

from pathlib import Path
from typing import Any

import jinja2


def render(file: Path, **values: Any) -> str:
    """The text of a template. A value that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(file.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701, configurations, not HTML
    )
    return environment.get_template(file.name).render(**values)
