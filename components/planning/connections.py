"""Connections to the database: how many it takes, and whether the app's servers fit.

A fleet that doesn't fit works until the day that it grows, or rolls: then PostgreSQL refuses some worker's connection.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .findings import Finding
from .parameters import MAX_CONNECTIONS
from .rule import choice, number

PGBOUNCER, RDS_PROXY, NO_POOLER = "pgbouncer", "rds-proxy", "none"
POOLER = choice((PGBOUNCER, RDS_PROXY, NO_POOLER))
"""What keeps the connections of a server's workers to the database few."""

POOL_SIZE = number(1, 5000)
"""Connections: of each server with PgBouncer, of each worker without."""
PROXY_PERCENT = number(1, 100)
"""Of a database's max_connections, that its RDS Proxy may have."""
LEAVING_PERCENT = 40
"""Of them, that one may have which stays for servers that are being replaced by others with another pooler."""

DEFAULT_CONNECTIONS = 100
"""PostgreSQL's own max_connections, for a database that nobody has said more of.
https://www.postgresql.org/docs/current/runtime-config-connection.html"""

RESERVED = 5
"""For superusers (superuser_reserved_connections, 3) and for RDS's own (rds.rds_superuser_reserved_connections, 2).
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html"""
DIRECT = 10
"""Kept for who goes past the pools: the release command, an app's own LISTEN or locks, people."""
COLLECTOR = 1
"""Of each server: what measures the database."""
ROLLING = 2
"""Times the servers there are at most while all of them are replaced: a new one starts before an old one goes."""
CLIENT_POOL = 10
"""What node-postgres, and Knex and pg-promise on it, open for each worker unless told another number.
https://node-postgres.com/apis/pool"""
FEWEST_WORKERS = 2
"""A server's on one CPU (user_data/app/files/expressway_app/pm2.py)."""

_BYTES_A_CONNECTION = 9_531_392
_MOST_CONNECTIONS = 5000
_OF_A_UNIT, _KEPT_OF_UNITS = 211.3, 22.3
"""What AWS's table comes to: 189 connections with a most of 1 unit, 823 with 4, 1,669 with 8, 3,360 with 16."""
_MOST_OF_A_SMALL_LEAST = 2000
"""With a least of less than 1 unit."""
_GIB = 2**30
_DATABASE_CLASS = re.compile(r"db\.([a-z])\d\w*\.(?:(micro|small|medium|large)|(\d*)xlarge)")
_GIB_OF_XLARGE = {"c": 8, "m": 16, "r": 32, "t": 16, "x": 64, "z": 32}
"""Of each family's xlarge; x's is at least that. A large has half of it, a medium a quarter, a multiple so many times.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html"""
_SHARE_OF_XLARGE = {"micro": 16, "small": 8, "medium": 4, "large": 2}
_KEPT_GIB, _KEPT_SHARE = 0.3, 0.1
"""RDS's own programs and the system take memory before the formula: how much, AWS does not say. Here it is the larger
of both, which leaves a micro 78 connections and a large one 811."""

_TYPE_SIZE = re.compile(r".*\.(?:(\d*)xlarge|metal(?:-(\d+)xl)?)")


def database_connections(instance_class: str) -> int | None:
    """The most connections by RDS's default, LEAST(DBInstanceClassMemory / 9531392, 5000); None where that isn't known.

    DBInstanceClassMemory is less than the class's memory, which this takes: RDS and the system have their part.
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
    """
    memory = _memory(instance_class)
    return None if memory is None else min(memory // _BYTES_A_CONNECTION, _MOST_CONNECTIONS)


def sure_connections(
    instance_class: str, parameters: Mapping[str, str] | None = None, capacity: tuple[float, float] | None = None
) -> int | None:
    """As many as a database of the class takes at the least: what can be planned with. None where it isn't known.

    `capacity` is Aurora's, least and most, of a class without a size. A number that a user's own `parameters` have for
    max_connections counts, once the database was rebooted.
    """
    given = (parameters or {}).get("max_connections", "")
    if given.isdecimal() and not MAX_CONNECTIONS.check("", given):
        return int(given)
    if capacity is not None:
        return _capacity_connections(*capacity)
    memory = _memory(instance_class)
    if memory is None:
        return None
    kept = max(_KEPT_GIB * _GIB, _KEPT_SHARE * memory)
    return min(int((memory - kept) // _BYTES_A_CONNECTION), _MOST_CONNECTIONS)


def _capacity_connections(least: float, most: float) -> int:
    """By the most memory that it can have, however much it has at the moment.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html#aurora-serverless-v2.max-connections
    """
    return min(int(_OF_A_UNIT * most - _KEPT_OF_UNITS), _MOST_OF_A_SMALL_LEAST if least < 1 else _MOST_CONNECTIONS)


def _memory(instance_class: str) -> int | None:
    """Bytes of the class."""
    match = _DATABASE_CLASS.fullmatch(instance_class)
    if match is None or match[1] not in _GIB_OF_XLARGE:
        return None
    xlarge = _GIB_OF_XLARGE[match[1]] * _GIB
    return xlarge // _SHARE_OF_XLARGE[match[2]] if match[2] else xlarge * int(match[3] or 1)


def workers(instance_type: str) -> int:
    """The most workers of the app on a machine of a type: one for each vCPU, and two at least.

    A type's vCPUs are told by its size: two in a large one, four in an xlarge one, 96 in bare metal without a number.
    https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
    """
    match = _TYPE_SIZE.fullmatch(instance_type)
    if match is None:
        return FEWEST_WORKERS
    whole = 24 if "metal" in match[0] else 1
    return 4 * int(match[1] or match[2] or whole)


@dataclass(frozen=True)
class Budget:
    """The connections that a fleet may open, against those that its database takes."""

    most: int
    """The database's max_connections, at the least."""
    servers: int
    """App servers, at most, when none is being replaced."""
    pooler: str = PGBOUNCER
    """`pgbouncer`, `rds-proxy` or `none`."""
    pool_size: int | None = None
    """Of each server with PgBouncer, of each worker without; None for what fits, or what clients open."""
    workers: int = FEWEST_WORKERS
    """Of each server; PgBouncer makes their number irrelevant."""
    place_for_more: str = "take a larger instanceClass for the database"
    """How the database comes to take more."""
    percent: int | None = None
    """Of max_connections, for an RDS Proxy; None for what is left by those that go past it. With another pooler, for
    one that is there besides; None for none."""
    replicas: bool = False
    """Whether there are read replicas, which no RDS Proxy can stand before."""

    @property
    def fitting(self) -> int:
        """The largest pool that fits; below 1 where none does."""
        if self._proxied:
            # Not more than the proxy has for them: a client that it pins keeps one.
            return self._proxys // self._all_workers
        share = (self.most - self._kept) // (ROLLING * self.servers) - COLLECTOR
        return share if self._pooled else share // self.workers

    @property
    def size(self) -> int:
        """What each pool gets: what was asked for, or what follows."""
        if self.pool_size is not None:
            return self.pool_size
        if self._proxied:
            return max(self.fitting, 1)
        return max(self.fitting, FEWEST_WORKERS) if self._pooled else CLIENT_POOL

    @property
    def proxy_percent(self) -> int:
        """Of max_connections, for an RDS Proxy: what was asked for, or what the others leave."""
        return self.percent or max((self.most - self._past) * 100 // self.most, 1)

    @property
    def used(self) -> int:
        """Connections, while all servers are being replaced and each has as many as it may."""
        if self._proxied:
            return self._proxys + self._past
        return ROLLING * self.servers * (self._of_a_server + COLLECTOR) + self._kept

    @property
    def fits(self) -> bool:
        """Whether the database takes them."""
        return self.used <= self.most and (not self._proxied or self.fitting >= 1)

    @property
    def line(self) -> str:
        """The arithmetic."""
        if self._proxied:
            return (
                f"{self._proxys} of RDS Proxy ({self.proxy_percent} %) for {self._clients_line}, "
                f"+ {self._past - RESERVED - DIRECT} to measure + {RESERVED + DIRECT} kept = {self.used} "
                f"of max_connections {self.most}"
            )
        proxys = f"+ {self._proxys} of an RDS Proxy ({self.percent} %) " if self.percent else ""
        pool = f"{self.size} in its pool" if self._pooled else f"{self.workers} workers x {self.size}"
        return (
            f"{ROLLING} x {self.servers} servers while rolling x ({pool} + {COLLECTOR} to measure) "
            f"{proxys}+ {RESERVED + DIRECT} kept = {self.used} of max_connections {self.most}"
        )

    def check(self) -> list[Finding]:
        """What is wrong with it: nothing, or one finding at what is to change: `poolSize`, `pooler` or `maxSize`."""
        if self._proxied:
            return self._check_proxy()
        if self.fits:
            return []
        if self.pool_size is not None and self.fitting >= 1:
            path, value = "poolSize", self.pool_size
        else:
            path, value = ("maxSize", self.servers) if self._pooled else ("pooler", self.pooler)
        return [Finding(path, value, f"the database must take all connections: {self.line}", self._mend())]

    @property
    def _pooled(self) -> bool:
        return self.pooler == PGBOUNCER

    @property
    def _proxied(self) -> bool:
        return self.pooler == RDS_PROXY

    @property
    def _kept(self) -> int:
        """What no server's pool has, without a proxy before them."""
        return RESERVED + DIRECT + (self._proxys if self.percent else 0)

    @property
    def _of_a_server(self) -> int:
        return self.size if self._pooled else self.workers * self.size

    @property
    def _all_workers(self) -> int:
        return ROLLING * self.servers * self.workers

    @property
    def _clients_line(self) -> str:
        return f"{ROLLING} x {self.servers} servers while rolling x {self.workers} workers x {self.size}"

    @property
    def _proxys(self) -> int:
        """The connections that an RDS Proxy may have."""
        return self.most * self.proxy_percent // 100

    @property
    def _past(self) -> int:
        """Those that go past it."""
        return ROLLING * self.servers * COLLECTOR + RESERVED + DIRECT

    def _check_proxy(self) -> list[Finding]:
        """More clients than the proxy has connections wait; each worker needs one, and replicas have no proxy."""
        if not self.fits:
            servers = next((each for each in range(self.servers, 0, -1) if replace(self, servers=each).fits), 0)
            ways = [f"lower maxSize to {servers}"] if servers else []
            if self.percent and (left := replace(self, percent=None)).fits:
                ways.insert(0, f"set proxyPercent to at most {left.proxy_percent}")
            rule = f"the database must take all connections, and each worker have one of the proxy's: {self.line}"
            return [Finding("maxSize", self.servers, rule, _ways(ways, self.place_for_more))]
        replica_takes = (self.most - RESERVED - DIRECT) // self._all_workers
        if not self.replicas or self.size <= replica_takes:
            return []
        total = self._all_workers * self.size + RESERVED + DIRECT
        rule = (
            "read replicas, which no RDS Proxy can stand before, must take all connections: "
            f"{self._clients_line} + {RESERVED + DIRECT} kept = {total} of max_connections {self.most}"
        )
        return [
            Finding(
                "poolSize", self.size, rule, _ways([f"set poolSize to at most {replica_takes}"], self.place_for_more)
            )
        ]

    def _mend(self) -> str:
        ways: list[str] = []
        if 1 <= self.fitting < self.size:
            told = "" if self._pooled else ", which DATABASE_POOL_SIZE tells the app"
            ways.append(f"set poolSize to at most {self.fitting}{told}")
        if not self._pooled:
            ways.append("set pooler to pgbouncer")
        servers = (self.most - self._kept) // (ROLLING * (self._of_a_server + COLLECTOR))
        if servers >= 1:
            ways.append(f"lower maxSize to {servers}")
        return _ways(ways, self.place_for_more)


def _ways(ways: list[str], place_for_more: str) -> str:
    """A sentence of ways to mend it; a larger database always is one."""
    told = ", or ".join([*ways, place_for_more])
    return f"{told[0].upper()}{told[1:]}."
