"""The alarms of a stack, as a table: what each looks at, when it is raised, and what to do then. Pure.

All of a metric of one group, instance or node, without metric math. Ours come each ten seconds and are looked at as
often; AWS's own come each minute at best.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from .connections import database_connections, sure_connections
from .openings import is_burstable
from .watched import Watched

EXPRESSWAY, EC2, RDS, ELASTICACHE = "Expressway", "AWS/EC2", "AWS/RDS", "AWS/ElastiCache"
DIMENSIONS = {
    EXPRESSWAY: "AutoScalingGroupName",
    EC2: "AutoScalingGroupName",
    RDS: "DBInstanceIdentifier",
    ELASTICACHE: "CacheClusterId",
}
"""Each namespace's dimension."""
CLUSTER = "DBClusterIdentifier"
"""Aurora's, in RDS's namespace."""

MINUTE = 60
GIB = 2**30
BUSY = 90
"""Percent of CPU or memory from which on there is nothing left for what comes next."""
OLD_LIST = 20
"""Seconds. The reconciler asks AWS each two."""
LAGGING = 10
"""Seconds that a replica may be behind."""
READER_LAGGING = 1000
"""Milliseconds that one of Aurora's readers may be, of which 100 are many."""
CERTIFICATE_DAYS = 14
MANY_RETRIES = 20
"""In ten seconds. A machine that dies under load causes some until it is out of the list, five seconds later."""


@dataclass(frozen=True)
class Alarm:
    """One alarm."""

    key: str
    """What it is called within its stack, its tier first."""
    of: str
    """Which thing's metric: edge, app, database, database-<name> of a shard, replica-<name> or cache-<number>, with
    shards cache-<shard>-<number>."""
    namespace: str
    metric: str
    statistic: str
    """Average, Minimum, Maximum, Sum, or a percentile such as p95."""
    comparison: Literal["above", "below"]
    threshold: float
    text: str
    """What it means, and what to do."""
    period: int = 10
    """Seconds. A period of less than a minute costs 0.30 USD a month, any other 0.10."""
    periods: int = 3
    needed: int = 3
    """In so many of the `periods` the metric is beyond the threshold."""
    missing: Literal["notBreaching", "breaching"] = "notBreaching"
    """What a period without any value counts as."""
    by: str = ""
    """The dimension, where it isn't its namespace's."""

    @property
    def dimension(self) -> str:
        """The dimension whose value names the thing."""
        return self.by or DIMENSIONS[self.namespace]

    @property
    def percentile(self) -> bool:
        """Whether CloudWatch has the statistic among its extended ones."""
        return self.statistic.startswith("p")


def alarms(watched: Watched) -> tuple[Alarm, ...]:
    """Those of what there is to watch."""
    return tuple(_alarms(watched))


def _alarms(watched: Watched) -> Iterator[Alarm]:
    if watched.edge_type is not None:
        yield from _site(watched)
        yield from _machines("edge", watched.edge_type)
    if watched.app_type is not None:
        yield from _machines("app", watched.app_type)
        yield Alarm(
            *("app-event-loop", "app", EXPRESSWAY, "EventLoopLag", "Maximum", "above", 500),
            "A worker's event loop is held up by more than half a second, so all of its requests wait. Something in "
            "the app computes for long, or reads files synchronously. If it began with a release, `expressway "
            "rollback` goes back; else profile the app, and move the work out of the request.",
        )
    if watched.app_type is not None and watched.cache_type is not None:
        yield Alarm(
            *("app-cache", "app", EXPRESSWAY, "KitBypassRate", "Average", "above", 50),
            "For five minutes more than half of what the app reads through the kit's cache went past it, to the "
            "database, which has its work to do as well: Redis is away, slow, or refuses the app. `expressway cache "
            "status` shows its nodes, and the app's log (cache unavailable) why a connection fails. If all nodes are "
            "well: the token, or what the security groups let through. Until it is back, add no load.",
            period=MINUTE,
            periods=5,
            needed=5,
        )
    if watched.database_class is not None and watched.aurora:
        yield from _cluster("database", "The database", watched, watched.database_class)
        for name in watched.shards:
            yield from _cluster(f"database-{name}", f"The database's {name}", watched, watched.database_class)
    elif watched.database_class is not None:
        yield from _database("database", "The database", watched, watched.database_class, watched.replicas)
        for name in watched.shards:
            yield from _database(f"database-{name}", f"The database's {name}", watched, watched.database_class)
    if watched.cache_type is not None:
        for node in watched.caches:
            yield from _cache_node(node, watched, watched.cache_type)


def _site(watched: Watched) -> Iterator[Alarm]:
    """What clients notice, and what the edge knows of its servers and of itself."""
    of, ours = "edge", EXPRESSWAY
    yield Alarm(
        *("edge-errors", of, ours, "ErrorShare", "Average", "above", watched.error_percent),
        f"More than {watched.error_percent} % of the site's answers are 5xx. `expressway status --watch` shows which "
        "machines give them. All of them, since a release: `expressway rollback`. All of them, without one: look at "
        "the alarms of database and cache, then at the app's log. None of them: no server takes requests, or the edge "
        "is full.",
        needed=2,
    )
    yield Alarm(
        *("edge-p95", of, ours, "ResponseTime", "p95", "above", watched.p95_ms),
        f"One answer in twenty takes longer than {watched.p95_ms} ms. `expressway status --watch` shows what each "
        "machine is asked. If CPUs are busy, `expressway scale` adds machines; if the database's are, look at its slow "
        "queries. Since a release: `expressway rollback`.",
    )
    yield Alarm(
        *("edge-servers", of, ours, "Servers", "Minimum", "below", watched.fewest_servers),
        f"Fewer than {watched.fewest_servers} app servers get requests, or Nginx does not say. `expressway status` "
        "shows which machines are out, and why. Auto Scaling replaces what is broken within minutes; if new machines "
        "fail too, it is the release (`expressway rollback`), a secret, or the database.",
        missing="breaching",
    )
    yield Alarm(
        *("edge-unhealthy", of, ours, "UnhealthyServers", "Maximum", "above", 0),
        "An app server that is in service fails its readiness probes. `expressway status` says what they meet. One "
        "machine gets no requests, and is replaced by itself. Most at once is what they share: the release "
        "(`expressway rollback`), the database, the cache.",
    )
    yield Alarm(
        *("edge-heartbeat", of, ours, "ListAge", "Maximum", "above", OLD_LIST),
        f"For {OLD_LIST} s the reconciler has not heard from AWS which app servers there are, or the edge tells "
        "nothing. The site is served by the servers of the last good list, but nothing that comes or goes is noticed. "
        "Read the edge's log: journalctl -u expressway-reconciler. If the API is down, wait; if the machine is, Auto "
        "Scaling replaces it.",
        periods=2,
        needed=2,
        missing="breaching",
    )
    yield Alarm(
        *("edge-retries", of, ours, "Retries", "Sum", "above", MANY_RETRIES),
        "Requests keep failing on one server and are sent to another: a machine takes connections and breaks them, and "
        "still passes its probes. `expressway status --watch` shows which one; terminate it in EC2, and its "
        "successor comes by itself.",
        periods=4,
        needed=4,
    )
    if watched.certificate:
        yield Alarm(
            *("edge-certificate", of, ours, "CertificateDays", "Minimum", "below", CERTIFICATE_DAYS),
            f"The certificate expires in less than {CERTIFICATE_DAYS} days. Put a renewed one into the secret that "
            "edge.certificate names; it is in use within a minute. If the secret has one already, journalctl -u "
            "expressway-certificate on the edge says why it is not taken.",
        )


def _machines(tier: Literal["edge", "app"], instance_type: str) -> Iterator[Alarm]:
    """Saturation of a tier's machines."""
    larger = f"Choose a larger {tier}.instanceType"
    add = "`expressway scale` adds machines; raise app.maxSize if it is reached" if tier == "app" else larger
    yield Alarm(
        *(f"{tier}-cpu", tier, EXPRESSWAY, "CPU", "Average", "above", BUSY),
        f"The CPUs of the {tier}'s machines are {BUSY} % busy on average: answers get slow. {add}.",
        periods=4,
        needed=4,
    )
    yield Alarm(
        *(f"{tier}-memory", tier, EXPRESSWAY, "Memory", "Maximum", "above", BUSY),
        f"A machine of the {tier} has less than {100 - BUSY} % of its memory left; the kernel will end processes next. "
        + (
            "If it only grows, the app leaks: `expressway rollback` if a release began it. Else: "
            if tier == "app"
            else ""
        )
        + f"{larger}.",
        periods=4,
        needed=4,
    )
    yield Alarm(
        *(f"{tier}-disk", tier, EXPRESSWAY, "Disk", "Maximum", "above", BUSY),
        f"The disk of a machine of the {tier} is {BUSY} % full. Look for what grows: du -xh --max-depth=2 /var /opt "
        "/home. A machine that is terminated in EC2 has a successor with an empty disk.",
    )
    if is_burstable(instance_type):
        yield _credits(f"{tier}-credits", tier, EC2, f"A machine of the {tier}", f"{tier}.instanceType")


def _credits(key: str, of: str, namespace: str, thing: str, setting: str) -> Alarm:
    return Alarm(
        *(key, of, namespace, "CPUCreditBalance", "Minimum", "below", 1),
        f"{thing} has had no CPU credits for an hour: it needs more CPU than a burstable type has for long. It gets "
        f"slow (standard), or costs more (unlimited). Choose a type that isn't burstable, or a larger one: {setting}.",
        period=5 * MINUTE,
        periods=12,
        needed=12,
        # A machine begins with no credits: a first value, and none before it, is no hour without.
        missing="notBreaching",
    )


def _database(
    of: str, thing: str, watched: Watched, instance_class: str, replicas: tuple[str, ...] = ()
) -> Iterator[Alarm]:
    least = watched.storage_gb * GIB // 10
    yield _each_minute(
        *(f"{of}-storage", of, RDS, "FreeStorageSpace", "Minimum", "below", least),
        f"{thing} has less than {watched.storage_gb / 10:g} GB of its {watched.storage_gb} GB left; when it is "
        "full, it takes no more writes. Raise database.storageGb (it grows while it runs), then look for what grows.",
    )
    yield _each_minute(
        *(f"{of}-cpu", of, RDS, "CPUUtilization", "Average", "above", BUSY),
        f"{thing}'s CPU is {BUSY} % busy. Look for the slow queries (pg_stat_activity, Performance Insights) and "
        "the index that they lack; if a release brought them, `expressway rollback`. Else choose a larger "
        "database.instanceClass.",
    )
    if most := database_connections(instance_class):
        yield _each_minute(
            # A part of the memory that this counts with is not the database's: at 60 % of it, few are left.
            *(f"{of}-connections", of, RDS, "DatabaseConnections", "Maximum", "above", most * 6 // 10),
            f"{thing} has more than {most * 6 // 10} connections, and its class takes few more. Each worker has a "
            "pool of its own: make the pools smaller, or choose a larger database.instanceClass.",
        )
    for name in replicas:
        yield _each_minute(
            *(f"database-lag-{name}", f"replica-{name}", RDS, "ReplicaLag", "Maximum", "above", LAGGING),
            f"The read replica {name} is more than {LAGGING} s behind: what is read there is old. Look for long "
            "queries on it and for heavy writes; if both are as they should be, it needs a larger class.",
        )
    if is_burstable(instance_class.removeprefix("db.")):
        yield _credits(f"{of}-credits", of, RDS, thing, "database.instanceClass")


def _cluster(of: str, thing: str, watched: Watched, instance_class: str) -> Iterator[Alarm]:
    """Of a cluster of Aurora: its storage grows by itself, and its metrics are those of its busiest instance."""
    larger = "raise database.serverless.max" if watched.capacity else "choose a larger database.instanceClass"
    alarms = [
        _each_minute(
            *(f"{of}-cpu", of, RDS, "CPUUtilization", "Maximum", "above", BUSY),
            f"An instance of {_lower(thing)} has its CPU {BUSY} % busy. Look for the slow queries (pg_stat_activity, "
            "Performance Insights) and the index that they lack; if a release brought them, `expressway rollback`. "
            f"Else {larger}; more replicas help with reads alone.",
        )
    ]
    most = (
        sure_connections(instance_class, capacity=watched.capacity)
        if watched.capacity
        else database_connections(instance_class)
    )
    if most:
        alarms.append(
            _each_minute(
                *(f"{of}-connections", of, RDS, "DatabaseConnections", "Maximum", "above", most * 6 // 10),
                f"An instance of {_lower(thing)} has more than {most * 6 // 10} connections, and takes few more. Each "
                f"worker has a pool of its own: make the pools smaller, or {larger}.",
            )
        )
    if watched.capacity:
        alarms.append(
            _each_minute(
                *(f"{of}-capacity", of, RDS, "ACUUtilization", "Maximum", "above", BUSY),
                f"An instance of {_lower(thing)} has {BUSY} % of the capacity that it may have: soon it gets slow. "
                f"Look for what is asked of it, or {larger}.",
            )
        )
    if watched.readers:
        alarms.append(
            _each_minute(
                *(f"{of}-lag", of, RDS, "AuroraReplicaLagMaximum", "Maximum", "above", READER_LAGGING),
                f"A reader of {_lower(thing)} is more than {READER_LAGGING / 1000:g} s behind: what is read there is "
                f"old. Look for long queries on it and for heavy writes; if both are as they should be, {larger}.",
            )
        )
    if is_burstable(instance_class.removeprefix("db.")):
        alarms.append(_credits(f"{of}-credits", of, RDS, f"An instance of {_lower(thing)}", "database.instanceClass"))
    yield from (replace(each, by=CLUSTER) for each in alarms)


def _lower(thing: str) -> str:
    return thing[0].lower() + thing[1:]


def _cache_node(of: str, watched: Watched, node_type: str) -> Iterator[Alarm]:
    yield _each_minute(
        *(f"{of}-evictions", of, ELASTICACHE, "Evictions", "Sum", "above", 0),
        "The cache is full and drops what is still good; reads that miss go to the database. Choose a larger "
        "cache.nodeType, or let entries live shorter.",
    )
    yield _each_minute(
        *(f"{of}-memory", of, ELASTICACHE, "DatabaseMemoryUsagePercentage", "Maximum", "above", BUSY),
        f"The cache's memory is {BUSY} % full: soon it drops what is still good, and refuses writes where nothing may "
        "be dropped. Entries without an end stay for ever: look for them. Else choose a larger cache.nodeType.",
    )
    yield _each_minute(
        *(f"{of}-cpu", of, ELASTICACHE, "EngineCPUUtilization", "Average", "above", BUSY),
        f"Redis's one thread is {BUSY} % busy: all commands wait. Look for slow ones (SLOWLOG GET), such as KEYS, or "
        "large values; else choose a faster cache.nodeType.",
    )
    if watched.cache_nodes > 1:
        yield _each_minute(
            *(f"{of}-lag", of, ELASTICACHE, "ReplicationLag", "Maximum", "above", LAGGING),
            f"A standby of the cache is more than {LAGGING} s behind the primary: a failover now would lose what was "
            "written since. Heavy writes, or a node that is too small: choose a larger cache.nodeType.",
        )
    if is_burstable(node_type.removeprefix("cache.")):
        yield _credits(f"{of}-credits", of, ELASTICACHE, "A node of the cache", "cache.nodeType")


def _each_minute(
    key: str,
    of: str,
    namespace: str,
    metric: str,
    statistic: str,
    comparison: Literal["above", "below"],
    threshold: float,
    text: str,
) -> Alarm:
    """One on a metric that AWS tells each minute."""
    return Alarm(
        *(key, of, namespace, metric, statistic, comparison, threshold, text), period=MINUTE, periods=1, needed=1
    )
