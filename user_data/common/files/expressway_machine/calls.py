"""Calls of AWS's JSON services, made of botocore's signer, credentials and connections alone.

For what runs beside the app all the time and makes a few kinds of calls: a client of botocore's reads the model of its
whole service, and the list of every endpoint there is.
"""

import json
import os
import threading
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import CredentialResolver, EnvProvider, InstanceMetadataProvider
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session
from botocore.utils import InstanceMetadataFetcher, get_environ_proxies

JSON = "application/x-amz-json-"


@dataclass(frozen=True)
class Service:
    """How a service is spoken to, as botocore's model of it says.

    https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
    """

    name: str
    """Its host's first part, by which calls are signed too."""
    target: str
    """What its operations are part of."""
    version: str
    """Of the protocol."""


CLOUDWATCH = Service("monitoring", "GraniteServiceVersion20100801", "1.0")
LOGS = Service("logs", "Logs_20140328", "1.1")


class Calls:
    """Makes calls by the machine's role. Any thread may, and all share one fetch of its credentials."""

    def __init__(self, region: str, connect_timeout: float = 3, read_timeout: float = 5) -> None:
        """Seconds. A call is tried once: who makes it knows better what comes next."""
        self._region = region
        self._suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        proxies = get_environ_proxies(self._url(LOGS))
        self._session = URLLib3Session(timeout=(connect_timeout, read_timeout), proxies=proxies)
        # By default one lost packet to the metadata service means "no credentials".
        role = InstanceMetadataProvider(InstanceMetadataFetcher(timeout=1, num_attempts=5))
        self._chain = CredentialResolver([EnvProvider(), role])
        self._fetching = threading.Lock()
        self._credentials: Any = None

    def __call__(self, service: Service, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """What it answers. ClientError with its code when it refuses; BotoCoreError when it can't be asked."""
        target = f"{service.target}.{operation}"
        headers = {"Content-Type": f"{JSON}{service.version}", "X-Amz-Target": target}
        request = AWSRequest("POST", self._url(service), headers, json.dumps(given).encode())
        SigV4Auth(self._keys(), service.name, self._region).add_auth(request)
        answer = self._session.send(request.prepare())
        return _read(operation, answer.status_code, answer.content)

    def _url(self, service: Service) -> str:
        return os.environ.get("AWS_ENDPOINT_URL") or f"https://{service.name}.{self._region}.{self._suffix}/"

    def _keys(self) -> Any:
        """Those of this moment: the role's are renewed before they expire."""
        with self._fetching:
            self._credentials = self._credentials or self._chain.load_credentials()
        if self._credentials is None:
            raise NoCredentialsError
        return self._credentials.get_frozen_credentials()


def _read(operation: str, status: int, content: bytes) -> dict[str, Any]:
    """An answer's body, which PutMetricData leaves empty. One that isn't JSON refuses, whatever its status says."""
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        found = {"message": content[:200].decode(errors="replace")}
    else:
        if status < 300:
            return found
    code = str(found.get("__type", status)).rpartition("#")[2]
    told = {"Code": code, "Message": found.get("message") or found.get("Message") or ""}
    raise ClientError({"Error": told, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)
