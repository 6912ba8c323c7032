"""The stack: which components there are, what each gets from the others, and what the stack tells the world."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import pulumi

import artifact
from artifact import cache as artifact_cache
from components import (
    ApmArgs,
    AppServers,
    AppServersArgs,
    Cache,
    CacheArgs,
    Database,
    DatabaseArgs,
    ExternalDatabaseArgs,
    LoadBalancer,
    LoadBalancerArgs,
    Monitoring,
    MonitoringArgs,
    Network,
    NetworkArgs,
    Release,
    WatchedCacheArgs,
    WatchedDatabaseArgs,
    planning,
    state,
)
from settings import (
    DatabaseSettings,
    Settings,
    SettingsError,
    Standing,
    check_standing,
    made_anew,
    waiting_for_window,
)


class MonitoringOutputs(TypedDict, total=False):
    """What it tells of alarms and dashboard, where it has them."""

    alarmTopicArn: pulumi.Output[str]
    """The SNS topic that alarms tell; only where there are alarms."""
    dashboardUrl: pulumi.Output[str]
    """The dashboard, in AWS's console; only where there is one."""


class Outputs(MonitoringOutputs):
    """What the stack tells the world: day-2 work and other stacks (StackReference) read these names."""

    url: pulumi.Output[str]
    """Where the app answers."""
    edgeAddress: pulumi.Output[str]
    """The edge's Elastic IP, for a DNS record."""
    edgeGroupName: pulumi.Output[str]
    """The edge's Auto Scaling group."""
    appGroupName: pulumi.Output[str]
    """The app servers' Auto Scaling group."""
    appPort: int
    """The port that the app listens on."""
    readinessPath: str
    """Where an app server says whether it should get traffic."""
    region: str
    """AWS's region that the stack is in."""
    nodeVersion: int
    """Node's major version on the app servers, which a release is built with."""
    architecture: str
    """The app servers' architecture, x64 or arm64, which a release is built for."""
    apm: str
    """Whose APM agent a release is built with; empty without one."""
    artifactBucket: pulumi.Output[str]
    """The bucket of releases, which a deployment uploads to."""
    releaseParameter: pulumi.Output[str]
    """The SSM parameter that a deployment moves."""
    databaseEndpoint: pulumi.Output[str]
    """PostgreSQL's host and port; empty where the database isn't the stack's."""
    databaseUrlSecret: str
    """Where it isn't: the secret with its URL, as the settings name it. Else empty."""
    databasePasswordSecret: pulumi.Output[str]
    """The secret with PostgreSQL's user and password, by its ARN; empty where RDS keeps and rotates them."""
    databasePasswordSecrets: list[pulumi.Output[str]]
    """Those of each shard, in their order."""
    databaseAppSecrets: list[pulumi.Output[str]]
    """The secrets with the login of the app's own role, one for each shard; none where it has no role of its own."""
    databaseEndpoints: list[pulumi.Output[str]]
    """Those of each shard, in their order; of the one database without shards."""
    cacheEndpoint: pulumi.Output[str]
    """The cache's host and port."""
    cacheTokenSecret: pulumi.Output[str]
    """The secret with the cache's token, by its ARN."""
    edgeLogGroup: pulumi.Output[str]
    """The edge's group of CloudWatch Logs; empty without logs, as the next two."""
    appLogGroup: pulumi.Output[str]
    """The app servers' group of CloudWatch Logs."""
    databaseLogGroup: pulumi.Output[str]
    """PostgreSQL's group of CloudWatch Logs."""
    vpcId: pulumi.Output[str]
    """The VPC."""
    publicSubnetIds: pulumi.Output[list[str]]
    """Public subnets, one for each zone."""
    privateSubnetIds: pulumi.Output[list[str]]
    """Private subnets, one for each zone."""


class MachineArgs(TypedDict, total=False):
    """Arguments of both tiers."""

    session_manager_key: str
    metrics: bool
    scrape_from: list[str]
    logs: bool
    log_retention_days: int


class NotBuiltError(pulumi.RunError):
    """The app's artifact or its runtime isn't in this machine's cache yet."""


class StandingError(pulumi.RunError):
    """The stack that stands can't become what the settings say."""


def build(settings: Settings) -> None:
    """Register every resource of the stack, and its outputs.

    Before any of them, NotBuiltError when there is nothing to deploy, StandingError when AWS would refuse it half-way.
    """
    _check_standing(settings)
    release = _release(settings)  # first, because without an artifact nothing should be made
    network = _network(settings)
    databases = _databases(settings, network)
    cache = _cache(settings, network)
    servers = _app_servers(settings, network, release, databases, cache)
    edge = _edge(settings, network, release, servers)
    none = pulumi.Output.from_input("")
    endpoints = [pulumi.Output.format("{0}:{1}", each.host, each.port) for each in databases]
    outputs: Outputs = {
        "url": edge.url,
        "edgeAddress": edge.address,
        "edgeGroupName": edge.group_name,
        "appGroupName": servers.group_name,
        "appPort": settings.app.port,
        "readinessPath": settings.app.readiness_path,
        "region": settings.region,
        "nodeVersion": settings.app.node_version,
        "architecture": settings.app.arch,
        "apm": settings.app.apm or "",
        "artifactBucket": release.bucket,
        "releaseParameter": release.parameter_name,
        "databaseEndpoint": endpoints[0] if endpoints else none,
        "databaseUrlSecret": settings.database.secret or "",
        "databasePasswordSecret": databases[0].password_secret_arn if databases else none,
        "databasePasswordSecrets": [each.password_secret_arn for each in databases],
        "databaseAppSecrets": [each.app_secret_arn for each in databases] if settings.database.app_user else [],
        "databaseEndpoints": endpoints,
        "cacheEndpoint": pulumi.Output.format("{0}:{1}", cache.host, cache.port),
        "cacheTokenSecret": cache.secret_arn,
        "edgeLogGroup": edge.log_group,
        "appLogGroup": servers.log_group,
        "databaseLogGroup": databases[0].log_group if databases else none,
        "vpcId": network.vpc_id,
        "publicSubnetIds": network.public_subnet_ids,
        "privateSubnetIds": network.private_subnet_ids,
    }
    if settings.monitoring.alarms or settings.monitoring.dashboard:
        outputs = {**outputs, **_monitoring(settings, edge, servers, databases, cache)}
    for name, value in outputs.items():
        pulumi.export(name, value)


def _check_standing(settings: Settings) -> None:
    there = _standing(settings)
    if problems := list(check_standing(settings, there)):
        raise StandingError(str(SettingsError(f"stack {settings.stack}", problems)))
    for line in (*waiting_for_window(settings, there), *made_anew(settings, there)):
        pulumi.log.warn(line)


def _standing(settings: Settings) -> Standing:
    there, network = state.read(), settings.name("network")
    shards = [
        there.outputs(state.DATABASE, f"{name}-instance") for name in settings.names_of_shards(planning.MOST_SHARDS)
    ]
    clusters = [
        there.outputs(state.CLUSTER, f"{name}-cluster") for name in settings.names_of_shards(planning.MOST_SHARDS)
    ]
    database = shards[0]
    writer = there.outputs(state.CLUSTER_INSTANCE, f"{settings.name('database')}-writer")
    # What Cache calls one that is no cluster, and one that is.
    caches = [there.outputs(state.CACHE, f"{settings.name('cache')}-{kind}") for kind in ("redis", "slots")]
    cache, other = caches if settings.cache.shards is None else reversed(caches)
    first = database or clusters[0]
    point: Mapping[str, str] = first.get("restoreToPointInTime") or {}
    copied = first.get("snapshotIdentifier") or point
    ranges = {each.name: each.outputs for each in there.all(state.SUBNET)}
    prefix = f"{network}-public-"
    zones = [name.removeprefix(prefix) for name in ranges if name.startswith(prefix)]
    return Standing(
        cidr=there.outputs(state.VPC, f"{network}-vpc").get("cidrBlock"),
        subnets={
            zone: planning.Subnet(zone, ranges[f"{prefix}{zone}"]["cidrBlock"], private["cidrBlock"])
            for zone in zones
            if (private := ranges.get(f"{network}-private-{zone}"))
        },
        has_database=bool(first),
        database_engine=planning.POSTGRESQL if database else planning.AURORA if clusters[0] else None,
        snapshot=first.get("snapshotIdentifier"),
        restore_from=point.get("sourceDbInstanceIdentifier") or point.get("sourceClusterIdentifier"),
        restore_time=point.get("restoreTime") or point.get("restoreToTime"),
        # A copy has the databases that its source had.
        database_name=None if copied else first.get("dbName") or first.get("databaseName"),
        database_version=max(
            _each([*shards, *clusters], "engineVersionActual"), key=planning.version_key, default=None
        ),
        instance_class=database.get("instanceClass") or writer.get("instanceClass"),
        storage_gb=max(_each(shards, "allocatedStorage"), default=None),
        shards=max(
            (number for number, both in enumerate(zip(shards, clusters, strict=True), 1) if any(both)), default=0
        ),
        multi_az=database.get("multiAz"),
        maintenance_window=database.get("maintenanceWindow") or clusters[0].get("preferredMaintenanceWindow"),
        cache_engine=cache.get("engine"),
        cache_version=cache.get("engineVersion"),
        cache_snapshot_days=cache.get("snapshotRetentionLimit"),
        other_cache=bool(other) and not cache,
    )


def _each(standing: Sequence[Mapping[str, Any]], output: str) -> list[Any]:
    """An output of each resource that stands and has it."""
    return [each[output] for each in standing if each.get(output) is not None]


def _network(settings: Settings) -> Network:
    wanted = settings.network
    args: NetworkArgs = {
        "cidr": wanted.cidr,
        "zones": wanted.zones,
        "nat": wanted.nat,
        "nat_per_zone": settings.production,
        "instance_types": sorted({settings.edge.instance_type, settings.app.instance_type}),
    }
    if wanted.subnets is not None:
        args["subnets"] = [
            {"zone": each.zone, "public": each.public, "private": each.private} for each in wanted.subnets
        ]
    return Network(settings.name("network"), args)


def _cache(settings: Settings, network: Network) -> Cache:
    wanted = settings.cache
    args: CacheArgs = {
        "vpc_id": network.vpc_id,
        "subnet_ids": network.private_subnet_ids,
        "engine": wanted.engine,
        "engine_version": wanted.version,
        "node_type": wanted.node_type,
        "replicas": wanted.replicas,
        "eviction_policy": wanted.eviction_policy,
        "snapshot_days": wanted.snapshot_days,
    }
    if wanted.shards is not None:
        args["shards"] = wanted.shards
    if wanted.snapshot_window is not None:
        args["snapshot_window"] = wanted.snapshot_window
    if wanted.maintenance_window is not None:
        args["maintenance_window"] = wanted.maintenance_window
    return Cache(settings.name("cache"), args)


def _databases(settings: Settings, network: Network) -> list[Database]:
    """One for each shard; none where somebody else keeps it."""
    wanted = settings.database
    if wanted.external:
        return []
    args: DatabaseArgs = {
        "vpc_id": network.vpc_id,
        "subnet_ids": network.private_subnet_ids,
        "engine": wanted.engine,
        "engine_version": wanted.engine_version,
        "instance_class": wanted.instance_class,
        "replicas": wanted.replicas,
        "backup_days": wanted.backup_days,
        "deletion_protection": wanted.deletion_protection,
        "final_snapshot": settings.production,
        "apply_immediately": wanted.apply_immediately,
        "database_name": wanted.name,
        "export_logs": settings.monitoring.logs,
        "log_retention_days": settings.monitoring.log_retention_days,
        "slow_statement_ms": wanted.slow_statement_ms,
        "insights": wanted.insights,
        "parameters": wanted.parameters,
    }
    if wanted.app_user is not None:
        args["app_user"] = wanted.app_user
    if wanted.proxied:
        args["proxy_percent"] = settings.connections.proxy_percent
    if wanted.aurora:
        if wanted.serverless is not None:
            args["serverless"] = {"min": wanted.serverless.min, "max": wanted.serverless.max}
        if wanted.max_replicas is not None:
            args["max_replicas"] = wanted.max_replicas
        if wanted.replica_cpu is not None:
            args["replica_cpu"] = wanted.replica_cpu
    else:
        args["storage_gb"] = wanted.storage_gb
        args["multi_az"] = wanted.multi_az
    if wanted.max_storage_gb is not None:
        args["max_storage_gb"] = wanted.max_storage_gb
    if wanted.backup_window is not None:
        args["backup_window"] = wanted.backup_window
    if wanted.maintenance_window is not None:
        args["maintenance_window"] = wanted.maintenance_window
    if wanted.snapshot is not None:
        args["snapshot"] = wanted.snapshot
    if wanted.restore_from is not None:
        args["restore_from"] = wanted.restore_from
    if wanted.restore_time is not None:
        args["restore_time"] = wanted.restore_time
    return [Database(name, args) for name in settings.names_of_shards(wanted.shards)]


def _machines(settings: Settings) -> MachineArgs:
    """What each tier of machines is told of monitoring, and of Session Manager where that is on."""
    wanted = settings.monitoring
    args: MachineArgs = {
        "metrics": wanted.metrics,
        "scrape_from": wanted.scrape_from,
        "logs": wanted.logs,
        "log_retention_days": wanted.log_retention_days,
    }
    if key := settings.session_manager_key:
        args["session_manager_key"] = key
    return args


def _release(settings: Settings) -> Release:
    app, node, cache = settings.app, settings.app.node_version, artifact_cache.root()
    built = artifact.find(app.path, node, app.arch, cache, app.apm)
    runtime = artifact.find_runtime(node, app.arch, cache)
    if built is None or runtime is None:
        beside = f" with the APM agent for {app.apm}" if app.apm else ""
        missing = f"the app in {app.path}{beside}" if built is None else f"Node {node} for {app.arch}"
        raise NotBuiltError(
            f"{missing} isn't built: run ./expressway build Pulumi.{settings.stack}.yaml, then this again"
        )
    return Release(
        settings.name("release"),
        {
            "app": {"path": str(built.path), "key": built.key, "sha256": built.sha256},
            "runtime": {"path": str(runtime.path), "key": runtime.key, "sha256": runtime.sha256},
            "release_id": built.release_id,
            "force_destroy": not settings.production,
        },
    )


def _edge(settings: Settings, network: Network, release: Release, servers: AppServers) -> LoadBalancer:
    wanted = settings.edge
    args: LoadBalancerArgs = {
        "vpc_id": network.vpc_id,
        "subnet_ids": network.public_subnet_ids,
        "bucket": release.bucket,
        "bucket_arn": release.bucket_arn,
        "targets": servers.targets,
        "instance_type": wanted.instance_type,
        "image": wanted.image,
        "max_body_size": wanted.max_body_size,
        **_machines(settings),
        "access_logs": settings.monitoring.access_logs,
        "trusted_proxies": wanted.trusted_proxies,
        "events": wanted.events,
        "tags": {**settings.tags},
    }
    if wanted.certificate is not None:
        args["certificate"] = wanted.certificate
    return LoadBalancer(settings.name("edge"), args)


def _monitoring(
    settings: Settings, edge: LoadBalancer, servers: AppServers, databases: list[Database], cache: Cache
) -> MonitoringOutputs:
    """Alarms and dashboard, where either is wanted. What is left out, the stack has not."""
    wanted = settings.monitoring
    watched_cache: WatchedCacheArgs = {
        "replication_group_id": cache.replication_group_id,
        "node_type": settings.cache.node_type,
        "nodes": 1 + settings.cache.replicas,
    }
    if settings.cache.shards is not None:
        watched_cache["shards"] = settings.cache.shards
    args: MonitoringArgs = {
        "edge": {
            "group_name": edge.group_name,
            "instance_type": settings.edge.instance_type,
            "certificate": settings.edge.certificate is not None,
        },
        "app": {
            "group_name": servers.group_name,
            "instance_type": settings.app.instance_type,
            "min_size": settings.app.min_size,
        },
        "cache": watched_cache,
        "alarm_emails": wanted.alarm_emails,
        "error_percent": wanted.error_percent,
        "p95_ms": wanted.p95_ms,
        "dashboard": wanted.dashboard,
    }
    if databases:
        args["database"] = _watched(settings, databases)
    if wanted.alarm_topic_arn is not None:
        args["alarm_topic_arn"] = wanted.alarm_topic_arn
    made = Monitoring(settings.name("monitoring"), args)
    outputs: MonitoringOutputs = {}
    if wanted.alarms:
        outputs["alarmTopicArn"] = made.topic_arn
    if wanted.dashboard:
        outputs["dashboardUrl"] = made.dashboard_url
    return outputs


def _watched(settings: Settings, databases: list[Database]) -> WatchedDatabaseArgs:
    """The first, its replicas and the other shards, for the alarms."""
    database, *shards = databases
    names = settings.database.replica_names
    replicas = [each.replica_identifiers[n] for each in databases for n in range(len(names) // len(databases))]
    watched: WatchedDatabaseArgs = {
        "identifier": database.identifier,
        "engine": settings.database.engine,
        "instance_class": settings.database.instance_class,
        "storage_gb": settings.database.storage_gb,
        "replica_identifiers": dict(zip(names, replicas, strict=True)),
        "shard_identifiers": {
            name: shard.identifier for name, shard in zip(settings.database.further_shards, shards, strict=True)
        },
    }
    if settings.database.aurora:
        watched["readers"] = settings.database.replicas > 0
    if settings.database.serverless is not None:
        watched["serverless"] = {"min": settings.database.serverless.min, "max": settings.database.serverless.max}
    return watched


def _apm(settings: Settings, vendor: str) -> ApmArgs:
    """By the app's own name, and the stack's: the vendor shows many stacks side by side."""
    app = settings.app
    args: ApmArgs = {
        "vendor": vendor,
        "service": artifact.inspect(app.path).name,
        "environment": settings.stack,
    }
    if app.apm_secret is not None:
        args["secret"] = app.apm_secret
    if app.apm_endpoint is not None:
        args["endpoint"] = app.apm_endpoint
    if app.apm_controller is not None:
        args["controller"] = app.apm_controller
    return args


def _app_servers(
    settings: Settings, network: Network, release: Release, databases: list[Database], cache: Cache
) -> AppServers:
    app = settings.app
    args: AppServersArgs = {
        "vpc_id": network.vpc_id,
        # Without NAT, only a public address gets a machine to the APIs that it needs; nobody gets in by it.
        "subnet_ids": network.public_subnet_ids if settings.network.nat == "none" else network.private_subnet_ids,
        "release": release.access,
        "instance_type": app.instance_type,
        "image": app.image,
        "min_size": app.min_size,
        "max_size": app.max_size,
        "target_cpu": app.target_cpu,
        "port": app.port,
        "liveness_path": app.liveness_path,
        "readiness_path": app.readiness_path,
        "detailed_monitoring": app.detailed_monitoring,
        "packages": app.packages,
        "outgoing_ports": app.outgoing_ports,
        "environment": {**app.environment},
        "secrets": {**app.secrets},
        **_machines(settings),
        "pooler": settings.database.pooler,
        "keep_proxy": settings.database.keep_proxy,
        "cache": cache.access,
        "tags": {**settings.tags},
    }
    if databases:
        args["database"] = databases[0].access
        args["shards"] = [each.access for each in databases[1:]]
    elif settings.database.secret is not None:
        args["external_database"] = _external(settings.database, settings.database.secret)
    if app.apm is not None:
        args["apm"] = _apm(settings, app.apm)
    if settings.database.pool_size is not None:
        args["pool_size"] = settings.database.pool_size
    if app.target_requests is not None:
        args["target_requests"] = app.target_requests
    if app.cpu_credits is not None:
        args["cpu_credits"] = app.cpu_credits
    return AppServers(settings.name("app"), args)


def _external(wanted: DatabaseSettings, secret: str) -> ExternalDatabaseArgs:
    """A database that somebody else keeps, for the app servers."""
    args: ExternalDatabaseArgs = {"secret": secret, "egress": wanted.egress or []}
    if wanted.port is not None:
        args["port"] = wanted.port
    if wanted.max_connections is not None:
        args["max_connections"] = wanted.max_connections
    return args
