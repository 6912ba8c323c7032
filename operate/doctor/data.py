"""PostgreSQL's and the cache's versions, and the classes that they run on."""

from collections.abc import Iterable, Iterator
from typing import Any

from .account import Account
from .finding import Finding, failed, ok, warning
from .wanted import Cache, Database, Wanted

DATABASE, CACHE = "database", "cache"


def check_database(account: Account, wanted: Wanted, zones: Iterable[str]) -> Iterator[Finding]:
    """The connections, the version, and the class in the zones of the subnets."""
    shards = f", for each of {wanted.database.shards} shards" if wanted.database.shards > 1 else ""
    connections = f"{wanted.database.connections}{shards}"
    if wanted.database.connections_known:
        yield ok(DATABASE, connections, "expressway:database.pooler")
    else:
        what = f"{connections}, which is PostgreSQL's own number: this database's isn't known"
        rule, mend = "the servers' connections must fit", "Set it to what SHOW max_connections says there."
        yield warning(DATABASE, what, "expressway:database.maxConnections", rule, mend)
    if wanted.database.external:
        yield ok(DATABASE, "it isn't the stack's, and not looked at", "expressway:database.engine")
        return
    engine = "aurora-postgresql" if wanted.database.aurora else "postgres"
    versions = account.every("rds", "DescribeDBEngineVersions", "DBEngineVersions", Engine=engine)
    version, finding = judge_version(wanted.database, [str(each["EngineVersion"]) for each in versions])
    yield finding
    if version is None:
        return
    options = account.every(
        "rds",
        "DescribeOrderableDBInstanceOptions",
        "OrderableDBInstanceOptions",
        Engine=engine,
        EngineVersion=version,
        DBInstanceClass=wanted.database.instance_class,
        Vpc=True,
    )
    yield judge_class(wanted.database, version, options, list(zones))


def judge_version(database: Database, versions: list[str]) -> tuple[str | None, Finding]:
    """Whether RDS has the version; of a major one, the newest minor version stands for it."""
    where, asked = "expressway:database.engineVersion", database.version
    matching = [each for each in versions if each == asked or each.startswith(f"{asked}.")]
    if matching:
        newest = max(matching, key=_number)
        return newest, ok(DATABASE, f"PostgreSQL {asked}" + (f", newest {newest}" if newest != asked else ""), where)
    major = asked.partition(".")[0]
    near = [each for each in versions if each.partition(".")[0] == major] or versions
    mend = f"Choose {', '.join(sorted(near, key=_number)[-3:])}." if near else "Choose another."
    rule = "RDS must have it in the region"
    return None, failed(DATABASE, f"RDS has no PostgreSQL {asked}", where, rule, mend)


def judge_class(database: Database, version: str, options: list[dict[str, Any]], zones: list[str]) -> Finding:
    """Whether the class can be ordered as the stack orders it: gp3, encrypted, in enough of the zones."""
    where, kind = "expressway:database.instanceClass", database.instance_class
    if not options:
        what = f"RDS has no {kind} for PostgreSQL {version}"
        return failed(DATABASE, what, where, "RDS must offer it in the region", "Choose another class, or version.")
    storage = "aurora" if database.aurora else "gp3"
    fitting = [each for each in options if each.get("StorageType") == storage and each.get("SupportsStorageEncryption")]
    if not fitting:
        what = f"{kind} has no encrypted {storage} storage"
        rule = f"the database's storage is {storage} and encrypted"
        return failed(DATABASE, what, where, rule, "Choose another class.")
    if database.multi_az and not any(each.get("MultiAZCapable") for each in fitting):
        rule, mend = "a standby must be possible", "Choose another class, or set expressway:database.multiAz to false."
        return failed(DATABASE, f"{kind} can have no standby", where, rule, mend)
    offered = {zone["Name"] for each in fitting for zone in each.get("AvailabilityZones", [])}
    usable, needed = [zone for zone in zones if zone in offered], 2 if database.multi_az else 1
    if zones and len(usable) < needed:
        what = f"{kind} is offered in {', '.join(sorted(offered)) or 'no zone'}"
        rule = f"{needed} of the stack's zones ({', '.join(zones)}) must have it"
        return failed(DATABASE, what, where, rule, "Choose another class, or name zones in expressway:network.subnets.")
    return ok(DATABASE, f"{kind} in {', '.join(usable or sorted(offered))}", where)


def check_cache(account: Account, wanted: Wanted) -> Iterator[Finding]:
    """The version, and whether the node type is sold here at all."""
    versions = account.every(
        "elasticache", "DescribeCacheEngineVersions", "CacheEngineVersions", Engine=wanted.cache.engine
    )
    yield judge_cache_version(wanted.cache, [str(each["EngineVersion"]) for each in versions])
    offerings = account.every(
        "elasticache",
        "DescribeReservedCacheNodesOfferings",
        "ReservedCacheNodesOfferings",
        CacheNodeType=wanted.cache.node_type,
    )
    yield judge_node_type(wanted.cache, wanted.region, offerings)


def judge_cache_version(cache: Cache, versions: list[str]) -> Finding:
    """Whether ElastiCache has the version."""
    where, name = "expressway:cache.engineVersion", f"{cache.engine.capitalize()} {cache.version}"
    # 6.2 is listed as 6.2.6; from 7.0 on, versions have two parts.
    if any(each == cache.version or each.startswith(f"{cache.version}.") for each in versions):
        return ok(CACHE, name, where)
    mend = f"Choose {', '.join(sorted(versions, key=_number)[-3:])}." if versions else "Choose another."
    what = f"ElastiCache has no {name}"
    return failed(CACHE, what, where, "ElastiCache must have it in the region", mend)


def judge_node_type(cache: Cache, region: str, offerings: list[dict[str, Any]]) -> Finding:
    """No call lists node types. What can be reserved is sold; what can't is misspelled, old, or not here."""
    where = "expressway:cache.nodeType"
    if offerings:
        return ok(CACHE, f"{cache.node_type} is sold in {region}", where)
    what = f"{cache.node_type} can't be reserved in {region}"
    rule = "a node type that is sold can be reserved too (ElastiCache lists none directly)"
    return warning(CACHE, what, where, rule, "Check its spelling and the region's list of node types.")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
