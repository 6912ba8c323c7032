"""What a stack that stands can't become, and what it becomes only later: its settings against what is there."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from components import planning
from components.planning import show

from .model import Settings
from .problems import Problem


@dataclass(frozen=True)
class Standing:
    """What is there of a stack, as its state has it; None for what isn't there yet."""

    cidr: str | None = None
    subnets: dict[str, planning.Subnet] = field(default_factory=dict)
    """By zone."""
    has_database: bool = False
    """Whether there is an instance on RDS, or a cluster, which can have started from a copy."""
    database_engine: str | None = None
    snapshot: str | None = None
    """The snapshot that the database has started from."""
    restore_from: str | None = None
    """The instance, or the cluster, whose backups it has started from."""
    restore_time: str | None = None
    database_name: str | None = None
    database_version: str | None = None
    """The full version that runs; of several shards, the newest."""
    instance_class: str | None = None
    storage_gb: int | None = None
    """Of several shards, the most."""
    shards: int = 0
    """How many databases there are."""
    multi_az: bool | None = None
    maintenance_window: str | None = None
    cache_engine: str | None = None
    cache_version: str | None = None
    cache_snapshot_days: int | None = None
    other_cache: bool = False
    """Whether there is a cluster where none is asked for any more, or a cache that is none where one is."""


def check(settings: Settings, standing: Standing) -> Iterator[Problem]:
    """Every setting that AWS would answer with a replacement of what holds data, or would refuse half-way."""
    cache = settings.cache
    if standing.cidr not in (None, settings.network.cidr):
        yield _fixed("network.cidr", settings.network.cidr, standing.cidr, "a VPC's range can't be changed")
    else:
        yield from _moved(settings, standing)
    yield from _database(settings, standing)
    rule = "ElastiCache would replace the cache, with all that is in it"
    if (standing.cache_engine, cache.engine) == ("valkey", "redis"):
        yield _fixed("cache.engine", cache.engine, standing.cache_engine, rule)
    elif standing.cache_version and planning.version_key(cache.version) < _same_parts(
        standing.cache_version, cache.version
    ):
        yield _lower("cache.engineVersion", cache.version, standing.cache_version, rule)
    if cache.shards and cache.snapshot_days and standing.cache_snapshot_days == 0:
        # It names the node to make them of, which ElastiCache takes of no cluster.
        # https://github.com/hashicorp/terraform-provider-aws/issues/20052
        rule = "AWS's provider can't begin with snapshots of a cluster that stands, and there are none now"
        remedy = (
            "Begin by aws elasticache modify-replication-group --snapshot-retention-limit and --apply-immediately, "
            "then run pulumi refresh."
        )
        yield _problem("cache.snapshotDays", cache.snapshot_days, rule, remedy)


def _database(settings: Settings, standing: Standing) -> Iterator[Problem]:
    database = settings.database
    if standing.database_engine not in (None, database.engine):
        # What else is asked for is the other one's.
        rule = "a database of the one engine can't become one of the other, and its data would go with it,"
        yield _fixed("database.engine", database.engine, standing.database_engine, rule)
        return
    if not standing.has_database:
        copied, findings = database.snapshot or database.restore_from, list[planning.Finding]()
        if not copied:
            findings += planning.check_database_name("name", database.name)
        elif not database.aurora:
            findings += planning.check_replicas_of_copy("replicas", database.replicas)
        yield from (Problem.of(each, "expressway:database.") for each in findings)
    if standing.database_name not in (None, database.name):
        rule = "RDS would replace the database, and its data with it"
        yield _fixed("database.name", database.name, standing.database_name, rule)
    if (running := standing.database_version) and _older(database.engine_version, running):
        yield _lower("database.engineVersion", database.engine_version, running, "RDS takes no older major version")
    yield from _other_start(settings, standing)
    if database.shards < standing.shards:
        rule = f"a shard's data would go with its database, and there are {standing.shards} now"
        remedy = "Put it back, or raise it; for fewer, make another stack and move the data over to it."
        yield _problem("database.shards", database.shards, rule, remedy)
    if standing.storage_gb is not None and _storage_gb(settings, standing) < standing.storage_gb:
        rule = "a database's storage can't shrink"
        yield _lower("database.storageGb", database.storage_gb, standing.storage_gb, rule)


def made_anew(settings: Settings, standing: Standing) -> list[str]:
    """What an update replaces although it stands, since it holds nothing that can't be read again: a line for each."""
    if not standing.other_cache:
        return []
    change = "into a cluster" if settings.cache.shards else "back from a cluster"
    return [
        f"expressway:cache.shards = {show('shards', settings.cache.shards)}: ElastiCache can't turn a cache {change}; "
        "this update makes another one, empty, and deletes the one that stands. Servers that run are led to it by "
        "expressway deploy; until then they have no cache, and all reads go to the database"
    ]


def waiting(settings: Settings, standing: Standing) -> list[str]:
    """What an update asks of RDS that is made in its maintenance window only: one line for each setting."""
    database = settings.database
    if database.apply_immediately:
        return []
    pairs: list[tuple[str, object, object]] = [
        ("instanceClass", database.instance_class, standing.instance_class),
        ("storageGb", _storage_gb(settings, standing), standing.storage_gb),
        ("multiAz", database.multi_az, standing.multi_az),
    ]
    running = standing.database_version
    if running and planning.version_key(database.engine_version) > _same_parts(running, database.engine_version):
        pairs.append(("engineVersion", database.engine_version, running))
    window = f" ({standing.maintenance_window} UTC)" if standing.maintenance_window else ""
    return [
        f"expressway:database.{name} = {show(name, wanted)} waits for the database's maintenance window{window}; "
        f"until then it is {show(name, now)}. To have it now: expressway:database.applyImmediately: true"
        for name, wanted, now in pairs
        if now is not None and wanted != now
    ]


def _storage_gb(settings: Settings, standing: Standing) -> int:
    database = settings.database
    return planning.storage_gb(database.storage_gb, standing.storage_gb, database.max_storage_gb)


def _other_start(settings: Settings, standing: Standing) -> Iterator[Problem]:
    """A database starts from a copy once. Afterwards the setting may stay or go."""
    if not standing.has_database:
        return
    database = settings.database
    pairs = [
        ("snapshot", database.snapshot, standing.snapshot),
        ("restoreFrom", database.restore_from, standing.restore_from),
        ("restoreTime", database.restore_time, standing.restore_time),
    ]
    for name, wanted, started in pairs:
        if wanted not in (None, started):
            began = f"it started from {show(name, started)}" if started else "it started without one"
            rule = f"a database starts from a copy only when it is made; this one stands, and {began}"
            remedy = "Leave it out; to have what is in that copy, make another stack with it and move over to it."
            yield _problem(f"database.{name}", wanted, rule, remedy)


def _moved(settings: Settings, standing: Standing) -> Iterator[Problem]:
    given = settings.network.subnets
    for zone, there in sorted(standing.subnets.items()):
        if given is None:
            (wanted,) = planning.plan_subnets(settings.network.cidr, [zone])
            path = "network.subnets"
        else:
            places = [index for index, each in enumerate(given) if each.zone == zone]
            if not places:
                continue  # a zone may go
            entry = given[places[0]]
            wanted = planning.Subnet(zone, entry.public, entry.private)
            path = f"network.subnets[{places[0]}]"
        if wanted != there:
            now, before = (f"{each.zone}: public {each.public}, private {each.private}" for each in (wanted, there))
            yield _fixed(path, now, before, "a subnet's range can't be changed")


def _older(wanted: str, running: str) -> bool:
    # A minor version is the oldest that will do, so that only the major one counts.
    return int(planning.postgres_major(wanted)) < int(planning.postgres_major(running))


def _same_parts(version: str, like: str) -> tuple[int, ...]:
    """The version, as exact as `like` is: 7 of 7.1.0 where only a major version is asked for."""
    return planning.version_key(version)[: like.count(".") + 1]


def _fixed(path: str, wanted: object, stands: object, rule: str) -> Problem:
    remedy = "Put it back; for another one, make another stack and move over to it."
    return _problem(path, wanted, f"{rule} while the stack stands, and it is {show(path, stands)} now", remedy)


def _lower(path: str, wanted: object, stands: object, rule: str) -> Problem:
    return _problem(path, wanted, f"{rule}, and it is {show(path, stands)} now", "Put it back, or raise it.")


def _problem(path: str, wanted: object, rule: str, remedy: str) -> Problem:
    return Problem(f"expressway:{path}", show(path, wanted), rule, remedy)
