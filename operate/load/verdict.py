"""What limits a stack: the resource that was used up where it stopped keeping up, and why that is thought. Pure.

A cause is looked for before its effects: a full cache sends reads to the database, a database that is busy keeps the
app's connections in use, and requests pile up in front of all of them. What has no limit, such as a time, is compared
with the light step: what was so from the beginning, and did no harm then, limits nothing.
"""

from collections.abc import Callable, Iterator, Sequence

from operate.load.comparison import Comparison, figure, fullest, together
from operate.load.model import Bottleneck, Step, Tier

FULL = 85.0
"""Percent of a CPU's time, from which on a queue before it grows quickly."""
FULL_GENERATOR = 0.85
"""Of the CPUs of the load generator's machine. Beyond, its times are no longer those of what it asks."""
IDLE_ENOUGH = 70.0
"""Percent; up to that nothing is short."""
SHARED_STEAL = 20.0
"""Percent of an edge's and of an app server's CPUs, both full, that others had: their machines share CPUs."""
MOSTLY_THEIRS = 50.0
"""Percent of shared CPUs that the stack and its load have together; with less, something else uses them up."""
NO_CONNECTIONS = 90.0
"""Percent of those that there can be."""
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


TIERS: tuple[Tier, ...] = ("app", "edge", "database", "cache")


def judge(steps: Sequence[Step], knee_rps: float | None) -> Bottleneck:
    """Which tier limits, with what; `none` when nothing did, or nothing that was measured."""
    if not steps:
        return Bottleneck("none", "", ("No step was measured.",), ())
    seen = Comparison.of(steps, knee_rps)
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
    if not dropped and used < NO_CONNECTIONS:
        return None
    evidence: list[str] = []
    if dropped:
        evidence.append(f"Nginx closed {figure(dropped)} connections/s at once, for it had no more.")
    evidence.append(seen.told("edge", "connections", "Of the connections that Nginx can have, what is in use"))
    if own:
        evidence.append(f"The edge answered {figure(own)} requests/s with an error that no server gave.")
    steps = (
        "Raise Nginx's worker_connections, or take a larger edge (edge.instanceType): each CPU has as many again.",
        "Let clients keep fewer idle connections.",
        *_useless(seen, "edge"),
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
    if seen.value("database", "cpu") is not None:
        evidence.append(seen.told("database", "cpu", "The CPU of the database, which answers what was missed,"))
    steps = (
        "Take a larger cache (cache.nodeType), or keep less in it: shorter lives, smaller values.",
        "See whether keys are asked for again at all: a cache of what is read once has no hits at any size.",
        *_useless(seen, "cache"),
    )
    return Bottleneck("cache", "memory", tuple(evidence), steps)


def _cpu(seen: Comparison) -> Bottleneck | None:
    """The CPU that is used up. Where machines share theirs, that of whoever uses most of it."""
    own_app = _own(seen, "app")
    candidates: list[tuple[float, Tier, str]] = []
    worker = seen.least("app", "worker cpu")
    if worker >= FULL and own_app <= IDLE_ENOUGH:
        candidates.append((worker, "app", "worker cpu"))
    elif _shared(seen):
        most = max(share for share in _of_shared(seen) if share[1] != "generator")
        return _verdict_of_cpu(seen, most[1], "cpu")
    for tier in TIERS:
        if (cpu := _busy(seen, tier)) >= FULL:
            candidates.append((cpu, tier, "cpu"))
    return _verdict_of_cpu(seen, *max(candidates)[1:]) if candidates else None


def _share_cpus(seen: Comparison) -> bool:
    both: tuple[Tier, ...] = ("edge", "app")
    return all(seen.least(tier, "cpu") >= FULL and seen.least(tier, "cpu steal") >= SHARED_STEAL for tier in both)


def _shared(seen: Comparison) -> bool:
    """Whether the machines share their CPUs, and it is they who use them up."""
    return _share_cpus(seen) and sum(share for share, _ in _of_shared(seen)) >= MOSTLY_THEIRS


def _of_shared(seen: Comparison) -> Iterator[tuple[float, Tier]]:
    """Percent of the CPUs that they share, by tier: all its machines together."""
    yield _own(seen, "app") * max(1.0, seen.least("app", "machines")), "app"
    yield _own(seen, "edge"), "edge"
    step = seen.over if together(seen.over, "database", "cpu") is not None else seen.knee or seen.over
    yield together(step, "database", "cpu") or 0.0, "database"
    yield together(step, "cache", "machine cpu") or together(step, "cache", "cpu") or 0.0, "cache"
    # Machines that share their CPUs are a lab's, and so they share them with what loads them.
    yield 100 * seen.saturation("generator", "cpu"), "generator"


def _own(seen: Comparison, tier: Tier) -> float:
    """Percent of its CPUs that a tier's own processes had."""
    return max(0.0, seen.least(tier, "cpu") - seen.least(tier, "cpu steal"))


def _busy(seen: Comparison, tier: Tier) -> float:
    """Percent of a tier's CPUs that it can't have any more; of CPUs that machines share, what it has itself."""
    return _own(seen, tier) if _share_cpus(seen) else seen.least(tier, "cpu")


def _verdict_of_cpu(seen: Comparison, tier: Tier, resource: str) -> Bottleneck:
    evidence: list[str] = []
    if _shared(seen) and resource == "cpu":
        shares = sorted(_of_shared(seen), reverse=True)
        told = ", ".join(f"the {name} {figure(share)} %" for share, name in shares if share >= 0.5)
        evidence.append(f"The machines share their CPUs, which are all in use; of them have {told}.")
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
    if tier == "database":
        evidence += _statements(seen)
    if tier == "app" and (collecting := seen.least("app", "garbage collection")) >= SHARED_STEAL:
        evidence.append(f"Garbage collection takes {figure(collecting)} % of a worker's time.")
    steps = (*_uncounted(seen, tier), *CPU_STEPS[tier, resource], *_useless(seen, tier))
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


def _locks(seen: Comparison) -> Bottleneck | None:
    waiting, used = seen.least("database", "waiting for locks"), seen.least("database", "pool in use")
    if waiting < 1 or waiting < 0.3 * used:
        return None
    evidence = (
        seen.told("database", "waiting for locks", "The number of sessions that wait for a lock", ""),
        *_database_is_idle(seen),
        *_statements(seen),
    )
    steps = (
        "See who waits for whom (pg_blocking_pids): shorten the transaction that holds the lock, or lock fewer rows.",
        *_useless(seen, "database"),
    )
    return Bottleneck("database", "locks", evidence, steps)


def _connections(seen: Comparison) -> Bottleneck | None:
    if seen.least("database", "connections") < NO_CONNECTIONS:
        return None
    steps = (
        "Fewer connections for each worker's pool, or a pooler before the database (RDS Proxy, PgBouncer).",
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
        *_useless(seen, "cache"),
    )
    return Bottleneck("cache", "round trip", evidence, steps)


def _slow_database(seen: Comparison) -> Bottleneck | None:
    if not _slow(seen, "database", SLOW_DATABASE):
        return None
    evidence = (
        seen.told("database", "round trip", "The round trip of SELECT 1", " ms"),
        *_database_is_idle(seen),
        f"The cache answers its own within {figure(seen.least('cache', 'round trip'))} ms.",
        *_statements(seen),
    )
    steps = (
        "See what the database waits for (pg_stat_activity's wait_event): the disk, its network, memory that is short.",
        *_useless(seen, "database"),
    )
    return Bottleneck("database", "round trip", evidence, steps)


def _slow(seen: Comparison, tier: Tier, least: float) -> bool:
    """Whether its smallest question takes long: longer than when it was light, or anyway."""
    now, growth = seen.least(tier, "round trip"), seen.growth(tier, "round trip")
    return now >= 2 * least or (now >= least and (growth is None or growth >= GROWN))


def _pool(seen: Comparison) -> Bottleneck | None:
    pool, used = seen.least("database", "pool"), seen.least("database", "pool in use")
    waiting = seen.least("app", "requests in flight")
    growth = seen.growth("app", "requests in flight")
    if not pool or used < POOL_IN_USE * pool or waiting < 1.5 * pool or (growth is not None and growth < 2):
        return None
    evidence = (
        f"{figure(used)} of the app's {figure(pool)} connections to the database are in use on average, "
        f"at {figure(seen.over.offered_rps)} requests/s.",
        seen.told("app", "requests in flight", "The number of requests in flight, most of which wait for one,", ""),
        *_database_is_idle(seen),
        *_statements(seen),
    )
    slow = [each for each in seen.statements if each.calls and each.milliseconds / each.calls >= SLOW_DATABASE]
    faster = ("Make the slowest statement faster: it holds its connection all the time.",) if slow else ()
    steps = (
        *faster,
        "Let each worker's pool have more connections (the pool's `max`), as long as the database has some left.",
        "Hold a connection for the statements alone: no call of another service within a transaction.",
        *([] if faster else ["A faster statement frees its connection sooner."]),
        *([f"A larger database would add nothing: {_idle(seen)}."] if _idle(seen) else []),
    )
    return Bottleneck("database", "pool", evidence, steps)


def _external(seen: Comparison) -> Bottleneck | None:
    waiting, growth = seen.least("app", "requests in flight"), seen.growth("app", "requests in flight")
    if waiting < 5 or (growth is not None and growth < GROWN) or _busiest(seen) >= IDLE_ENOUGH:
        return None
    seconds = waiting / seen.over.answered_rps if seen.over.answered_rps else None
    each = f", each for about {figure(1000 * seconds)} ms" if seconds else ""
    evidence = (
        seen.told("app", "requests in flight", f"The number of requests in flight{each},", ""),
        f"Nothing that was measured is busy: no CPU of the stack is above {figure(_busiest(seen))} %.",
        *(
            f"The {tier} answers within {figure(trip)} ms."
            for tier in ("database", "cache")
            if (trip := seen.value(tier, "round trip")) is not None
        ),
    )
    steps = (
        "See what the app waits for that is not in the stack: calls of other services, a queue, a lock of its own.",
        "Give such calls a time-out, more connections at once (an agent's maxSockets), and cache their answers.",
        *_useless(seen, "external"),
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


def _statements(seen: Comparison) -> Iterator[str]:
    if slowest := list(seen.statements[:3]):
        share = 100 * sum(each.share for each in slowest)
        many = f"{len(slowest)} statements take" if len(slowest) > 1 else "One statement takes"
        first = slowest[0]
        mean = first.milliseconds / max(1, first.calls)
        yield (
            f"{many} {figure(share)} % of the time of all; the first: {first.text} "
            f"({figure(first.calls)} calls, {figure(mean)} ms each)."
        )


def _uncounted(seen: Comparison, tier: Tier) -> Iterator[str]:
    if tier == "database" and not seen.statements:
        yield "CREATE EXTENSION pg_stat_statements in the database, to be told which statements take its time."


def _database_is_idle(seen: Comparison) -> Iterator[str]:
    if seen.value("database", "cpu") is not None:
        yield seen.told("database", "cpu", "The database's CPU")


def _idle(seen: Comparison) -> str:
    """Words on a database whose CPU is not what is short; empty when it may be, or isn't known."""
    cpu = seen.value("database", "cpu")
    return f"its CPU is at {figure(cpu)} %" if cpu is not None and cpu < IDLE_ENOUGH else ""


def _busiest(seen: Comparison) -> float:
    return max(seen.least("app", "worker cpu"), *(_busy(seen, tier) for tier in TIERS))


def _useless(seen: Comparison, limiting: Tier) -> Iterator[str]:
    """What would add nothing, as it isn't what is short."""
    named: tuple[tuple[Tier, str, str], ...] = (
        ("app", "An app server more", "the app's"),
        ("database", "A larger database", "the database's"),
        ("edge", "A larger edge", "the edge's"),
    )
    for tier, what, whose in named:
        own = _own(seen, tier)
        if tier != limiting and seen.value(tier, "cpu") is not None and own < IDLE_ENOUGH:
            yield f"{what} would add nothing: {whose} CPU is at {figure(own)} %."
