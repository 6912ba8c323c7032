"""The one rule by which the edge and the machine itself tell whether an app can take traffic."""

from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException


@dataclass(frozen=True)
class Answer:
    """What an app said when it was asked."""

    ready: bool
    detail: str
    """For people: `HTTP 200`, `Connection refused`, ..."""


def probe(address: str, port: int, path: str, timeout: float = 1.0) -> Answer:
    """Ask `http://<address>:<port><path>`, waiting `timeout` seconds for each step.

    Redirects are not followed.
    """
    connection = HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"User-Agent": "expressway-probe", "Connection": "close"})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return Answer(False, str(error) or type(error).__name__)
    finally:
        connection.close()
    return judge(status)


def judge(status: int) -> Answer:
    """What an HTTP status says. Any below 500 means ready: an app without such a path says 404, and runs."""
    return Answer(status < 500, f"HTTP {status}")
