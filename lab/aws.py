"""boto3 clients for the lab's API from this host."""

import re
import threading
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT_CREDENTIALS = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"}
"""The API checks no signatures: any key is the lab's only account."""


_MISSING = re.compile(r"NotFound|NonExistentQueue|NoSuch(Entity|Bucket|Key|Tag|Public|Life)|^404$|ResourceNotFound")


def says_missing(error: BaseException) -> bool:
    """Whether the API says that what was asked for is not there. Each service has its own words for it."""
    return isinstance(error, ClientError) and bool(_MISSING.search(error.response.get("Error", {}).get("Code", "")))


class Aws:
    """One client a service, made when first asked for. Safe to share between threads."""

    def __init__(
        self,
        endpoint: str,
        region: str,
        read_timeout: float = 60,
        credentials: Mapping[str, str] = ACCOUNT_CREDENTIALS,
    ) -> None:
        """`read_timeout` is in seconds: how long an answer may take. `credentials` are as boto3 takes them."""
        self.region = region
        self._endpoint = endpoint
        self._read_timeout = read_timeout
        self._session = boto3.Session(region_name=region, **credentials)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._account: str | None = None

    def __call__(self, service: str) -> Any:
        """The client of a service, such as `ec2`."""
        with self._lock:  # a session is not safe for threads, a client is
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    endpoint_url=self._endpoint,
                    config=Config(
                        connect_timeout=2,
                        read_timeout=self._read_timeout,
                        max_pool_connections=32,
                        # The API is on this host: a failure is an answer, and not to be tried again.
                        retries={"total_max_attempts": 1},
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[service]

    def account(self) -> str:
        """The account's id."""
        self._account = self._account or str(self("sts").get_caller_identity()["Account"])
        return self._account

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """The whole list `key` of an operation that may come in pages."""
        client = self(service)
        if client.can_paginate(operation):
            return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[key]]
        return list(getattr(client, operation)(**arguments)[key])
