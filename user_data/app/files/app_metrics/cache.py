"""What is told of the cache. Pure."""

from collections.abc import Sequence

from expressway_metrics.model import Reading, Value, counter, gauge, since

from .redis import Seen, slowest


def reading(now: Seen | None, before: Seen | None, trips: Sequence[float]) -> Reading:
    """Of a look, the one before it, and each trip's milliseconds; without an answer `now` is None."""
    families = [gauge("expressway_cache_up", "Whether it answered.", [({}, float(now is not None))])]
    values: list[Value] = []
    if trips:
        families.append(gauge("expressway_cache_round_trip_seconds", "The longest.", [({}, max(trips) / 1000)]))
        values.append(Value.of("CacheRoundTrip", "Milliseconds", *trips))
    if now is None:
        return Reading(families, values)
    used, most = now.number("used_memory"), now.number("maxmemory")
    families += [
        counter("expressway_cache_commands", "Done.", [({}, now.number("total_commands_processed"))]),
        counter("expressway_cache_hits", "Keys found.", [({}, now.number("keyspace_hits"))]),
        counter("expressway_cache_misses", "Keys not found.", [({}, now.number("keyspace_misses"))]),
        counter("expressway_cache_evictions", "Keys that had to go.", [({}, now.number("evicted_keys"))]),
        gauge("expressway_cache_clients", "Connected.", [({}, now.number("connected_clients"))]),
        gauge("expressway_cache_memory_bytes", "In use.", [({}, used)]),
        gauge("expressway_cache_memory_max_bytes", "That there can be; 0 without a limit.", [({}, most)]),
    ]
    if most:
        values.append(Value.of("CacheMemory", "Percent", 100 * used / most))
    if before:
        commands, hits, misses, evictions = (
            since(before.number(name), now.number(name))
            for name in ("total_commands_processed", "keyspace_hits", "keyspace_misses", "evicted_keys")
        )
        values += [Value.of("CacheCommands", "Count", commands), Value.of("CacheEvictions", "Count", evictions)]
        if hits + misses:
            values.append(Value.of("CacheHitRate", "Percent", 100 * hits / (hits + misses)))
        if found := slowest(now, before):
            name, milliseconds = found
            series = [({"command": name}, milliseconds / 1000)]
            families.append(gauge("expressway_cache_slowest_command_seconds", "Each of its calls.", series))
    return Reading(families, values)
