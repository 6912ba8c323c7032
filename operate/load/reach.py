"""One request by itself: whether a site is there, and how a path answers."""

import http.client
import ssl
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 10.0


class UnreachableError(Exception):
    """Nobody answers there; the message says why."""


def ask(url: str, path: str, *, insecure: bool = False) -> int:
    """The status of `GET path`, redirects not followed. `insecure`: any certificate will do. UnreachableError."""
    site = urlsplit(url)
    if site.scheme == "https":
        context = ssl._create_unverified_context() if insecure else ssl.create_default_context()  # noqa: S323  # pyright: ignore[reportPrivateUsage]
        connection = http.client.HTTPSConnection(site.netloc, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(site.netloc, timeout=SECONDS)
    try:
        connection.request("GET", f"{site.path.rstrip('/')}{path}")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    finally:
        connection.close()
    return answer.status
