"""A tier's user data: its template, filled in strictly. The same values always give the same bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

LIMIT = 16384
"""Bytes of user data, before base64, that EC2 takes."""


def user_data_root() -> Path:
    """The folder of tier folders, beside this package in a clone, a plugin and a wheel."""
    return Path(__file__).resolve().parent.parent / "user_data"


def render(tier: str, machine: Mapping[str, object], root: Path | None = None, packages: Sequence[str] = ()) -> str:
    """The user data of a machine of `tier` (`edge` or `app`), with Debian `packages` besides the tier's own.

    `machine` becomes /etc/expressway/machine.json, so it holds no secrets. Raises jinja2.UndefinedError for a name that
    the template uses and nobody gives, ValueError when the result is larger than EC2 takes.
    """
    root = root or user_data_root()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # YAML, not HTML: values are quoted by the template's tojson
    )
    text = environment.get_template(f"{tier}/cloud-config.yaml.j2").render(
        machine=dict(machine),
        packages=list(dict.fromkeys([*(root / tier / "packages.txt").read_text().split(), *packages])),
        bootstrap=(root / "common" / "bootstrap.py").read_text(),
    )
    size = len(text.encode())
    if size > LIMIT:
        raise ValueError(
            f"the user data of tier {tier!r} is {size} bytes, and EC2 takes {LIMIT}: "
            "shorten the variables in `environment`, or keep long values in Secrets Manager and name them in `secrets`"
        )
    return text
