"""The instance metadata service, version 2."""

from collections.abc import Collection
from http.client import HTTPConnection, HTTPException

HOST = "169.254.169.254"
_TOKEN = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}


def instance_id(host: str = HOST) -> str:
    """This machine's instance id. OSError when the service doesn't answer."""
    status, body = _ask(host, "instance-id")
    if status != 200:
        raise OSError(f"metadata service: instance-id answered {status}")
    return body


def tag(key: str, host: str = HOST) -> str | None:
    """The value of this machine's tag as it is now; None without one. OSError when the service doesn't answer.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html: a tag shows there while the machine
    runs on types built on Nitro, which all are since 2017, and on older ones after a stop and a start.
    """
    status, body = _ask(host, f"tags/instance/{key}")
    if status not in (200, 404):
        raise OSError(f"metadata service: the tag {key} answered {status}")
    return body if status == 200 else None


def tags(keys: Collection[str], host: str = HOST) -> dict[str, str]:
    """Those of this machine's tags `keys` that it has now, by two requests and one for each. OSError as for `tag`."""
    token = _token(host)
    status, names = _read(host, token, "tags/instance")
    if status not in (200, 404):
        raise OSError(f"metadata service: the tags answered {status}")
    found: dict[str, str] = {}
    for key in sorted({*names.splitlines()} & {*keys} if status == 200 else ()):
        status, body = _read(host, token, f"tags/instance/{key}")
        if status == 200:
            found[key] = body
        elif status != 404:  # which says that it was taken off in between
            raise OSError(f"metadata service: the tag {key} answered {status}")
    return found


def _ask(host: str, name: str) -> tuple[int, str]:
    return _read(host, _token(host), name)


def _token(host: str) -> str:
    status, token = _request(host, "PUT", "/latest/api/token", _TOKEN)
    if status != 200:
        raise OSError(f"metadata service: the session token answered {status}")
    return token


def _read(host: str, token: str, name: str) -> tuple[int, str]:
    return _request(host, "GET", f"/latest/meta-data/{name}", {"X-aws-ec2-metadata-token": token})


def _request(host: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    # Not urllib: that would send the token through whatever proxy the environment names.
    connection = HTTPConnection(host, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except HTTPException as error:
        raise OSError(f"metadata service: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
