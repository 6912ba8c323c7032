"""Another token for the cache, without a refused client: the order of docs/rotation.md, and whatever cuts it short.

How far it has come is in AWS: the new token is a version of the secret that is `AWSPENDING` from before the cache knows
it until the old one is good for nothing. Whoever runs it again goes on with that one. A second new token beside it
would take the old one from the cache while machines still have it: ElastiCache knows the latest two.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from operate import staged
from operate.cache import POLL_SECONDS, CacheError, Listener, asked_again, replication
from operate.stack import Stack

FOLLOW_SECONDS: Final = 120.0
"""In which machines follow the secret: they look at it once a minute, and reload their workers."""
CHANGE_SECONDS: Final = 1800.0
"""In which ElastiCache has made a change of tokens."""
BEGUN_SECONDS: Final = 30.0
"""In which ElastiCache has begun a change: until then it may still say that it is available."""


def rotate(
    stack: Stack,
    listener: Listener = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> staged.Rotated:
    """Draw a token, or go on with one that was drawn, and return when it is the only one that is good.

    CacheError when it can't be, or takes too long; botocore's errors.
    """
    secret = str(stack.outputs.get("cacheTokenSecret") or "")
    if not secret:
        raise CacheError("the stack's outputs don't name the token's secret: run pulumi up with this release once")
    group = replication(stack)
    if not group.get("AuthTokenEnabled"):
        raise CacheError(f"{group['ReplicationGroupId']} has no token")
    if group["Status"] != "available":
        raise CacheError(f"{group['ReplicationGroupId']} is {group['Status']}: wait until it is available")
    began = time.monotonic()
    current, pending = staged.find(stack, secret, staged.CURRENT), staged.find(stack, secret, staged.PENDING)
    if current is None:
        raise CacheError(f"{secret} has no value")
    wanted = pending or staged.keep(stack, secret, staged.draw(stack))
    if wanted.id != current.id:
        if pending is None or group["AuthTokenLastModifiedDate"] < wanted.made:
            _change(stack, group, wanted, "ROTATE", pause)
        listener("the cache takes the old token and the new one")
        staged.make_current(stack, secret, wanted, current)
    listener(f"machines follow the secret, for which they get {FOLLOW_SECONDS:.0f} s")
    pause(FOLLOW_SECONDS)
    _change(stack, group, wanted, "SET", pause)
    listener("the cache takes the new token alone")
    staged.settle(stack, secret, wanted)
    return staged.Rotated(secret, wanted.id, pending is not None, round(time.monotonic() - began, 1))


def _change(stack: Stack, group: Any, version: staged.Version, strategy: str, pause: Callable[[float], object]) -> None:
    """Have ElastiCache take a token beside the old one, or alone, and wait until every node does."""
    identifier = group["ReplicationGroupId"]
    group = stack.client("elasticache").modify_replication_group(
        ReplicationGroupId=identifier,
        AuthToken=version.text,
        AuthTokenUpdateStrategy=strategy,
        ApplyImmediately=True,
    )["ReplicationGroup"]
    waited, begun = 0.0, False
    while waited < CHANGE_SECONDS:
        begun = begun or group["Status"] != "available"
        pause(POLL_SECONDS)
        waited += POLL_SECONDS
        group = asked_again(stack, group)
        if group["Status"] == "available" and (begun or waited >= BEGUN_SECONDS):
            return
    raise CacheError(f"{identifier} is still {group['Status']} after {CHANGE_SECONDS:.0f} s: run this again to go on")
