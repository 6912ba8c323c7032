"""A database that isn't the stack's (`database.engine: external`): where it is, and who logs in, is a URL in a secret.

Pure. PgBouncer takes the URL apart and can keep of it what is looked at here, so that what would be lost is refused.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

MODES = ("verify-full", "verify-ca", "require", "disable")
"""Of TLS, by libpq's names. It has two more, with which nobody knows whether the connection is encrypted."""
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_SCHEMES = ("postgresql", "postgres")


class AddressError(Exception):
    """The text is no URL of a database, or not of one that app servers reach. It is never in the message."""


def read(text: str, port: int) -> dict[str, Any]:
    """Host, port, name, user, password and sslmode of a URL; `port` is the one that app servers may connect to.

    Without sslmode it is verify-full. AddressError.
    """
    try:
        parts = urlsplit(text)
        found = parts.port or 5432
    except ValueError:
        parts = found = None
    if parts is None or parts.scheme not in _SCHEMES or any(each in text for each in "\r\n\0"):
        raise AddressError("it doesn't hold a URL like postgresql://user:password@host:5432/name in one line")
    host, name = parts.hostname or "", unquote(parts.path.removeprefix("/"))
    if not (_HOST.fullmatch(host) and name and parts.username and parts.password):
        raise AddressError("its URL lacks one of user, password, a single host, and the database's name")
    if found != port:
        raise AddressError(f"its URL leads to port {found}, and app servers may connect to {port}: database.port")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    mode = options.pop("sslmode", MODES[0])
    if mode not in MODES:
        raise AddressError(f"its URL's sslmode must be one of {', '.join(MODES)}")
    options.pop("sslrootcert", None)
    if options:
        # Their names alone; a value may be anything.
        raise AddressError("its URL has parameters other than sslmode and sslrootcert, which no machine hands on")
    return {
        "host": host,
        "port": port,
        "name": name,
        "user": unquote(parts.username),
        "password": unquote(parts.password),
        "sslmode": mode,
    }


def placed(database: Mapping[str, Any], address: Mapping[str, Any]) -> dict[str, Any]:
    """The database as one of the stack's is told to a machine."""
    return {**database, **{key: address[key] for key in ("host", "name", "sslmode")}, "replica_hosts": []}
