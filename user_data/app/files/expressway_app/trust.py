"""The certificate authorities behind RDS, which no system's list has."""

import ssl
import time
import urllib.request
from pathlib import Path

from expressway_machine import files

URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
_TRIES = 6


def install_rds_ca(path: Path, url: str = URL, pause: float = 1.0) -> str:
    """Make sure that AWS's bundle of RDS authorities is at `path`; its text. OSError when it can't be had.

    A bundle that is there and valid is kept. Otherwise it is fetched over TLS that the system's own authorities vouch
    for, with a growing `pause` in seconds between tries.
    """
    if path.is_file() and is_valid(text := path.read_text()):
        return text
    text = _fetch(url, pause)
    if not is_valid(text):
        raise OSError(f"{url} didn't answer with certificates")
    files.write(path, text)
    return text


def is_valid(pem: str) -> bool:
    """Whether `pem` holds certificates that can be loaded, at least one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        return False
    return context.cert_store_stats()["x509"] > 0


def _fetch(url: str, pause: float) -> str:
    problem: Exception | None = None
    for attempt in range(_TRIES):
        time.sleep(pause * attempt)
        try:
            with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310, the address is a constant
                return response.read().decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            problem = error
    raise OSError(f"{url}: {problem}") from problem
