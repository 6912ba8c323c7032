"""What the lab measures of databases and caches, and their CPU credits."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.api import cpu_credits
from lab.api.catalogue import memory, node_memory
from lab.controller.plan import Service
from lab.controller.service_load import ServiceMeter
from lab.machines.access import MachineError
from lab.machines.services import redis

DATABASE = Service("database", "shop", ("db-shop",), "available", port=5433)
CACHE = Service("cache", "redis", ("cache-redis-001", "cache-redis-002"), "available")

INFO = """# Clients\r
connected_clients:9\r
# Memory\r
used_memory:300\r
maxmemory:400\r
# Stats\r
evicted_keys:{evicted}\r
keyspace_hits:{hits}\r
keyspace_misses:50\r
# Replication\r
role:{role}\r
master_link_status:{link}\r
master_link_down_since_seconds:40\r
"""


class Machines:
    """Machines that answer as they are told to."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"DatabaseConnections": 3, "StorageUsed": 1000, "ReplicaLag": None}
        self.info = {"cache-redis-001": self.node(), "cache-redis-002": self.node(role="slave")}

    @staticmethod
    def node(evicted: int = 0, hits: int = 100, role: str = "master", link: str = "up") -> str:
        return INFO.format(evicted=evicted, hits=hits, role=role, link=link)

    def ask(self, machine: str, command: list[str], given: str) -> str:
        if machine == "db-shop":
            assert "--port=5433" in command
            return json.dumps(self.state)
        if machine not in self.info:
            raise MachineError(f"machine {machine} does not run")
        return self.info[machine]


@pytest.fixture
def machines() -> Machines:
    return Machines()


@pytest.fixture
def meter(machines: Machines) -> ServiceMeter:
    return ServiceMeter(Path("nowhere"), machines.ask, lambda: 5e9)


def test_a_database_tells_connections_storage_memory_and_its_machines_cpu(meter: ServiceMeter) -> None:
    found = meter.measure([DATABASE], {"db-shop": 12.5, "i-1": 99.0}, 1000)
    assert found["database"] == {
        "shop": {"DatabaseConnections": 3, "StorageUsed": 1000, "FreeableMemory": 5e9, "CPUUtilization": 12.5}
    }, "only a replica has a lag"


def test_a_replica_tells_how_far_it_is_behind(meter: ServiceMeter, machines: Machines) -> None:
    machines.state["ReplicaLag"] = 7.5
    assert meter.measure([DATABASE], {}, 1000)["database"]["shop"]["ReplicaLag"] == 7.5


def test_a_node_tells_how_its_counters_have_grown_since_the_last_look(meter: ServiceMeter, machines: Machines) -> None:
    first = meter.measure([CACHE], {"cache-redis-001": 4.0}, 1000)["cache"]
    assert set(first) == {"redis-001", "redis-002"}, "by the nodes' own ids"
    assert first["redis-001"] == {
        "CurrConnections": 8,
        "IsMaster": 1,
        "DatabaseMemoryUsagePercentage": 75,
        "CPUUtilization": 4.0,
    }
    machines.info["cache-redis-001"] = machines.node(evicted=6, hits=30)
    second = meter.measure([CACHE], {}, 1010)["cache"]["redis-001"]
    assert (second["Evictions"], second["CacheMisses"]) == (6, 0)
    assert second["CacheHits"] == 30, "it has started anew"


def test_a_standby_tells_a_lag_that_grows_once_its_primary_is_gone(meter: ServiceMeter, machines: Machines) -> None:
    nodes = meter.measure([CACHE], {}, 1000)["cache"]
    assert ("ReplicationLag" in nodes["redis-001"], nodes["redis-002"]["ReplicationLag"]) == (False, 0)
    assert [nodes[each]["IsMaster"] for each in ("redis-001", "redis-002")] == [1, 0]
    machines.info["cache-redis-002"] = machines.node(role="slave", link="down")
    assert meter.measure([CACHE], {}, 1010)["cache"]["redis-002"]["ReplicationLag"] == 40


def test_who_is_not_there_is_left_out_and_stops_nobody(meter: ServiceMeter, machines: Machines) -> None:
    del machines.info["cache-redis-001"]
    machines.state["DatabaseConnections"] = "many"
    found = meter.measure([DATABASE, CACHE], {}, 1000)
    assert (set(found["database"]), set(found["cache"])) == (set(), {"redis-002"})
    creating = Service("database", "shop", ("db-shop",), "creating", port=5433)
    assert meter.measure([creating], {}, 1010) == {"database": {}, "cache": {}}


def test_a_cache_node_has_the_memory_of_its_type_for_data() -> None:
    assert node_memory("cache.t4g.micro") == 402_653_184, "three quarters of half a GiB"
    assert node_memory("cache.t4g.micro", "50") == 2**28, "by reserved-memory-percent"
    assert node_memory("cache.x9.large") is None
    kinds = ("db.t4g.micro", "cache.t3.medium", "db.m7g.large", "db.r6g.2xlarge", "t3.large", "c7g.xlarge")
    assert [memory(each) // 2**30 for each in kinds] == [1, 4, 8, 64, 8, 8]
    server = redis.RedisServer("CERT", "KEY", (), "own", memory=402_653_184)
    assert "maxmemory 402653184" in redis.configuration(server).splitlines()
    assert "maxmemory 0" in redis.configuration(redis.RedisServer("CERT", "KEY", (), "own")).splitlines(), "no end"


@pytest.mark.parametrize(
    ("kind", "an_hour"),
    [("t3.small", 24), ("t4g.2xlarge", 192), ("db.t4g.micro", 12), ("cache.t3.medium", 24), ("m7i.large", None)],
)
def test_burstable_types_earn_what_aws_publishes(kind: str, an_hour: int | None) -> None:
    found = cpu_credits.rate(kind)
    assert (found.an_hour if found else None) == an_hour


def test_credits_grow_below_the_baseline_and_are_spent_above_it() -> None:
    small = cpu_credits.rate("t3.small")
    assert small is not None
    ledger = cpu_credits.Ledger()
    assert ledger.book("i-1", small, 0, 3600) == 24
    assert ledger.book("i-1", small, 20, 3600) == pytest.approx(24), "20 % of two CPUs is its baseline"
    assert ledger.book("i-1", small, 100, 600) == pytest.approx(24 + 4 - 20)
    assert ledger.book("i-1", small, 100, 600) == 0, "nobody has less than none"
    assert ledger.book("i-1", small, 0, 600) == 0, "what was owed is paid back first"
    assert ledger.book("i-2", small, 0, 100 * 3600) == 576, "a day's"
