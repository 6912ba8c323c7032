"""The settings by section: types and defaults. Rules about values are components.planning's."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from components import planning

from .fields import CacheVersion, Folder, HttpPath, Image, InstanceType, NodeVersion, PostgresVersion, Ruled

ENVIRONMENTS: dict[str, dict[str, dict[str, object]]] = {
    "dev": {},
    "staging": {"database": {"backupDays": 7}},
    "prod": {
        "app": {"detailedMonitoring": True},
        "cache": {"replicas": 1},
        "database": {"backupDays": 7, "multiAz": True, "deletionProtection": True, "applyImmediately": False},
        "monitoring": {"accessLogs": "errors"},
    },
}
"""An environment's defaults where they differ from the models' own, which are dev's: cheap."""


class Section(BaseModel):
    """Settings under one key: frozen, camelCase in YAML, exact types, no unknown keys."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class SubnetSettings(Section):
    """One availability zone's address ranges."""

    zone: str
    """Availability zone, such as us-east-1a."""
    public: str
    """CIDR of the public subnet."""
    private: str
    """CIDR of the private subnet."""


class NetworkSettings(Section):
    """The VPC."""

    cidr: str = "10.20.0.0/16"
    """The VPC's IPv4 range, /16 to /24."""
    zones: Annotated[int, Ruled(planning.ZONES)] = 2
    """Number of availability zones."""
    subnets: list[SubnetSettings] | None = None
    """Explicit ranges instead of planned ones, one entry for each zone."""
    nat: Annotated[str, Ruled(planning.NAT)] = "gateway"
    """How app servers call out: through NAT gateways (one; in prod one for each zone), or from public addresses."""


class EdgeSettings(Section):
    """The Nginx machine."""

    instance_type: InstanceType = "t3.small"
    """EC2 instance type."""
    image: Image = "debian-13"
    """Debian's own AMI, an AMI's id, or a name pattern of your own AMIs."""
    max_body_size: Annotated[str, Ruled(planning.BODY_SIZE)] = "1m"
    """Largest request body."""
    certificate: str | None = None
    """Name or ARN of a secret with the site's certificate, chain and key; with it, the site is served over HTTPS."""
    trusted_proxies: list[str] = []
    """CIDRs of the proxies in front, which alone say who a client is and how it asked."""
    events: bool = False
    """Whether EventBridge tells it of launches and terminations, so that it looks at once and not within 2 s."""

    @property
    def image_query(self) -> planning.ImageQuery:
        """How EC2 is asked for the image."""
        return planning.image_query(self.image, self.instance_type)


class AppSettings(Section):
    """The Express app and its servers."""

    path: Annotated[Folder, Field(validate_default=True)] = Path("app")
    """The app's folder, relative to this configuration's."""
    port: Annotated[int, Ruled(planning.APP_PORT)] = 3000
    """The port that the app listens on; it isn't root."""
    liveness_path: HttpPath = "/healthz"
    """Answers below 500 once the process is up; the app then has 90 s more to be ready."""
    readiness_path: HttpPath = "/readyz"
    """Answers below 500 while the app should get traffic."""
    node_version: NodeVersion = 24
    """Node's major version."""
    instance_type: InstanceType = "t3.small"
    """EC2 instance type; it decides the architecture."""
    image: Image = "debian-13"
    """Debian's own AMI, an AMI's id, or a name pattern of your own AMIs."""
    min_size: Annotated[int, Ruled(planning.FLEET_SIZE)] = 2
    """Fewest machines."""
    max_size: Annotated[int, Ruled(planning.FLEET_SIZE)] = 4
    """Most machines."""
    target_cpu: Annotated[int, Ruled(planning.TARGET_CPU)] = 60
    """Average CPU load, in percent, that scaling aims at."""
    target_requests: Annotated[int, Ruled(planning.TARGET_REQUESTS)] | None = None
    """Requests a second for each machine that scaling aims at besides, measured by the edge each ten seconds."""
    detailed_monitoring: bool = False
    """CPU load each minute, not every five. In prod: true."""
    cpu_credits: Annotated[str, Ruled(planning.CPU_CREDITS)] | None = None
    """For burstable types: standard or unlimited."""
    packages: list[Annotated[str, Ruled(planning.PACKAGE)]] = []
    """Debian packages that the app needs."""
    outgoing_ports: list[Annotated[int, Ruled(planning.OUTGOING_PORT)]] = []
    """TCP ports that the app may call anywhere, besides 80 and 443."""
    environment: dict[str, str] = {}
    """Plain variables of the app."""
    secrets: dict[str, str] = {}
    """Names or ARNs of secrets in Secrets Manager, by the variable that the app gets them in."""
    apm: Annotated[str, Ruled(planning.APM_VENDOR)] | None = None
    """Whose agent comes with the app and watches it: newrelic, appdynamics, datadog or opentelemetry (docs/apm.md)."""
    apm_secret: str | None = None
    """Name or ARN of the secret with the vendor's key; with opentelemetry, with the OTLP headers, if it needs any."""
    apm_endpoint: str | None = None
    """Where the agent sends to, as a URL; with appdynamics and opentelemetry it must be given."""
    apm_controller: str | None = None
    """AppDynamics' controller, such as acme.saas.appdynamics.com; with appdynamics it must be given."""

    @property
    def architecture(self) -> str:
        """`x86_64` or `arm64`, as EC2 says it."""
        return planning.architecture(self.instance_type) or ""

    @property
    def arch(self) -> str:
        """`x64` or `arm64`, as Node says it."""
        return "arm64" if self.architecture == "arm64" else "x64"

    @property
    def image_query(self) -> planning.ImageQuery:
        """How EC2 is asked for the image."""
        return planning.image_query(self.image, self.instance_type)


class CacheSettings(Section):
    """Redis or Valkey on ElastiCache."""

    engine: Annotated[str, Ruled(planning.CACHE_ENGINE)] = "redis"
    """redis (Redis OSS) or valkey, which costs a fifth less. A Redis can become a Valkey, a Valkey no Redis."""
    engine_version: CacheVersion | None = None
    """The engine's version: 7.1 of redis and 8.1 of valkey, unless given."""
    node_type: Annotated[str, Ruled(planning.NODE_TYPE)] = "cache.t4g.micro"
    """ElastiCache node type."""
    shards: Annotated[int, Ruled(planning.CACHE_SHARDS)] | None = None
    """Shards of a cluster, over which it spreads the keys (docs/cache.md); with replicas, at most 90 nodes in all."""
    replicas: Annotated[int, Ruled(planning.REPLICAS)] = 0
    """Standby nodes, of each shard; with one or more, ElastiCache fails over by itself. In prod: 1."""
    eviction_policy: Annotated[str, Ruled(planning.EVICTION_POLICY)] = "volatile-lru"
    """What goes when memory is full: of the keys that expire, or of all (allkeys-lru); noeviction: writes fail."""
    snapshot_days: Annotated[int, Ruled(planning.SNAPSHOT_DAYS)] = 0
    """Days that daily snapshots are kept; 0 is none."""
    snapshot_window: Annotated[str, Ruled(planning.SNAPSHOT_WINDOW)] | None = None
    """When they are made, in UTC: 03:00-04:00. AWS's choice, unless `maintenanceWindow` is given as well."""
    maintenance_window: Annotated[str, Ruled(planning.CACHE_MAINTENANCE_WINDOW)] | None = None
    """When AWS may replace nodes and install minor versions, in UTC: sun:05:00-sun:06:00. AWS's choice likewise."""

    @property
    def version(self) -> str:
        """The engine's, given or not."""
        return planning.cache_version(self.engine, self.engine_version)

    @property
    def nodes(self) -> int:
        """How many there are, of all shards."""
        return planning.cache_nodes(self.shards, self.replicas)


class CapacitySettings(Section):
    """How much an instance of Aurora may have, in capacity units of about 2 GiB of memory."""

    min: Annotated[float, Ruled(planning.CAPACITY)]
    """The least, 0 to 256 in steps of 0.5; with 0 it pauses without connections."""
    max: Annotated[float, Ruled(planning.CAPACITY)]
    """The most, 1 to 256."""


class DatabaseSettings(Section):
    """PostgreSQL on RDS, on Aurora, or where somebody else keeps it."""

    engine: Annotated[str, Ruled(planning.STACK_DATABASE)] = planning.POSTGRESQL
    """postgresql, an instance on RDS; aurora, a cluster; external, one that isn't the stack's (docs/database.md). None
    of them can become another."""
    secret: str | None = None
    """With external: name or ARN of the secret whose text is the database's URL."""
    egress: list[str] | None = None
    """With external: where the database is, as IPv4 CIDRs and ids of security groups."""
    port: Annotated[int, Ruled(planning.PORT)] | None = None
    """With external: the database's port. 5432."""
    max_connections: Annotated[int, Ruled(planning.POOL_SIZE)] | None = None
    """With external: how many connections it takes. Without it, PostgreSQL's own number is counted with, 100."""
    engine_version: PostgresVersion = "17"
    """PostgreSQL version: a major one, or the oldest minor version that will do."""
    instance_class: Annotated[str, Ruled(planning.INSTANCE_CLASS)] = "db.t4g.micro"
    """RDS instance class. With aurora: db.t4g.medium."""
    serverless: CapacitySettings | None = None
    """With aurora: the bounds, min and max, of a capacity that follows the load, in place of a class."""
    storage_gb: Annotated[int, Ruled(planning.STORAGE_GB)] = 20
    """Storage in GiB."""
    multi_az: bool = False
    """A standby in another zone. In prod: true."""
    replicas: Annotated[int, Ruled(planning.READ_REPLICAS)] = 0
    """Read replicas, each of the same class (docs/database.md)."""
    max_replicas: Annotated[int, Ruled(planning.MOST_READERS)] | None = None
    """With aurora: how many readers there may be; from `replicas` on they come and go by their CPU."""
    replica_cpu: Annotated[int, Ruled(planning.REPLICA_CPU)] | None = None
    """With maxReplicas: average CPU of the readers, in percent, that is aimed at. 60."""
    shards: Annotated[int, Ruled(planning.SHARDS)] = 1
    """Databases, each with a part of the data, all as said here (docs/database.md). There can be more, never fewer."""
    backup_days: Annotated[int, Ruled(planning.BACKUP_DAYS)] = 1
    """Days that backups are kept. In staging and prod: 7."""
    deletion_protection: bool = False
    """Whether RDS refuses to delete it. In prod: true."""
    apply_immediately: bool = True
    """Whether changes that can take it away for minutes are made at once, not in its window. In prod: false."""
    name: Annotated[str, Ruled(planning.DATABASE_NAME)] = "app"
    """The database made in it."""
    app_user: Annotated[str, Ruled(planning.APP_USER)] | None = None
    """The role that the app connects as, which machines make; without it, the master user (docs/database.md)."""
    slow_statement_ms: Annotated[int, Ruled(planning.SLOW_STATEMENT_MS)] = 1000
    """Milliseconds from which on a statement is in its log, without its values; 0 is all, -1 none."""
    max_storage_gb: Annotated[int, Ruled(planning.MAX_STORAGE_GB)] | None = None
    """GiB up to which RDS raises the storage by itself; a tenth more than `storageGb` at least."""
    backup_window: Annotated[str, Ruled(planning.BACKUP_WINDOW)] | None = None
    """When RDS takes its daily snapshot, in UTC: 30 minutes or longer. Without it RDS chooses."""
    maintenance_window: Annotated[str, Ruled(planning.MAINTENANCE_WINDOW)] | None = None
    """When RDS makes what can take it away, in UTC: 30 minutes or longer. Without it RDS chooses."""
    insights: Annotated[str, Ruled(planning.INSIGHTS)] = "none"
    """Mode of CloudWatch Database Insights: none, standard (a week, free of charge) or advanced (15 months)."""
    parameters: dict[str, str] = {}
    """PostgreSQL's parameters that are to differ from those that the program sets (docs/database.md)."""
    snapshot: Annotated[str, Ruled(planning.SNAPSHOT)] | None = None
    """Name or ARN of the encrypted snapshot that it starts from, when it is made. With aurora a cluster's, or by its
    ARN an instance's."""
    restore_from: Annotated[str, Ruled(planning.RESTORE_FROM)] | None = None
    """Identifier of the RDS instance, with aurora of the cluster, whose backups it starts from, when it is made."""
    restore_time: Annotated[str, Ruled(planning.RESTORE_TIME)] | None = None
    """The point in time of `restoreFrom`, in UTC. Without it the latest."""
    pooler: Annotated[str, Ruled(planning.POOLER)] = planning.PGBOUNCER
    """What keeps the app servers' connections few: pgbouncer, on each, rds-proxy, or none (docs/connections.md)."""
    keep_proxy: bool = False
    """Whether the proxy that `pooler` led to stays until no app server goes by it (docs/connections.md)."""
    pool_size: Annotated[int, Ruled(planning.POOL_SIZE)] | None = None
    """Connections of each app server, or with rds-proxy and none of each worker. As many as fit; with none 10."""

    @property
    def further_shards(self) -> tuple[str, ...]:
        """What alarms call the shards beside the first, which is 0 to the kit and to PgBouncer."""
        return tuple(f"shard-{number}" for number in range(1, self.shards))

    @property
    def aurora(self) -> bool:
        """Whether it is a cluster."""
        return self.engine == planning.AURORA

    @property
    def external(self) -> bool:
        """Whether somebody else keeps it."""
        return self.engine == planning.EXTERNAL

    @property
    def proxied(self) -> bool:
        """Whether each has an RDS Proxy."""
        return self.pooler == planning.RDS_PROXY or self.keep_proxy

    @property
    def capacity(self) -> tuple[float, float] | None:
        """The least and the most of an instance whose capacity follows its load."""
        return (self.serverless.min, self.serverless.max) if self.serverless else None

    @property
    def replica_names(self) -> tuple[str, ...]:
        """What alarms call the replicas, those of one shard after the other. Aurora's readers have one for all."""
        if self.aurora:
            return ()
        own = [f"replica{number}" for number in range(1, self.replicas + 1)]
        return (*own, *(f"{shard}-{name}" for shard in self.further_shards for name in own))


class SessionManagerSettings(Section):
    """A shell on the machines through AWS Systems Manager, for whom IAM permits."""

    agent_key: Folder | None = None
    """The file with AWS's public key for its agent, relative to this configuration's folder; off without it."""


class MonitoringSettings(Section):
    """What the machines measure of themselves and tell of their logs, and who is told when something is wrong."""

    metrics: bool = True
    """Whether they do, each ten seconds: for Prometheus, and for CloudWatch at a price (docs/monitoring.md)."""
    scrape_from: list[str] = []
    """CIDRs that may fetch a machine's metrics from its port 9464."""
    alarm_emails: list[str] = []
    """Who is told of alarms by e-mail; each has to confirm it once. Without it and `alarmTopicArn`, there are none."""
    alarm_topic_arn: Annotated[str, Ruled(planning.ALARM_TOPIC)] | None = None
    """An SNS topic of your own that is told of alarms, in place of one that the stack makes."""
    error_percent: Annotated[int, Ruled(planning.ERROR_PERCENT)] = 5
    """Percent of answers 5xx above which there is an alarm."""
    p95_ms: Annotated[int, Ruled(planning.P95_MS)] = 1000
    """Milliseconds that 95 in 100 answers must not exceed, else there is an alarm."""
    dashboard: bool = False
    """Whether CloudWatch gets a dashboard of the stack."""
    logs: bool = True
    """Whether machines and database tell CloudWatch Logs, at a price, what they log (docs/logs.md)."""
    access_logs: Annotated[str, Ruled(planning.ACCESS_LOGS)] = "all"
    """Of which requests. errors: those answered with 5xx, or after a second or more. In prod: errors."""
    log_retention_days: Annotated[int, Ruled(planning.LOG_RETENTION_DAYS)] = 30
    """Days that CloudWatch keeps what machines log."""

    @property
    def alarms(self) -> bool:
        """Whether there are any."""
        return bool(self.alarm_emails) or self.alarm_topic_arn is not None


class Document(Section):
    """Everything under `expressway:`."""

    environment: Literal["dev", "staging", "prod"] = "dev"
    """What the stack is for; it chooses defaults, and in prod keeps data and releases when the stack is destroyed."""
    network: NetworkSettings = NetworkSettings()
    """The VPC."""
    edge: EdgeSettings = EdgeSettings()
    """The Nginx machine."""
    app: AppSettings
    """The Express app and its servers."""
    cache: CacheSettings = CacheSettings()
    """Redis or Valkey on ElastiCache."""
    database: DatabaseSettings = DatabaseSettings()
    """PostgreSQL on RDS."""
    session_manager: SessionManagerSettings = SessionManagerSettings()
    """A shell on the machines."""
    monitoring: MonitoringSettings = MonitoringSettings()
    """What the machines measure of themselves and tell of their logs, and who is told when something is wrong."""

    @property
    def connections(self) -> planning.Budget:
        """The connections that the app servers may open, against those that the database takes."""
        database = self.database
        known = (
            database.max_connections
            if database.external
            else planning.sure_connections(database.instance_class, database.parameters, database.capacity)
        )
        budget = planning.Budget(
            most=known or planning.DEFAULT_CONNECTIONS,
            servers=self.app.max_size,
            pooler=database.pooler,
            pool_size=database.pool_size,
            workers=planning.workers(self.app.instance_type),
            percent=planning.LEAVING_PERCENT if database.keep_proxy and database.pooler != planning.RDS_PROXY else None,
            # Aurora's readers are behind the proxy too.
            replicas=self.database.replicas > 0 and not self.database.aurora,
        )
        return replace(budget, place_for_more=planning.PLACE_FOR_MORE) if database.external else budget


class Settings(Document):
    """A stack's whole configuration."""

    stack: str
    """The stack's name."""
    region: str
    """AWS region (`aws:region`)."""
    tags: dict[str, str]
    """The provider's default tags (`aws:defaultTags`)."""

    @property
    def session_manager_key(self) -> str | None:
        """The text of AWS's public key, once the rules have seen it."""
        path = self.session_manager.agent_key
        return path.read_text(encoding="ascii") if path else None

    @property
    def production(self) -> bool:
        """Whether losing data would matter."""
        return self.environment == "prod"

    @property
    def alarms(self) -> tuple[planning.Alarm, ...]:
        """The alarms that the stack has."""
        if not self.monitoring.alarms:
            return ()
        return planning.alarms(
            planning.Watched(
                edge_type=self.edge.instance_type,
                certificate=self.edge.certificate is not None,
                app_type=self.app.instance_type,
                fewest_servers=self.app.min_size,
                database_class=None if self.database.external else self.database.instance_class,
                aurora=self.database.aurora,
                capacity=self.database.capacity,
                readers=self.database.aurora and self.database.replicas > 0,
                storage_gb=self.database.storage_gb,
                replicas=self.database.replica_names,
                shards=self.database.further_shards,
                cache_type=self.cache.node_type,
                cache_nodes=1 + self.cache.replicas,
                cache_shards=self.cache.shards,
                error_percent=self.monitoring.error_percent,
                p95_ms=self.monitoring.p95_ms,
            )
        )

    def name(self, role: str) -> str:
        """A component's name: the stack's and its role's."""
        return f"{self.stack}-{role}"

    def names_of_shards(self, count: int) -> list[str]:
        """The components' names of so many databases, in their order; the first is called as it is alone."""
        return [self.name("database" if number == 1 else f"database-{number}") for number in range(1, count + 1)]
