"""Emptying the cache on demand. Only app servers reach Redis, and only they have its token.

The tag holds the request's id alone. A flush that was cut off is not begun again: the cache may be warm by then.
"""

import contextlib
import re
import time
from collections.abc import Mapping
from typing import Any

from app_metrics.services import ServiceError
from expressway_machine import config

from . import current, environment, paths, requests
from .service import say

TAG = "expressway:flush-cache"


class FlushError(requests.RequestError):
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
        before, after = _forget(environment.cache_url(cache, secrets), cluster=cache["cluster"])
    except ServiceError as error:
        raise FlushError(f"the cache at {cache['host']}: {error}") from None
    return {"before": before, "after": after, "seconds": round(time.monotonic() - began, 3)}


def _forget(url: str, *, cluster: bool) -> tuple[int, int]:
    from app_metrics import redis, redis_cluster  # hiredis is needed for this alone

    with contextlib.ExitStack() as closing:
        if cluster:
            # All are connected to first: with one that can't be reached, none is emptied.
            nodes = [each.session for each in redis_cluster.open_primaries(url, closing)]
        else:
            nodes = [closing.enter_context(contextlib.closing(redis.open_session(url)))]
        before = sum(int(each.ask("DBSIZE")) for each in nodes)
        # Memory is freed by a thread of its own: meanwhile Redis answers.
        for each in nodes:
            each.ask("FLUSHALL", "ASYNC")
        return before, sum(int(each.ask("DBSIZE")) for each in nodes)


def kind(machine: config.Machine) -> requests.Kind:
    """What whoever asks for a flush is told."""

    def do(asked: re.Match[str], tell: requests.Tell) -> None:
        told = flush(machine["cache"])
        tell("done", **told)
        say(f"flush {asked['id']}: the cache had {told['before']} keys, and has {told['after']}")

    return requests.Kind(TAG, "flush-{}.json", paths.FLUSHED, do)


def follow(machine: config.Machine, _instance_id: str, tags: requests.Tags, answers: requests.Answers) -> None:
    """Answer requests for as long as this program runs."""
    requests.follow(kind(machine), tags, answers)
