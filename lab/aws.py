"""Clients for the lab's API from this host. Its credentials are made up: the API takes any."""

from typing import Any

import boto3
from botocore.config import Config


def session(endpoint: str, region: str) -> "Clients":
    """Clients for the API at `endpoint`, made when first asked for."""
    return Clients(endpoint, region)


class Clients:
    """boto3 clients by service name."""

    def __init__(self, endpoint: str, region: str) -> None:
        self._endpoint = endpoint
        self._session = boto3.Session(aws_access_key_id="lab", aws_secret_access_key="lab", region_name=region)  # noqa: S106 - no secret
        self._made: dict[str, Any] = {}

    def __getitem__(self, service: str) -> Any:
        if service not in self._made:
            config = Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 1})
            self._made[service] = self._session.client(service, endpoint_url=self._endpoint, config=config)
        return self._made[service]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """The whole list `key` of a paginated operation."""
        client = self[service]
        if client.can_paginate(operation):
            return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[key]]
        return list(getattr(client, operation)(**arguments)[key])
