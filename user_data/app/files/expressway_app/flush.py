"""Emptying the cache on demand: the tag by which this machine is asked for it, and the object that answers.

Only app servers reach Redis, and only they have its token. Who may ask is who may tag the stack's machines, as for
profiles. The tag holds the request's id; the answer is `reports/app/<instance>/flush-<id>.json`. Each request once: one
that a restart of this program cut off is answered with that, as a cache that is warm by now must not be emptied again.
"""

import functools
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from app_metrics.services import ServiceError
from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config, files, metadata
from expressway_machine.aws import Clients

from . import current, environment, paths, profiles, report
from .service import say

TAG = "expressway:flush-cache"
_REQUEST = re.compile(r"[0-9a-z]{8,40}")


class FlushError(Exception):
    """The cache is not empty; the message says why. The token is never in it."""


def flush(cache: Mapping[str, Any] | None) -> dict[str, Any]:
    """Have Redis forget everything; the keys before and after, and seconds. FlushError."""
    if cache is None:
        raise FlushError("this machine has no cache")
    secrets = current.known_secrets()
    if cache["secret"] not in secrets:
        raise FlushError("this machine has no token of the cache yet")
    began = time.monotonic()
    try:
        # Not REDIS_URL as the app has it: a team's own may lead to a Redis that is not the stack's.
        from app_metrics import redis  # hiredis is needed for this alone

        session = redis.open_session(environment.cache_url(cache, secrets))
        try:
            before = int(session.ask("DBSIZE"))
            # Memory is freed by a thread of its own: meanwhile Redis answers.
            session.ask("FLUSHALL", "ASYNC")
            after = int(session.ask("DBSIZE"))
        finally:
            session.close()
    except ServiceError as error:
        raise FlushError(f"the cache at {cache['host']}: {error}") from None
    return {"before": before, "after": after, "seconds": round(time.monotonic() - began, 3)}


def answer(machine: config.Machine, instance_id: str, s3: Any, request: str) -> None:
    """Do what a request asks for, unless that was done before, and tell of it."""
    if not _REQUEST.fullmatch(request):
        say(f"the tag {TAG} holds no request")
        return
    found = report.last(paths.FLUSHED)
    if found.get("request") == request and found.get("over"):
        return
    try:
        if found.get("request") == request:
            raise FlushError("the machine's expressway-deploys.service was restarted meanwhile: ask again")
        _remember(request, over=False)
        told: dict[str, Any] = {"state": "done", **flush(machine["cache"])}
        say(f"flush {request}: the cache had {told['before']} keys, and has {told['after']}")
    except Exception as error:  # whatever it is, whoever asked hears of it
        why = str(error) if isinstance(error, FlushError) else f"{type(error).__name__}: {error}"
        told = {"state": "failed", "reason": " ".join(report.mask(why, report.secrets()).split())}
        say(f"flush {request}: {told['reason']}")
    _remember(request, over=True)
    try:
        s3.put_object(
            Bucket=machine["bucket"],
            Key=f"reports/app/{instance_id}/flush-{request}.json",
            Body=json.dumps({"id": instance_id, "request": request, "at": round(time.time(), 3), **told}).encode(),
            ContentType="application/json",
        )
    except (BotoCoreError, ClientError) as error:
        say(f"flush {request}: the answer can't be stored: {error}")


def follow(machine: config.Machine, instance_id: str) -> None:
    """Answer requests for as long as this program runs."""
    s3 = Clients(machine["region"], attempts=3, read_timeout=20).get("s3")
    ask = functools.partial(answer, machine, instance_id, s3)
    while True:
        try:
            profiles.run(functools.partial(metadata.tag, TAG), ask, time.sleep)
        except Exception as error:
            # This is no reason for this program, which follows deploys, to be in trouble.
            say(f"the cache can't be flushed from here: {type(error).__name__}: {error}")
            time.sleep(30)


def _remember(request: str, *, over: bool) -> None:
    files.write(paths.FLUSHED, json.dumps({"request": request, "over": over}), 0o600)
