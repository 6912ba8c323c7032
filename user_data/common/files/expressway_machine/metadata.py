"""The instance metadata service, version 2."""

from http.client import HTTPConnection

HOST = "169.254.169.254"
_TOKEN = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}


def instance_id(host: str = HOST) -> str:
    """This machine's instance id. OSError when the service doesn't answer."""
    token = _request(host, "PUT", "/latest/api/token", _TOKEN)
    return _request(host, "GET", "/latest/meta-data/instance-id", {"X-aws-ec2-metadata-token": token})


def _request(host: str, method: str, path: str, headers: dict[str, str]) -> str:
    # Not urllib: that would send the token through whatever proxy the environment names.
    connection = HTTPConnection(host, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise OSError(f"metadata service: {method} {path} answered {response.status}")
    return body
