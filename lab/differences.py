"""What the lab runs otherwise than the settings say, in a line each, for `lab up` to tell. Pure."""

from typing import Final

from lab.api import catalogue
from lab.machines.services import postgresql, redis
from settings import Settings

GIB: Final = 2**30


def notes(settled: Settings, memory: int, *, limits: bool) -> list[str]:
    """`memory` is this host's, in bytes; `limits`: whether its kernel can hold a machine to less."""
    return [*_versions(settled), *_memory(settled, memory, limits=limits)]


def _versions(settled: Settings) -> list[str]:
    database, cache = settled.database.engine_version, settled.cache
    instead: list[str] = []
    if database.partition(".")[0] != postgresql.VERSION:
        instead.append(f"PostgreSQL {postgresql.VERSION} for expressway:database.engineVersion {database}")
    if (cache.engine, cache.version.partition(".")[0]) != ("redis", redis.VERSION):
        instead.append(f"Redis {redis.VERSION} for {cache.engine} {cache.version} (expressway:cache)")
    if not instead:
        return []
    return [f"Debian 13 has one version of each engine, and the lab runs {' and '.join(instead)}"]


def _memory(settled: Settings, memory: int, *, limits: bool) -> list[str]:
    if not limits:
        return [
            "this kernel has no memory controller, so databases and caches have all of this host's memory; PostgreSQL "
            "and Redis keep to their class all the same"
        ]
    kinds = {
        "expressway:database.instanceClass": settled.database.instance_class,
        "expressway:cache.nodeType": settled.cache.node_type,
    }
    return [
        f"{key} {kind} has {catalogue.memory(kind) // GIB} GiB, and this host {memory / GIB:.0f}: its machines have no "
        "limit of memory"
        for key, kind in kinds.items()
        if catalogue.memory(kind) >= memory
    ]
