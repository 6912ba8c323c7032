"""Redis as a cluster: its primaries, each of which has a part of the keys. Any node tells which they are."""

import contextlib
import ipaddress
import itertools
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from . import redis
from .redis import RedisSession, Seen
from .services import ServiceError, address

VARIABLE = "REDIS_CLUSTER"
"""`true` where REDIS_URL leads to a cluster."""


@dataclass(frozen=True)
class Primary:
    """A node that takes writes."""

    name: str
    """Its host and port."""
    session: RedisSession


class ClusterSession:
    """A connection to each primary. What they count is told together, memory too."""

    def __init__(self, url: str) -> None:
        """ServiceError when one of them can't be asked."""
        self._closing = contextlib.ExitStack()
        self._primaries = open_primaries(url, self._closing)
        self._turns = itertools.cycle(self._primaries)

    def round_trip(self) -> None:
        """PING to the next one: to all, one after the other, it would take the longer the more there are."""
        primary = next(self._turns)
        with telling(primary.name):
            primary.session.round_trip()

    def sample(self) -> None:
        """Nothing: what Redis tells, it counts."""

    def look(self) -> Seen:
        """What all of them count. ServiceError once the primaries are others."""
        if sorted(primaries(self._primaries[0].session)) != sorted(each.name for each in self._primaries):
            raise ServiceError("the cluster's primaries are others now")
        found: list[Seen] = []
        for each in self._primaries:
            with telling(each.name):
                found.append(each.session.look())
        return together(found)

    def close(self) -> None:
        """Hang up."""
        self._closing.close()


def connect() -> "RedisSession | ClusterSession | None":
    """To the app's cache, whichever it is; None when it has none. ServiceError when that can't be reached."""
    url = address(redis.VARIABLE)
    return ClusterSession(url) if url is not None and address(VARIABLE) == "true" else redis.connect()


def open_primaries(url: str, closing: contextlib.ExitStack) -> list[Primary]:
    """Connect to each primary of the cluster that an address leads into; `closing` hangs up, also after an error.

    ServiceError with the name of the node that can't be asked.
    """
    with contextlib.closing(redis.open_session(url)) as session:
        names = primaries(session)
    if not names:
        raise ServiceError("no node of the cluster holds keys yet")
    parts = urlsplit(url)
    who, at, _ = parts.netloc.rpartition("@")
    found: list[Primary] = []
    with contextlib.ExitStack() as opened:
        for name in names:
            with telling(name):
                node = parts._replace(netloc=f"{who}{at}{name}").geturl()
                # No certificate is for a number: one node's is for all of the cluster's names.
                named = None if not _is_number(name.rpartition(":")[0]) else parts.hostname
                primary = Primary(name, redis.open_session(node, named))
            opened.callback(primary.session.close)
            found.append(primary)
        closing.push(opened.pop_all())
    return found


def primaries(session: RedisSession) -> list[str]:
    """Host and port of each node that has keys and takes writes, as one node knows it.

    https://redis.io/docs/latest/commands/cluster-nodes/
    """
    found: list[str] = []
    for line in session.ask("CLUSTER", "NODES").splitlines():
        fields = line.split(" ")
        # A replica has no slots of its own.
        if len(fields) > _BEFORE_SLOTS:
            numbers, _, named = fields[1].partition(",")
            host, _, port = numbers.partition("@")[0].rpartition(":")
            # What is behind a host name's comma are shard ids and the like.
            found.append(f"{named.partition(',')[0] or host}:{port}")
    return found


def together(each: Sequence[Seen]) -> Seen:
    """What several nodes have counted, added up."""
    counts, calls, spent = Counter[str](), Counter[str](), Counter[str]()
    for seen in each:
        counts.update({name: seen.number(name) for name in _ADDED})
        calls.update({name: count for name, (count, _) in seen.commands.items()})
        spent.update({name: microseconds for name, (_, microseconds) in seen.commands.items()})
    return Seen(
        {name: f"{count:.0f}" for name, count in counts.items()},
        {name: (count, spent[name]) for name, count in calls.items()},
    )


@contextlib.contextmanager
def telling(name: str) -> Generator[None]:
    """With a node's name in its ServiceError."""
    try:
        yield
    except ServiceError as error:
        raise type(error)(f"{name}: {error}") from None


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


_BEFORE_SLOTS = 8
"""Fields of a line that every node has."""
_ADDED = (
    "connected_clients",
    "evicted_keys",
    "keyspace_hits",
    "keyspace_misses",
    "maxmemory",
    "total_commands_processed",
    "used_memory",
)
"""What of INFO is told of the cache."""
