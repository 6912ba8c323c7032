"""What this machine is asked for by its own tags, and the objects in the bucket that answer.

Only who may tag the stack's machines, which is who may deploy, can ask. A tag holds a request's id and what else its
kind needs; the answer is `reports/app/<instance>/<kind>-<id>`: a line of JSON that says how it went, and what comes
after it. Each request once: one that a restart of this program cut off is answered with that, and not begun again.
operate/requests.py is the other side.
"""

import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import files, metadata

from . import report
from .service import say

PERIOD = 1.0
"""Seconds between two looks at the tags."""
SOON = 0.25
"""The same, while more is about to be asked."""
AGAIN = 30.0
"""Seconds until what can't be followed is tried anew."""
_ID = "(?P<id>[0-9a-z]{8,40})"


class RequestError(Exception):
    """It isn't done; the message, of a line for each reason, says why."""


class Tell(Protocol):
    """Tells whoever asked how it is with the request."""

    def __call__(self, state: str, rest: str = "", **told: Any) -> None:
        """`told` is of the first line, `rest` comes after it."""
        ...


@dataclass(frozen=True)
class Kind:
    """Something that this machine can be asked for."""

    tag: str
    answer: str
    """The answer's name, with `{}` for the request's id. One that ends with `.gz` is packed."""
    memory: Path
    """Which request this machine is through with, or was about to be."""
    do: Callable[[re.Match[str], Tell], None]
    """Does what a tag says, and tells of it, at last that it is done. RequestError, or whatever it is."""
    words: str = ""
    """A pattern of what the tag holds after the request's id."""


class Tags:
    """Those of this machine's tags by which it is asked for something, as they were at the last look."""

    def __init__(
        self,
        keys: Collection[str],
        look: Callable[[Collection[str]], Mapping[str, str]] = metadata.tags,
        *,
        announces: tuple[str, str] | None = None,
    ) -> None:
        """`announces` is one of the keys and a value of it: while the tag is that, another follows soon."""
        self._keys = keys
        self._announces = announces
        self._look = look
        self._found: Mapping[str, str] = {}
        self._problem: str | None = None
        self._changed = threading.Condition()

    def look(self) -> None:
        """Read them, all at once. What can't be read is as it was."""
        try:
            found = self._look(self._keys)
        except Exception as error:  # a thread that ended would leave the machine deaf
            if str(error) != self._problem:
                say(f"this machine's tags can't be read: {error}")
            self._problem = str(error)
            return
        self._problem = None
        with self._changed:
            if found != self._found:
                self._found = found
                self._changed.notify_all()

    def follow(self) -> None:
        """Look every second, or more often while a request is announced. For ever."""
        while True:
            self.look()
            announced = self._announces is not None and self.get(self._announces[0]) == self._announces[1]
            time.sleep(SOON if announced else PERIOD)

    def get(self, key: str) -> str | None:
        """A tag's value; None without one."""
        return self._found.get(key)

    def wait(self, key: str, value: str | None, seconds: float) -> None:
        """Return when the tag's value is another one, or so many seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._found.get(key) != value, seconds)


class Answers:
    """What this machine tells of one request after the other."""

    def __init__(self, s3: Any, bucket: str, instance_id: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._id = instance_id

    def write(self, kind: Kind, request: str, state: str, rest: str = "", **told: Any) -> None:
        """Store how it is with a request. One that can't be stored is one that whoever asked waits for in vain."""
        name = kind.answer.format(request)
        head = {"id": self._id, "request": request, "state": state, "at": round(time.time(), 3), **told}
        body = f"{json.dumps(head)}\n{rest}".encode()
        packed = name.endswith(".gz")
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=f"reports/app/{self._id}/{name}",
                Body=gzip.compress(body, 5) if packed else body,
                ContentType="application/gzip" if packed else "application/json",
            )
        except (BotoCoreError, ClientError) as error:
            say(f"{name}: the answer can't be stored: {error}")


def answer(kind: Kind, answers: Answers, request: str) -> None:
    """Do what a request asks for, unless that was done before, and tell of it."""
    asked = re.fullmatch(_ID + kind.words, request)
    if not asked:
        say(f"the tag {kind.tag} holds no request")
        return
    identity = asked["id"]

    def tell(state: str, rest: str = "", **told: Any) -> None:
        answers.write(kind, identity, state, rest, **told)

    known = report.last(kind.memory)
    if known == {"request": identity, "over": False}:
        tell("failed", reason="the machine's expressway-deploys.service was restarted meanwhile: ask again")
        _remember(kind, identity, over=True)
    if known.get("request") == identity:
        return
    _remember(kind, identity, over=False)
    try:
        kind.do(asked, tell)
    except Exception as error:  # whatever it is, whoever asked hears of it
        # Such as JSON's and AWS's own: what is unforeseen may have any number of lines.
        why = str(error) if isinstance(error, RequestError) else " ".join(f"{type(error).__name__}: {error}".split())
        why = report.mask(why, report.secrets())
        say(f"{kind.answer.format(identity)}: {why}")
        tell("failed", reason=why)
    _remember(kind, identity, over=True)


def follow(
    kind: Kind, tags: Tags, answers: Answers, wait: Callable[[float], None] | None = None, rounds: int | None = None
) -> None:
    """Answer each request of a kind. For ever. `wait` is what the thread does between two."""
    seen = None
    while rounds is None or (rounds := rounds - 1) >= 0:
        request = tags.get(kind.tag)
        if request and request != seen:
            answer(kind, answers, request)
        seen = request or seen
        if wait:
            wait(PERIOD)
        else:
            tags.wait(kind.tag, request, PERIOD)


def keep(tag: str, following: Callable[[], None]) -> None:
    """Have requests by a tag followed for as long as this program runs."""
    while True:
        try:
            following()
        except Exception as error:
            # What a machine can't be asked for is no reason for this program, which follows deploys, to be in trouble.
            say(f"requests by the tag {tag} can't be followed: {type(error).__name__}: {error}")
            time.sleep(AGAIN)


def _remember(kind: Kind, request: str, *, over: bool) -> None:
    files.write(kind.memory, json.dumps({"request": request, "over": over}), 0o600)
