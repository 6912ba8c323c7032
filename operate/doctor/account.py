"""The account that the doctor looks at: clients, and what AWS's refusals mean."""

from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, UnknownRegionError

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403"})
"""Each protocol has its own word; HEAD requests of S3 have no body to put one in."""

PREFIXES = {"service-quotas": "servicequotas"}
"""Services whose actions in IAM begin otherwise than their client is called."""

HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""In each partition, a region that cannot be switched off."""


class NotPermittedError(Exception):
    """The caller may not ask."""

    def __init__(self, action: str) -> None:
        self.action = action
        super().__init__(f"needs {action}")


def code(error: ClientError) -> str:
    """AWS's name for an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


class Account:
    """Questions to AWS, each under the name of the permission that it takes."""

    def __init__(self, session: boto3.Session, region: str) -> None:
        self.region = region
        self._session = session
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def home(self) -> str:
        """A region that is on whatever the account has chosen."""
        return HOMES.get(self.partition, self.region)

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`; a region that nobody knows is taken for one of the first."""
        try:
            return str(self._session.get_partition_for_region(self.region))
        except UnknownRegionError:
            return "aws"

    def ask(
        self, service: str, operation: str, /, *, permission: str = "", region: str = "", **arguments: Any
    ) -> dict[str, Any]:
        """One call. NotPermittedError when the caller may not make it."""
        try:
            return getattr(self._client(service, region), xform_name(operation))(**arguments)
        except ClientError as error:
            raise self._translated(error, service, permission or operation) from error

    def every(self, service: str, operation: str, key: str, /, **arguments: Any) -> list[dict[str, Any]]:
        """The whole list `key` of an operation that answers in pages."""
        client = self._client(service, "")
        name = xform_name(operation)
        try:
            if not client.can_paginate(name):
                return list(getattr(client, name)(**arguments).get(key, []))
            pages = client.get_paginator(name).paginate(**arguments)
            return [item for page in pages for item in page.get(key, [])]
        except ClientError as error:
            raise self._translated(error, service, operation) from error

    def _client(self, service: str, region: str) -> Any:
        place = region or self.region
        if (service, place) not in self._clients:
            # A doctor that hangs is no help.
            config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})
            self._clients[service, place] = self._session.client(service, region_name=place, config=config)
        return self._clients[service, place]

    def _translated(self, error: ClientError, service: str, operation: str) -> Exception:
        if code(error) not in DENIED:
            return error
        return NotPermittedError(f"{PREFIXES.get(service, service)}:{operation}")


def tags(thing: dict[str, Any]) -> dict[str, str]:
    """A thing's tags."""
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}
