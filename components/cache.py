"""Redis or Valkey on ElastiCache, for cache-aside."""

from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import _secrets, _security, planning
from ._checks import check_values, known, require, require_names
from .access import CacheAccessArgs

PORT = 6379
"""Redis's own."""


_RULES = {
    "engine": planning.CACHE_ENGINE,
    "node_type": planning.NODE_TYPE,
    "shards": planning.CACHE_SHARDS,
    "replicas": planning.REPLICAS,
    "eviction_policy": planning.EVICTION_POLICY,
    "snapshot_days": planning.SNAPSHOT_DAYS,
    "snapshot_window": planning.SNAPSHOT_WINDOW,
    "maintenance_window": planning.CACHE_MAINTENANCE_WINDOW,
}


class CacheArgs(TypedDict):
    """Arguments of Cache."""

    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[list[str]]
    """Private subnets."""
    engine: NotRequired[str]
    """redis (Redis OSS) or valkey, which goes on from it and costs a fifth less. ElastiCache makes a Valkey of a Redis
    in place, and no Redis of a Valkey. Default: redis."""
    engine_version: NotRequired[str]
    """Of redis 6.2, 7.0 or 7.1; of valkey 7.2, 8.0, 8.1 or 8.2. Default: 7.1 of redis, 8.1 of valkey."""
    node_type: NotRequired[str]
    """ElastiCache node type. Default: cache.t4g.micro."""
    shards: NotRequired[int]
    """Shards of a cluster, 1 to 90, over which it spreads the keys; it then takes a client of clusters, and has at most
    90 nodes in all. More or fewer are an update in place; with it or without is another cache, empty. Default: none."""
    replicas: NotRequired[int]
    """Standby nodes, of each shard, 0 to 5; with one or more, ElastiCache fails over between zones by itself.
    Default: 1."""
    eviction_policy: NotRequired[str]
    """What goes when memory is full: volatile-lru, -lfu, -ttl or -random of the keys that expire; allkeys-lru, -lfu or
    -random of all; with noeviction nothing goes, and writes fail. Default: volatile-lru."""
    snapshot_days: NotRequired[int]
    """Days that daily snapshots are kept, 0 to 35; 0 is none. Default: 0."""
    snapshot_window: NotRequired[str]
    """When they are made, in UTC, an hour at least: 03:00-04:00; with it, also the next. Default: AWS's choice."""
    maintenance_window: NotRequired[str]
    """When AWS may replace nodes and install minor versions, in UTC, an hour at least: sun:05:00-sun:06:00;
    with it, also the one before. Default: AWS's choice."""


class Cache(pulumi.ComponentResource):
    """A replication group of Redis or Valkey: encrypted at rest, TLS and a token on every connection, private subnets.

    Its security group lets nobody in; who connects adds a rule for a group of its own.
    """

    host: pulumi.Output[str]
    """DNS name of the node that takes writes; of a cluster, its configuration endpoint's, which leads to any node."""
    port: pulumi.Output[int]
    """Its port."""
    secret_arn: pulumi.Output[str]
    """The Secrets Manager secret that holds the token, as text."""
    security_group_id: pulumi.Output[str]
    """The group to let clients into."""
    replication_group_id: pulumi.Output[str]
    """Its id in ElastiCache, which the ids of its nodes begin with."""
    access: CacheAccessArgs
    """How to reach it, which AppServers takes as `cache`."""

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:Cache", name, None, opts)
        require_names("Cache", name, args, CacheArgs)
        windows = args.get("snapshot_window"), args.get("maintenance_window")
        engine = args.get("engine", "redis")
        given = known(args.get("engine_version"))
        findings = check_values(args, _RULES) + planning.check_cache_version("engineVersion", known(engine), given)
        replicas, shards = args.get("replicas", 1), args.get("shards")
        findings += planning.check_cache_shards("shards", shards, replicas)
        require("Cache", name, findings + planning.check_cache_windows(*windows))
        child = pulumi.ResourceOptions(parent=self)
        group = _security.group(f"{name}-group", args["vpc_id"], f"Redis {name}", child)
        subnets = aws.elasticache.SubnetGroup(
            f"{name}-subnets", subnet_ids=args["subnet_ids"], description=f"Redis {name}", opts=child
        )
        version = planning.cache_version(engine, args.get("engine_version"))
        parameters = self._create_parameters(name, engine, version, args, child)
        token = _secrets.keep(f"{name}-token", f"Redis token of {name}", _secrets.draw(self), child)
        redis = aws.elasticache.ReplicationGroup(
            # ElastiCache makes no cluster of one that is none, and none of a cluster (docs/adr/0031): that is another.
            f"{name}-redis" if shards is None else f"{name}-slots",
            description=f"{engine.capitalize()} {name}",
            engine=engine,
            engine_version=version,
            parameter_group_name=parameters.name,
            node_type=args.get("node_type", "cache.t4g.micro"),
            num_cache_clusters=1 + replicas if shards is None else None,
            num_node_groups=shards,
            replicas_per_node_group=None if shards is None else replicas,
            # A cluster has none without it, also where no replica can take over.
            automatic_failover_enabled=replicas > 0 or shards is not None,
            multi_az_enabled=replicas > 0,
            port=PORT,
            subnet_group_name=subnets.name,
            security_group_ids=[group.id],
            at_rest_encryption_enabled=True,
            transit_encryption_enabled=True,
            auth_token=token.secret_string,
            auto_minor_version_upgrade=True,
            snapshot_retention_limit=args.get("snapshot_days", 0),
            snapshot_window=args.get("snapshot_window"),
            maintenance_window=args.get("maintenance_window"),
            # A cache holds nothing that can't be read again. Failover that waits a week for its window is no failover.
            apply_immediately=True,
            opts=child,
        )

        self.host = redis.primary_endpoint_address if shards is None else redis.configuration_endpoint_address
        self.port = pulumi.Output.from_input(PORT)
        self.secret_arn = token.secret_arn
        self.security_group_id = group.id
        self.replication_group_id = redis.replication_group_id
        self.access = {
            "host": self.host,
            "port": self.port,
            "secret_arn": self.secret_arn,
            "security_group_id": self.security_group_id,
            "cluster": shards is not None,
        }
        self.register_outputs(
            {
                "host": self.host,
                "port": self.port,
                "secret_arn": self.secret_arn,
                "security_group_id": self.security_group_id,
                "replication_group_id": self.replication_group_id,
                "access": self.access,
            }
        )

    def _create_parameters(
        self, name: str, engine: str, version: str, args: CacheArgs, child: pulumi.ResourceOptions
    ) -> "aws.elasticache.ParameterGroup":
        family = planning.cache_family(engine, version)
        cluster = args.get("shards") is not None
        return aws.elasticache.ParameterGroup(
            # The family is part of the name, as ElastiCache can't change it in place, nor whether it is for a cluster.
            f"{name}-{family.removesuffix('.x')}{'-cluster' if cluster else ''}",
            family=family,
            description=f"{engine.capitalize()} {name}",
            parameters=[
                {"name": "maxmemory-policy", "value": args.get("eviction_policy", "volatile-lru")},
                # One thread serves everybody, and to free a large value takes it milliseconds: another one does that.
                {"name": "lazyfree-lazy-eviction", "value": "yes"},
                {"name": "lazyfree-lazy-expire", "value": "yes"},
                *([{"name": "cluster-enabled", "value": "yes"}] if cluster else []),
            ],
            opts=child,
        )
