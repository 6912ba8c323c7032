"""Tell an operator, who has the AWS API and no way onto this machine, how the app is: an object in the artifact bucket.

What was told last is on disk too, so that programs of this machine that follow one another agree on it.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config, files
from expressway_machine.aws import Clients

from . import paths

State = Literal["installing", "release-command", "starting", "ready", "failed"]

MOST_LINES = 40
LONGEST_LINE = 2000
"""Characters. A line of the app's may be a whole document."""
SHORTEST_SECRET = 4
"""Characters. Masking shorter ones would make every log unreadable and hide nothing."""
MASK = "***"


class Reporter:
    """Writes this machine's report. A report that can't be stored is never in the way of the app."""

    def __init__(self, machine: config.Machine, instance_id: str, s3: Any = None) -> None:
        # Impatient: the app waits meanwhile, and the next report is never far.
        self._s3 = s3 or Clients(machine["region"], attempts=2, read_timeout=5).get("s3")
        self._bucket = machine["bucket"]
        self._id = instance_id
        self._untold: str | None = None

    def write(
        self, state: State, *, deploy: str | None, reason: str | None = None, log: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Store that the app is in `state`; what was stored. `deploy` is the id of the deploy that it is about, if any.

        `reason` is one line, `log` what the app printed last.
        """
        masked = secrets()
        report = {
            "id": self._id,
            "tier": "app",
            "at": round(time.time(), 3),
            "release": paths.release(),
            "deploy": deploy,
            "state": state,
            "reason": reason and " ".join(mask(reason, masked).split()),
            "log": [mask(line, masked)[:LONGEST_LINE] for line in list(log)[-MOST_LINES:]],
        }
        text = json.dumps(report, indent=1)
        files.write(paths.REPORT, text, 0o600)
        self._store(text)
        return report

    def again(self) -> None:
        """Store once more what was told last, if that did not work, or so that it doesn't expire."""
        report = last()
        if report:
            report["at"] = round(time.time(), 3)
            self._store(json.dumps(report, indent=1))

    @property
    def told(self) -> bool:
        """Whether the bucket has the last report."""
        return self._untold is None

    def _store(self, text: str) -> None:
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=f"reports/app/{self._id}.json",
                Body=text.encode(),
                ContentType="application/json",
            )
        except (BotoCoreError, ClientError) as error:
            if str(error) != self._untold:
                print(f"expressway: the report can't be stored: {error}", flush=True)
            self._untold = str(error)
        else:
            self._untold = None


def last(path: Path | None = None) -> dict[str, Any]:
    """What was reported last; empty when nothing was."""
    try:
        found = json.loads((path or paths.REPORT).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def secrets() -> list[str]:
    """Every text that would give a secret of the app's away, the longest first."""
    try:
        known = json.loads(paths.SECRETS.read_text())
    except (OSError, ValueError):
        return []
    return hidden(known.values())


def hidden(values: Iterable[str]) -> list[str]:
    """Every text that would give one of the secret `values` away, the longest first."""
    found = {text for value in values for text in _forms(value)}
    return sorted((text for text in found if len(text) >= SHORTEST_SECRET), key=len, reverse=True)


def mask(text: str, hidden: Sequence[str]) -> str:
    """The text without anything that is `hidden`."""
    for secret in hidden:
        text = text.replace(secret, MASK)
    return text


def _forms(value: str) -> set[str]:
    """A secret as it may be printed: whole, by line, as part of a URL; and what is secret in it, of JSON or a URL."""
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = None
    if isinstance(parsed, Mapping):
        # A user's name is in many words, and no secret.
        wholes = {value, *(each for key, each in parsed.items() if key != "username" and isinstance(each, str))}
    else:
        wholes = {value, *_password(value)}
    parts = wholes | {line for whole in wholes for line in whole.splitlines()}
    return {form for part in parts for form in (part, quote(part, safe=""), json.dumps(part)[1:-1])}


def _password(url: str) -> set[str]:
    """That of a URL, as it is written there and as it is sent; none where the text is no such thing."""
    try:
        written = urlsplit(url).password
    except ValueError:
        written = None
    return {written, unquote(written)} if written else set()
