"""From what the API says to the machines, the network and the names that should be. Pure."""

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab import paths
from lab.api.catalogue import vcpus
from lab.config import LabConfig
from lab.machines import control_groups
from lab.machines.machine import Bind, MachineSpec
from lab.machines.services import backups
from lab.network import dns, model

from .api import ApiState
from .plan import (
    Base,
    ClusterNode,
    Configuration,
    Failover,
    ParameterChange,
    Pooling,
    Primary,
    Promotion,
    Reconfiguration,
    Reshape,
    Restart,
    Rotation,
    Service,
    TokenChange,
    Wanted,
)
from .standby import Settings, Standby, Takeover

RUNNING = ("pending", "running")
STOPPED = ("stopping", "stopped")
ENDING = ("stopping", "shutting-down")
TIER_TAG = "expressway:tier"


def wanted(api: ApiState, config: LabConfig, authority: Path, kept: Path = paths.BACKUPS) -> Wanted:
    """What should be. `authority` is the certificate (PEM) that all machines trust; `kept` has databases' backups."""
    # A stopped instance keeps its addresses, but nothing is there that could send or answer.
    described = _booted(api.reservations, config)
    running = _in_state(RUNNING, described)
    # One that shuts down has its network to the end: what it has begun, it finishes.
    reservations = [{"Instances": [*running, *_in_state(ENDING, described)]}]
    nodes = [node for cache in api.caches for node in _nodes(cache)]
    network = model.from_api(
        reservations=reservations,
        security_groups=api.security_groups,
        subnets=api.subnets,
        route_tables=api.route_tables,
        elastic_addresses=api.elastic_addresses,
        nat_gateways=api.nat_gateways,
        services=[
            *(
                _placed(database_machine(node["id"], node["node"]), _with_replication(node, api.databases))
                for item in api.databases
                for node in database_nodes(item)
            ),
            *(_placed(cache_machine(node["id"]), node) for node in nodes),
            *(_placed(balancer_machine(item["id"]), item) for item in api.load_balancers),
            *(_placed(proxy_machine(item["id"]), item) for item in api.proxies),
        ],
    )
    # ElastiCache's nodes reach each other beside the security groups that its users see.
    rules = {rule for cache in api.caches for rule in _among_nodes(_group(cache))}
    # So do a database and its replicas.
    rules |= {rule for source in _sources(api.databases) for rule in _among_nodes(_replication(source))}
    network = dataclasses.replace(network, rules=network.rules | rules)
    reboots = {item["id"]: item["reboots"] for item in api.instances}
    machines = [_instance(instance, reboots.get(instance["InstanceId"], 0), config, authority) for instance in running]
    machines += [
        dataclasses.replace(
            _service_machine(
                database_machine(node["id"], node["node"]), "database", "postgresql", node, config, authority
            ),
            binds=_binds(node, kept),
            resource=node["resource"],
        )
        for item in api.databases
        for node in database_nodes(item)
    ]
    machines += [
        _service_machine(cache_machine(node["id"]), "cache", "redis", node, config, authority) for node in nodes
    ]
    machines += [
        _service_machine(balancer_machine(item["id"]), "load-balancer", "haproxy", item, config, authority)
        for item in api.load_balancers
    ]
    machines += [
        _service_machine(proxy_machine(item["id"]), "proxy", "pgbouncer", item, config, authority)
        for item in api.proxies
    ]
    return Wanted(
        machines=tuple(machines),
        network=network,
        records=dns.records(network.machines, _endpoints(api), config.region),
        services=(
            *(
                Service(
                    "database",
                    item["id"],
                    tuple(database_machine(node["id"], node["node"]) for node in database_nodes(item)),
                    item["status"],
                    _takeover(item) or _promotion(item) or _rotation(item) or _restart(item) or _configuration(item),
                    int(item["port"]),
                    primary=database_machine(item["id"], item["node"]),
                    standby=_standby(item),
                    source=_source(item, api.databases),
                )
                for item in api.databases
            ),
            *(
                Service(
                    "cache",
                    item["id"],
                    _machines(item),
                    item["status"],
                    _cache_change(item),
                    primaries=tuple(_primary(item, node) for node in item["nodes"] if node["role"] == "primary"),
                )
                for item in api.caches
            ),
            *(
                Service("load-balancer", item["id"], (balancer_machine(item["id"]),), item["status"], _unapplied(item))
                for item in api.load_balancers
            ),
            *(
                Service("proxy", item["id"], (proxy_machine(item["id"]),), item["status"], _pooling(item))
                for item in api.proxies
            ),
        ),
        kept=frozenset(instance["InstanceId"] for instance in _in_state(STOPPED, described)),
        impaired=frozenset(item["id"] for item in api.instances if item["status"] == "impaired"),
        stopping=frozenset(instance["InstanceId"] for instance in _in_state(ENDING, described)),
        bases=tuple(base for item in api.backups for base in _bases(item)),
    )


def database_machine(identifier: str, node: str = "1") -> str:
    """The id of the machine behind a database instance, or of the second one of an instance with Multi-AZ."""
    return f"db{'' if node == '1' else node}-{identifier}"


def database_nodes(database: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A database's primary, and its standby where it has one, each as a service of its own."""
    return [{**database, **each} for each in ({}, database["standby"]) if each is not None]


def cache_machine(node: str) -> str:
    """The id of the machine behind a node of a replication group."""
    return f"cache-{node}"


def balancer_machine(identifier: str) -> str:
    """The id of the machine behind an Application Load Balancer."""
    return f"alb-{identifier}"


def proxy_machine(identifier: str) -> str:
    """The id of the machine behind an RDS Proxy."""
    return f"proxy-{identifier}"


def _booted(reservations: Iterable[Mapping[str, Any]], config: LabConfig) -> list[Any]:
    """The instances that are machines here; those of another image are in the API alone."""
    instances = (instance for reservation in reservations for instance in reservation["Instances"])
    return [instance for instance in instances if instance["ImageId"] in config.images]


def _in_state(states: Collection[str], instances: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [instance for instance in instances if instance["State"]["Name"] in states]


def _instance(instance: Mapping[str, Any], reboots: int, config: LabConfig, authority: Path) -> MachineSpec:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
    return MachineSpec(
        id=instance["InstanceId"],
        tier=tags.get(TIER_TAG, "other"),
        address=instance["PrivateIpAddress"],
        hostname=instance["PrivateDnsName"].partition(".")[0],
        layers=tuple(map(Path, config.images[instance["ImageId"]])),
        authority=authority,
        reboots=reboots,
        cpus=_cpus(vcpus(instance["InstanceType"]), config),
    )


def _service_machine(
    machine: str, tier: str, image: str, item: Mapping[str, Any], config: LabConfig, authority: Path
) -> MachineSpec:
    return MachineSpec(
        id=machine,
        tier=tier,
        address=item["address"],
        hostname=f"ip-{item['address'].replace('.', '-')}",
        layers=tuple(map(Path, config.services[image])),
        authority=authority,
        # A load balancer or a proxy of AWS's own grows by itself.
        cpus=_cpus(item["vcpus"], config) if "vcpus" in item else None,
        memory=_memory(item.get("machine_memory")),
    )


def _source(database: Mapping[str, Any], databases: Iterable[Mapping[str, Any]]) -> str | None:
    """The machine that a replica follows; None of a database of its own."""
    found = (database_machine(each["id"], each["node"]) for each in databases if each["id"] == database["source"])
    return next(found, None)


def _bases(kept: Mapping[str, Any]) -> Iterable[Base]:
    machine = database_machine(kept["database"], kept["node"])
    for base in kept["pending"]:
        yield Base(base, kept["resource"], machine, int(kept["port"]), kept["archived"])


def _binds(database: Mapping[str, Any], kept: Path) -> tuple[Bind, ...]:
    """What is kept of a database, and of the one that it begins with."""
    own, beginning = database["resource"], database["beginning"]
    source = {beginning["resource"]} - {own} if beginning else set[str]()
    return (
        Bind(kept / own, backups.folder(own)),
        *(Bind(kept / each, backups.folder(each), read_only=True) for each in source),
    )


def _cpus(vcpus: int, config: LabConfig) -> float | None:
    return None if config.core_per_vcpu is None else vcpus * config.core_per_vcpu


def _memory(size: int | None) -> int | None:
    """None also of more than this host has: that limits nothing."""
    return size if size is not None and size < control_groups.host_memory() else None


def _rotation(database: Mapping[str, Any]) -> Rotation | None:
    version = database["pending_version"]
    return Rotation(database["pending_secret_arn"], version, int(database["port"])) if version else None


def _promotion(database: Mapping[str, Any]) -> Promotion | None:
    return Promotion(int(database["port"])) if database["promoting"] else None


def _takeover(database: Mapping[str, Any]) -> Takeover | None:
    if not database["failing_over"]:
        return None
    former, machine = (database_machine(node["id"], node["node"]) for node in database_nodes(database))
    return Takeover(database["standby"]["node"], machine, former, int(database["port"]), _settings(database))


def _restart(database: Mapping[str, Any]) -> Restart | None:
    if not database["restarting"]:
        return None
    return Restart(int(database["port"]), _settings(database))


def _configuration(database: Mapping[str, Any]) -> Configuration | None:
    if database["settings_version"] == database["settings_known"]:
        return None
    standby = _standby(database)
    # One that has not all yet is told before it is waited for.
    told = standby.machine if standby and standby.synchronous else None
    return Configuration(int(database["port"]), _settings(database), told)


def _settings(database: Mapping[str, Any]) -> Settings:
    return Settings(database["settings_version"], tuple(sorted(database["settings"].items())))


def _standby(database: Mapping[str, Any]) -> Standby | None:
    if (found := database["standby"]) is None:
        return None
    machine = database_machine(database["id"], found["node"])
    return Standby(machine, found["node"], found["synchronous"], found["leaving"], settings=_settings(database))


def _sources(databases: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of those that have replicas, or a standby."""
    return {item["source"] or item["id"] for item in databases if item["source"] or item["standby"]}


def _replication(source: str) -> str:
    return f"lab-replicas-{source}"


def _with_replication(database: Mapping[str, Any], databases: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A database in the group of its source, and in its own where it has replicas or a standby."""
    sources = {database["source"], database["id"]} & _sources(databases)
    groups = [*database["security_groups"], *map(_replication, sorted(sources))]
    return {**database, "security_groups": groups}


def _nodes(cache: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A cache's nodes, each as a service of its own."""
    groups = [*cache["security_groups"], _group(cache)]
    size = {name: cache[name] for name in ("vcpus", "machine_memory")}
    return [{**node, "security_groups": groups, **size} for node in cache["nodes"]]


def _machines(cache: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(cache_machine(node["id"]) for node in cache["nodes"])


def _primary(cache: Mapping[str, Any], primary: Mapping[str, Any]) -> Primary:
    nodes = [node["id"] for node in _shard(cache, primary) if node["role"] == "replica"]
    standbys = tuple((cache_machine(node), node) for node in nodes) if cache["automatic_failover"] else ()
    return Primary(cache_machine(primary["id"]), standbys)


def _shard(cache: Mapping[str, Any], node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a node's shard; all where there is no other."""
    return [each for each in cache["nodes"] if each["shard"] == node["shard"]]


def _cache_change(cache: Mapping[str, Any]) -> Failover | TokenChange | ParameterChange | Reshape | None:
    # Slots move for long: what takes a moment comes first.
    return _failover(cache) or _token_change(cache) or _parameter_change(cache) or _reshape(cache)


def _reshape(cache: Mapping[str, Any]) -> Reshape | None:
    if cache["shape_known"] == cache["shape_version"]:
        return None
    nodes = tuple(
        ClusterNode(
            cache_machine(node["id"]), node["endpoint"], node["address"], node["shard"], node["role"] == "primary"
        )
        for node in cache["nodes"]
    )
    wanted = tuple((shard["id"], shard["wanted"]) for shard in cache["shards"])
    return Reshape(cache["shape_version"], int(cache["port"]), nodes, wanted)


def _parameter_change(cache: Mapping[str, Any]) -> ParameterChange | None:
    version = cache["parameters_version"]
    if version == cache["parameters_known"]:
        return None
    return ParameterChange(version, tuple(sorted(cache["parameters"].items())), _machines(cache), cache["memory"])


def _failover(cache: Mapping[str, Any]) -> Failover | None:
    for node in cache["nodes"]:
        if node["id"] == cache["next_primary"]:
            shard = _shard(cache, node)
            machines = tuple((each["address"], cache_machine(each["id"])) for each in shard)
            former = next(cache_machine(each["id"]) for each in shard if each["role"] == "primary")
            return Failover(node["id"], node["address"], int(cache["port"]), machines, former, cache["cluster"])
    return None


def _token_change(cache: Mapping[str, Any]) -> TokenChange | None:
    version = cache["tokens_version"]
    return TokenChange(version, _machines(cache)) if version != cache["tokens_known"] else None


def _unapplied(balancer: Mapping[str, Any]) -> Reconfiguration | None:
    version = balancer["version"]
    if version == balancer["applied"]:
        return None
    return Reconfiguration(version, json.dumps(balancer["configuration"]))


def _pooling(proxy: Mapping[str, Any]) -> Pooling | None:
    version = proxy["version"]
    if version == proxy["applied"]:
        return None
    return Pooling(version, json.dumps(proxy["configuration"]), proxy["role"])


def _group(cache: Mapping[str, Any]) -> str:
    return f"lab-nodes-{cache['id']}"


def _among_nodes(group: str) -> Iterable[model.Rule]:
    for direction in model.Direction:
        yield model.Rule(group, direction, "tcp", None, None, model.Group(group))


def _placed(machine: str, item: Mapping[str, Any]) -> model.ServiceMachine:
    return model.ServiceMachine(
        id=machine,
        address=IPv4Address(item["address"]),
        groups=frozenset(item["security_groups"]),
        subnet=item["subnet"],
        public_address=IPv4Address(public) if (public := item.get("public_address")) else None,
    )


def _endpoints(api: ApiState) -> dict[str, tuple[IPv4Address, ...]]:
    names: dict[str, tuple[IPv4Address, ...]] = {
        item["endpoint"]: (IPv4Address(item["address"]),) for item in (*api.databases, *api.caches, *api.proxies)
    }
    for cache in api.caches:
        every = {node["id"]: (IPv4Address(node["address"]),) for node in cache["nodes"]}
        names |= {node["endpoint"]: every[node["id"]] for node in cache["nodes"]}
        if cache["cluster"]:
            # Whoever answers knows the others: a shard that has slots already.
            there = {shard["id"] for shard in cache["shards"] if shard["slots"]}
            names[cache["endpoint"]] = tuple(
                IPv4Address(node["address"]) for node in cache["nodes"] if node["shard"] in there
            )
        else:
            replicas = [node["id"] for node in cache["nodes"] if node["role"] == "replica"]
            names[cache["reader_endpoint"]] = every[replicas[0]] if replicas else names[cache["endpoint"]]
    for item in api.load_balancers:
        # Not the private one even within the VPC, other than with an instance's name.
        names[item["endpoint"]] = (IPv4Address(item["public_address"] or item["address"]),)
    return names
