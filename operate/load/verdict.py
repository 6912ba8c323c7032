"""What limits a stack: the resource that was used up where it stopped keeping up, and why that is thought. Pure.

A cause is looked for before its effects: a full cache sends reads to the database, a database that is busy keeps the
app's connections in use, and requests pile up in front of all of them. What has no limit, such as a time, is compared
with the light step: what was so from the beginning, and did no harm then, limits nothing.
"""

from collections.abc import Callable, Iterator, Sequence

from operate.load import sharded
from operate.load.comparison import Comparison, figure, fullest
from operate.load.evidence import (
    FAILED,
    IDLE_ENOUGH,
    TIERS,
    busiest_cpu,
    closed_by_edge,
    idle_database,
    told_idle_database,
    told_shares,
    told_statements,
    uncounted,
    useless,
)
from operate.load.model import Bottleneck, Sizes, Step, Tier
from operate.load.shared_cpus import FULL, SHARED_STEAL, busy_cpu, cpu_shares, own_cpu, share_cpus, used_up_by_them

FULL_GENERATOR = 0.85
"""Of the CPUs of the load generator's machine. Beyond, its times are no longer those of what it asks."""
NO_CONNECTIONS = 90.0
"""Percent of those that there can be."""
FEW_CONNECTIONS = 70.0
"""Percent, from which on one of Nginx's workers can be out of them, where the edge answers with errors of its own."""
LATE = 100.0
"""Milliseconds by which an event loop is late, at which whoever asks the app notices."""
POOL_IN_USE = 0.8
"""Of the app's connections, on average over ten seconds, from which on requests wait for one."""
LOW_HIT_RATE, FALLEN_HIT_RATE = 70.0, 10.0
"""Percent, and points below the light step's, at which keys that had to go were missed."""
SLOW_CACHE, SLOW_DATABASE = 5.0, 20.0
"""Milliseconds of the smallest question's round trip; Redis has less than 1, PostgreSQL less than 3."""
GROWN = 3.0
"""Times the light step's value."""
SENT = 0.95
"""Of what is due, at least so much is sent."""


def judge(steps: Sequence[Step], knee_rps: float | None, sizes: Sizes | None = None) -> Bottleneck:
    """Which tier limits, with what; `none` when nothing did, or nothing that was measured.

    With the `sizes` of what the stack ran on, what is to be done is said by shard where there are shards.
    """
    if not steps:
        return Bottleneck("none", "", ("No step was measured.",), ())
    seen = Comparison.of(steps, knee_rps, sizes)
    if seen is None:
        return _kept_up(max(steps, key=lambda each: each.offered_rps))
    for rule in RULES:
        if found := rule(seen):
            return found
    return _unexplained(seen) if seen.stack_was_read else _unread(seen)


def _generator(seen: Comparison) -> Bottleneck | None:
    if seen.saturation("generator", "cpu") < FULL_GENERATOR:
        return None
    return Bottleneck("generator", "cpu", (_generators_cpu(seen), *_unsent(seen)), GENERATOR_STEPS)


def _late_generator(seen: Comparison) -> Bottleneck | None:
    if seen.saturation("generator", "requests in flight") >= 1:
        return None  # all its workers wait for answers: it is late because of what it asks
    evidence = list(_unsent(seen))
    if seen.saturation("generator", "lateness") >= 1:
        evidence.append(seen.told("generator", "lateness", "What the load generator sends after it was due", " ms"))
    if not evidence:
        return None
    return Bottleneck("generator", "lateness", (*evidence, _generators_cpu(seen)), GENERATOR_STEPS)


def _generators_cpu(seen: Comparison) -> str:
    used = 100 * seen.saturation("generator", "cpu")
    return (
        f"The load generator took {figure(used)} % of its machine's CPUs at {figure(seen.over.offered_rps)} requests/s."
    )


def _unsent(seen: Comparison) -> Iterator[str]:
    due = seen.over.offered_rps * seen.over.seconds
    # One more or less is how the beginning of a step happens to lie between two of them.
    if seen.over.requests + 1 < SENT * due:
        yield f"It sent {figure(seen.over.requests)} of {figure(due)} requests that were due."


GENERATOR_STEPS = (
    "Run the load from a machine with more CPUs, or from several; what was measured says nothing of the stack's limit.",
    "A larger stack would add nothing to what this generator can send.",
)


def _edge_connections(seen: Comparison) -> Bottleneck | None:
    dropped, used = seen.least("edge", "dropped connections"), seen.least("edge", "connections")
    own = seen.least("edge", "errors of its own")
    # Each of Nginx's workers has as many of its own, and the reading is a moment's of all together.
    some_full = used >= FEW_CONNECTIONS and own >= FAILED * seen.over.offered_rps
    closed = closed_by_edge(seen)
    # One now and then is what too much load does to any edge.
    many = dropped >= FAILED * seen.over.offered_rps
    if not many and used < NO_CONNECTIONS and not some_full and not closed:
        return None
    evidence: list[str] = []
    if closed:
        evidence.append(
            f"The connections of {figure(closed)} of {figure(seen.over.requests)} requests were closed without an "
            "answer, and Nginx had none left to tell its own machine what it does."
        )
    if dropped:
        evidence.append(f"Nginx closed {figure(dropped)} connections/s at once, for it had no more.")
    if not closed:
        evidence.append(seen.told("edge", "connections", "Of the connections that Nginx can have, what is in use"))
    if own:
        evidence.append(f"The edge answered {figure(own)} requests/s with an error that no server gave.")
    steps = (
        "Raise Nginx's worker_connections, or take a larger edge (edge.instanceType): each CPU has as many again.",
        "Let clients keep fewer idle connections.",
        *useless(seen, "edge"),
    )
    return Bottleneck("edge", "connections", tuple(evidence), steps)


def _full_cache(seen: Comparison) -> Bottleneck | None:
    rate, before = seen.value("cache", "hit rate"), seen.before("cache", "hit rate")
    evictions = seen.least("cache", "evictions")
    if evictions < 1 or rate is None:
        return None
    cpu = _cpu(seen)
    if cpu and cpu.tier in ("app", "edge"):
        return None  # what was missed did not cost more than the rest
    fallen = before is not None and before - rate >= FALLEN_HIT_RATE
    if rate > LOW_HIT_RATE and not fallen:
        return None
    evidence = [
        f"{figure(evictions)} keys/s had to go, as the cache's memory is full.",
        seen.told("cache", "hit rate", "The cache's hit rate"),
    ]
    if seen.value("cache", "memory") is not None:
        evidence.append(seen.told("cache", "memory", "The cache's memory"))
    evidence += sharded.told(seen, "cache", "memory")
    if seen.value("database", "cpu") is not None:
        evidence.append(seen.told("database", "cpu", "The CPU of the database, which answers what was missed,"))
    steps = (
        *sharded.steps(seen, "cache", "memory"),
        "Take a larger cache (cache.nodeType), or keep less in it: shorter lives, smaller values.",
        "See whether keys are asked for again at all: a cache of what is read once has no hits at any size.",
        *useless(seen, "cache"),
    )
    return Bottleneck("cache", "memory", tuple(evidence), steps)


def _cpu(seen: Comparison) -> Bottleneck | None:
    """The CPU that is used up. Where machines share theirs, that of whoever uses most of it."""
    own_app = own_cpu(seen, "app")
    candidates: list[tuple[float, Tier, str]] = []
    worker = seen.least("app", "worker cpu")
    if worker >= FULL and own_app <= IDLE_ENOUGH:
        candidates.append((worker, "app", "worker cpu"))
    elif used_up_by_them(seen) or _app_lacks_cpu(seen):
        return _verdict_of_cpu(seen, _most(seen)[1], "cpu")
    for tier in TIERS:
        if (cpu := busy_cpu(seen, tier)) >= FULL:
            candidates.append((cpu, tier, "cpu"))
    return _verdict_of_cpu(seen, *max(candidates)[1:]) if candidates else None


def _most(seen: Comparison) -> tuple[float, Tier]:
    """Who of the stack has most of the CPUs that its machines share, and how much."""
    return max(share for share in cpu_shares(seen) if share[1] != "generator")


def _app_lacks_cpu(seen: Comparison) -> bool:
    """Whether the app would take more of CPUs that something else has: what gets less than it asks for is late."""
    share, tier = _most(seen)
    lag, growth = seen.least("app", "event loop lag"), seen.growth("app", "event loop lag")
    late = lag >= LATE and growth is not None and growth >= GROWN
    return share_cpus(seen) and tier == "app" and share >= SHARED_STEAL and late


def _verdict_of_cpu(seen: Comparison, tier: Tier, resource: str) -> Bottleneck:
    evidence: list[str] = []
    if share_cpus(seen) and resource == "cpu":
        evidence.append(f"The machines share their CPUs, which are all in use; of them have {told_shares(seen)}.")
        if not used_up_by_them(seen):
            evidence.append(seen.told("app", "event loop lag", "What the slowest worker is late by", " ms"))
    elif resource == "worker cpu":
        evidence.append(seen.told("app", "worker cpu", "The busiest worker, of one CPU,"))
        evidence.append(seen.told("app", "cpu", "The CPU of its machine, of all its CPUs,"))
        workers, machines = seen.value("app", "workers"), seen.value("app", "machines")
        if workers and machines:
            evidence.append(f"There are {figure(workers)} workers on {figure(machines)} app servers.")
    else:
        evidence.append(seen.told(tier, "cpu", f"The {tier}'s CPU"))
        if (steal := seen.least(tier, "cpu steal")) >= SHARED_STEAL:
            evidence.append(f"Others had {figure(steal)} % of it: a T instance without credits, or a busy host.")
        evidence += sharded.told(seen, tier, "cpu")
    if tier == "database":
        evidence += told_statements(seen)
    if tier == "app" and (collecting := seen.least("app", "garbage collection")) >= SHARED_STEAL:
        evidence.append(f"Garbage collection takes {figure(collecting)} % of a worker's time.")
    known = CPU_STEPS[tier, resource]
    if tier == "cache" and sharded.shards(seen, tier):
        known = CLUSTER_STEPS
    elif tier == "database" and seen.sizes and seen.sizes.capacity:
        known = CAPACITY_STEPS
    steps = (*uncounted(seen, tier), *known, *sharded.steps(seen, tier, "cpu"), *useless(seen, tier))
    return Bottleneck(tier, resource, tuple(evidence), steps)


CPU_STEPS = {
    ("app", "cpu"): (
        "See which route takes the CPU (a profile of one worker), and make it cheaper or cache its answers.",
        "More app servers (app.minSize, app.maxSize), or larger ones (app.instanceType).",
    ),
    ("app", "worker cpu"): (
        "Run a worker for each CPU: `instances: max` in the app's PM2 file; CPUs are idle that no worker uses.",
        "Where there is one for each, see why one has more to do: sticky connections, a timer, a queue.",
    ),
    ("edge", "cpu"): (
        "A larger edge (edge.instanceType).",
        "Let a CDN answer what can be cached; see whether answers are compressed twice.",
    ),
    ("database", "cpu"): (
        "Give the slowest statement an index (EXPLAIN (ANALYZE, BUFFERS)), or ask for less of it.",
        "Cache what it answers.",
        "Read from replicas, or take a larger database (database.instanceClass).",
    ),
    ("cache", "cpu"): (
        "See which commands take the time (INFO commandstats): KEYS, large ranges and Lua block all others.",
        "A larger node has no faster core: spread the keys, or read from replicas.",
    ),
}
CAPACITY_STEPS = (
    *CPU_STEPS["database", "cpu"][:2],
    "Read from readers, or let the database take more (database.serverless.max): its CPU is percent of that.",
)
CLUSTER_STEPS = (
    CPU_STEPS["cache", "cpu"][0],
    "A larger node has no faster core. Reads may go to replicas (cache.replicas), writes go to each shard's primary.",
)
"""Of a cache in cluster mode, whose keys are spread already."""


def _locks(seen: Comparison) -> Bottleneck | None:
    waiting, used = seen.least("database", "waiting for locks"), seen.least("database", "pool in use")
    if waiting < 1 or waiting < 0.3 * used:
        return None
    evidence = (
        seen.told("database", "waiting for locks", "The number of sessions that wait for a lock", ""),
        *told_idle_database(seen),
        *told_statements(seen),
    )
    steps = (
        "See who waits for whom (pg_blocking_pids): shorten the transaction that holds the lock, or lock fewer rows.",
        *useless(seen, "database"),
    )
    return Bottleneck("database", "locks", evidence, steps)


def _connections(seen: Comparison) -> Bottleneck | None:
    if seen.least("database", "connections") < NO_CONNECTIONS:
        return None
    fewer = (
        "Lower database.poolSize, and see who has the others: DATABASE_DIRECT_URL, other programs (pg_stat_activity)."
        if seen.value("database", "clients") is not None
        else "Fewer connections for each worker's pool, or a pooler before the database (database.pooler)."
    )
    steps = (
        fewer,
        "A larger database has more: RDS sets max_connections by its memory.",
        "An app server more would make it worse: it opens connections of its own.",
    )
    told = seen.told("database", "connections", "Of the connections that the database can have, what is in use")
    return Bottleneck("database", "connections", (told,), steps)


def _slow_cache(seen: Comparison) -> Bottleneck | None:
    if not _slow(seen, "cache", SLOW_CACHE):
        return None
    evidence = (
        seen.told("cache", "round trip", "A PING's round trip", " ms"),
        *([seen.told("cache", "cpu", "Redis's CPU")] if seen.value("cache", "cpu") is not None else []),
        f"The database answers its own within {figure(seen.least('database', 'round trip'))} ms.",
    )
    steps = (
        "See which commands block the others (INFO commandstats, SLOWLOG GET): KEYS, large ranges, Lua, big values.",
        "See whether the node swaps or its network is at its limit; a larger one (cache.nodeType) has more of both.",
        *sharded.steps(seen, "cache", "cpu"),
        *useless(seen, "cache"),
    )
    return Bottleneck("cache", "round trip", evidence, steps)


def _slow_database(seen: Comparison) -> Bottleneck | None:
    if not _slow(seen, "database", SLOW_DATABASE):
        return None
    evidence = (
        seen.told("database", "round trip", "The round trip of SELECT 1", " ms"),
        *told_idle_database(seen),
        f"The cache answers its own within {figure(seen.least('cache', 'round trip'))} ms.",
        *told_statements(seen),
    )
    steps = (
        "See what the database waits for (pg_stat_activity's wait_event): the disk, its network, memory that is short.",
        *useless(seen, "database"),
    )
    return Bottleneck("database", "round trip", evidence, steps)


def _slow(seen: Comparison, tier: Tier, least: float) -> bool:
    """Whether its smallest question takes long: longer than when it was light, or anyway."""
    now, growth = seen.least(tier, "round trip"), seen.growth(tier, "round trip")
    return now >= 2 * least or (now >= least and (growth is None or growth >= GROWN))


def _pool(seen: Comparison) -> Bottleneck | None:
    """Of the app, or of PgBouncer: behind that a request needs a connection of each, and one has fewer."""
    opened, clients = seen.least("database", "pool"), seen.value("database", "clients")
    shared = clients is not None and clients > opened
    pool, used = opened if clients is None else min(opened, clients), seen.least("database", "pool in use")
    waiting = seen.least("app", "requests in flight")
    growth = seen.growth("app", "requests in flight")
    if not pool or used < POOL_IN_USE * pool or waiting < 1.5 * pool or (growth is not None and growth < 2):
        return None
    # PgBouncer opens one where a client waits, up to the size of its pool: where few wait, it had no need of more.
    if shared and seen.least("database", "clients waiting") < POOL_IN_USE * ((clients or 0) - used):
        return None
    slow = [each for each in seen.statements if each.calls and each.milliseconds / each.calls >= SLOW_DATABASE]
    whose, where = (
        ("PgBouncer's", "the database") if shared else ("the app's", "PgBouncer" if clients else "the database")
    )
    evidence = (
        f"{figure(used)} of {whose} {figure(pool)} connections to {where} are in use on average, "
        f"at {figure(seen.over.offered_rps)} requests/s.",
        *([_told_clients(seen)] if shared else []),
        seen.told("app", "requests in flight", "The number of requests in flight, most of which wait for one,", ""),
        *told_idle_database(seen),
        # Fast ones don't hold it: the app does, between them.
        *(told_statements(seen) if slow else ()),
    )
    faster = ("Make the slowest statement faster: it holds its connection all the time.",) if slow else ()
    idle = idle_database(seen)
    more = (
        "Let PgBouncer have more connections (database.poolSize), as many as fit: `expressway check` does the sum.",
        "Fewer and larger app servers (app.maxSize) leave more to each, and a larger database takes more.",
    )
    own = f"Let each worker's pool have more connections (the pool's `max`), as long as {where} has some left."
    steps = (
        *faster,
        *(more if shared else (own,)),
        "Hold a connection for the statements alone: no call of another service within a transaction.",
        *([] if faster else ["A faster statement frees its connection sooner."]),
        *([f"A larger database would add nothing: {idle}."] if idle and not shared else []),
    )
    return Bottleneck("database", "pool", evidence, steps)


def _told_clients(seen: Comparison) -> str:
    clients, waiting = seen.least("database", "clients"), seen.least("database", "clients waiting")
    return f"{figure(waiting)} of the app's {figure(clients)} connections to PgBouncer wait for one of them."


def _external(seen: Comparison) -> Bottleneck | None:
    waiting, growth = seen.least("app", "requests in flight"), seen.growth("app", "requests in flight")
    if waiting < 5 or (growth is not None and growth < GROWN) or busiest_cpu(seen) >= IDLE_ENOUGH:
        return None
    seconds = waiting / seen.over.answered_rps if seen.over.answered_rps else None
    each = f", each for about {figure(1000 * seconds)} ms" if seconds else ""
    evidence = (
        seen.told("app", "requests in flight", f"The number of requests in flight{each},", ""),
        f"Nothing that was measured is busy: no CPU of the stack is above {figure(busiest_cpu(seen))} %.",
        *(
            f"The {tier} answers within {figure(trip)} ms."
            for tier in ("database", "cache")
            if (trip := seen.value(tier, "round trip")) is not None
        ),
    )
    steps = (
        "See what the app waits for that is not in the stack: calls of other services, a queue, a lock of its own.",
        "Give such calls a time-out, more connections at once (an agent's maxSockets), and cache their answers.",
        *useless(seen, "external"),
    )
    return Bottleneck("external", "waiting", evidence, steps)


RULES: tuple[Callable[[Comparison], Bottleneck | None], ...] = (
    *(_generator, _edge_connections, _full_cache, _cpu, _locks, _connections),
    *(_slow_cache, _slow_database, _pool, _late_generator, _external),
)
"""In the order in which they are asked: causes first."""


def _kept_up(step: Step) -> Bottleneck:
    evidence = [f"The stack kept up with all rates, up to {figure(step.offered_rps)} requests/s."]
    for one in fullest(step)[:1]:
        used = 100 * (one.saturation or 0)
        evidence.append(f"Closest to its limit is the {one.tier}'s {one.resource}, of which {figure(used)} % is used.")
    return Bottleneck("none", "", tuple(evidence), ("Ask for higher rates, to see what limits it.",))


def _unread(seen: Comparison) -> Bottleneck:
    over = seen.over
    evidence = (
        f"The stack did not keep up with {figure(over.offered_rps)} requests/s: it answered "
        f"{figure(over.answered_rps)}/s, {sum(over.failures.values())} of {over.requests} failed, and the p95 was "
        f"{figure(over.p95)} ms.",
        "Nothing was read of it; the generator was in time.",
    )
    return Bottleneck("none", "", evidence, ("Name the stack, so that its machines, database and cache can be read.",))


def _unexplained(seen: Comparison) -> Bottleneck:
    rate = figure(seen.over.offered_rps)
    if share_cpus(seen):
        return _of_others(seen)
    evidence = [f"The stack did not keep up with {rate} requests/s, and nothing that was measured is used up."]
    evidence += [
        f"The {one.tier}'s {one.resource}: {figure(100 * (one.saturation or 0))} % of its limit."
        for one in fullest(seen.over)[:3]
    ]
    steps = (
        "Hold this rate for longer, so that more is measured of it.",
        "See the app's own log and its slowest route.",
    )
    return Bottleneck("none", "", tuple(evidence), steps)


def _of_others(seen: Comparison) -> Bottleneck:
    """CPUs that the stack's machines share, and of which neither they nor the load had most."""
    evidence = (
        f"The stack did not keep up with {figure(seen.over.offered_rps)} requests/s, and something else had its CPUs.",
        f"The machines share them, and they are all in use: of them have {told_shares(seen)}.",
    )
    steps = (
        "Run it again while nothing else uses these CPUs: what was measured says little of the stack's own limit.",
        "Of the stack, what has most of them is what would use up CPUs of its own first.",
    )
    return Bottleneck("none", "", evidence, steps)
