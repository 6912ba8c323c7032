"""One pass after the other: read the secret, check what it holds, put it on disk, publish."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import files

from .pair import CertificateError, Pair, parse
from .store import Store

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
"""Stages of a secret: what it holds, and what it held before that."""

_REMEDIES = {
    "AccessDeniedException": "The edge's role may read this secret once `pulumi up` has said so; one under a KMS "
    "key of your own needs that key's kms:Decrypt, too.",
    "ResourceNotFoundException": "Create the secret in this region, or name another one at edge.certificate.",
}


class UnreadableError(Exception):
    """Secrets Manager gave no answer, or none that helps; another try may succeed."""


class Keeper:
    """Has Nginx serve what the secret holds."""

    def __init__(self, client: Any, secret: str, store: Store, status: Path) -> None:
        """`client` is Secrets Manager's, `secret` a name or an ARN; how things are is published at `status`."""
        self._client = client
        self._secret = secret
        self._store = store
        self._status = status
        self._problem: str | None = None

    def ensure(self, patience: float, pause: float = 2.0) -> None:
        """Return once there is a certificate to serve. CertificateError or UnreadableError when there won't be one.

        A secret that can't be read is tried again for `patience` seconds: a role that was made a moment ago is refused
        until AWS has told all of its servers. Where it holds what can't be served, what it held before is good enough:
        a mistake that one running machine only reports must not keep the next one from booting.
        """
        deadline = time.monotonic() + patience
        while error := self.run_pass():
            if self._store.id():
                return
            if isinstance(error, CertificateError):
                try:
                    self._use(self._fetch(PREVIOUS))
                except (CertificateError, UnreadableError):
                    raise error from None
                self._publish()
                return
            if time.monotonic() > deadline:
                raise error
            time.sleep(pause)

    def run_pass(self) -> CertificateError | UnreadableError | None:
        """Make what Nginx serves agree with the secret, or leave it as it is and say why in log, status and answer."""
        error: CertificateError | UnreadableError | None = None
        try:
            self._use(self._fetch(CURRENT))
        except (CertificateError, UnreadableError) as caught:
            error = caught
        self._report(error and str(error))
        self._publish()
        return error

    def _fetch(self, stage: str) -> Pair:
        try:
            answer = self._client.get_secret_value(SecretId=self._secret, VersionStage=stage)
        except ClientError as error:
            remedy = _REMEDIES.get(error.response.get("Error", {}).get("Code", ""), "")
            raise UnreadableError(f"secret {self._secret}: {error}. {remedy}".rstrip()) from error
        except BotoCoreError as error:
            raise UnreadableError(f"secret {self._secret}: {error}") from error
        try:
            if "SecretString" not in answer:
                raise CertificateError("it is binary. Store text: --secret-string, not --secret-binary.")
            return parse(answer["SecretString"], datetime.now(UTC))
        except CertificateError as error:
            raise CertificateError(f"secret {self._secret}: {error}") from None

    def _use(self, pair: Pair) -> None:
        if self._store.put(pair):
            print(f"{pair}, is in use", flush=True)

    def _report(self, problem: str | None) -> None:
        """Log a problem when it comes, changes or goes; not in each pass that it lasts."""
        if problem != self._problem:
            kept = f"; in use stays {pair}" if (pair := self._store.pair()) else ""
            print(f"{problem}{kept}" if problem else "all is well again", flush=True)
        self._problem = problem

    def _publish(self) -> None:
        pair = self._store.pair()
        status = {
            "updated_at": time.time(),
            "names": pair and pair.names,
            "not_after": pair and pair.not_after.isoformat(),
            "error": self._problem,
        }
        files.write(self._status, json.dumps(status, indent=2) + "\n")
