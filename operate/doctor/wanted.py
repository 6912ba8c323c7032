"""What a stack wants of AWS, as plain values: the doctor reads no configuration itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DISK_GB = 10
"""A machine's disk, which no setting changes."""


@dataclass(frozen=True)
class Machines:
    """One tier."""

    setting: str
    """Where its settings are, such as `expressway:app`."""
    name: str
    """The component's name, which its machines carry as their tag Name."""
    instance_type: str
    architecture: str
    """`x86_64` or `arm64`."""
    image: str
    """As the settings name it."""
    image_owners: tuple[str, ...]
    """Whose images count; nobody's in particular when empty."""
    image_filter: tuple[str, str]
    """Name and value of the filter that finds the image."""
    fewest: int
    most: int


@dataclass(frozen=True)
class Database:
    """PostgreSQL on RDS, or on Aurora."""

    version: str
    """A major version, or a full one."""
    instance_class: str
    storage_gb: int
    multi_az: bool
    max_storage_gb: int | None = None
    """How far it may grow by itself."""
    replicas: int = 0
    """Read replicas of each, of the same class and storage."""
    app_user: bool = False
    """Whether the app has a role of its own in each, and so a secret."""
    insights: str = "none"
    """The mode of Database Insights: `none`, `standard` or `advanced`."""
    connections: str = ""
    """The arithmetic of the app servers' connections to it, which fit."""
    proxied: bool = False
    """Whether each database has an RDS Proxy."""
    vcpus: int = 2
    """Of its class, two at least, which a proxy is charged by."""
    shards: int = 1
    """How many databases there are, all alike."""
    aurora: bool = False
    """Whether each is a cluster."""
    capacity: tuple[float, float] | None = None
    """The least and the most units of an instance of Aurora, where that follows the load."""
    max_replicas: int | None = None
    """How many readers Aurora may come to."""
    external: bool = False
    """Whether somebody else keeps it, so that none is made."""
    connections_known: bool = True
    """Whether the arithmetic is with the database's own number."""

    @property
    def instances(self) -> int:
        """How many RDS counts: shards and their replicas."""
        return 0 if self.external else self.shards * (1 + self.replicas)

    @property
    def most_instances(self) -> int:
        """How many there are with all readers that Aurora may add."""
        return 0 if self.external else self.shards * (1 + (self.max_replicas or self.replicas))

    @property
    def copies(self) -> int:
        """How many are paid for: standbys as well, which a replica has none of."""
        return self.instances + (self.shards if self.multi_az else 0)


@dataclass(frozen=True)
class Cache:
    """Redis or Valkey on ElastiCache."""

    version: str
    node_type: str
    nodes: int
    engine: str = "redis"


@dataclass(frozen=True)
class Wanted:
    """One stack."""

    stack: str
    project: str
    region: str
    network: str
    """The network component's name."""
    app: Machines
    edge: Machines
    database: Database
    cache: Cache
    zones: int
    """How many availability zones."""
    named_zones: tuple[str, ...] = ()
    """Which ones, where the settings say."""
    nat: bool = True
    """Whether app servers call out through NAT gateways; else from public addresses of their own."""
    nat_per_zone: bool = False
    metrics: bool = False
    """Whether machines tell CloudWatch how they are."""
    logs: bool = False
    """Whether machines and database tell CloudWatch Logs what they log."""
    every_request: bool = False
    """Whether that is a line for each request; else for those in trouble alone, or none."""
    certificate: bool = False
    """Whether the edge has one, which expires."""
    quick_alarms: int = 0
    """Alarms that look each ten seconds."""
    alarms: int = 0
    """Those that look each minute or less often."""
    dashboard: bool = False
    """Whether CloudWatch has one of the stack."""
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names or ARNs of secrets that machines read, by the setting that names them."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """What everything in the stack is tagged with."""
    backend: str | None = None
    """Where Pulumi keeps the state, as a URL; None when only `pulumi login` knows."""

    @property
    def tiers(self) -> tuple[Machines, Machines]:
        """Both."""
        return self.app, self.edge

    @property
    def nat_gateways(self) -> int:
        """How many."""
        return 0 if not self.nat else self.zones if self.nat_per_zone else 1

    def owns_database(self, identifier: str) -> bool:
        """Whether an RDS instance or proxy is one of this stack's, by its name: a tag Name it has none."""
        return identifier.startswith(f"{self.stack}-database-")

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Whether a thing with these tags is this stack's own: a second deploy does not need it twice."""
        name = tags.get("Name", "")
        known = (self.app.name, self.edge.name, self.network)
        mine = name in known or name.startswith(f"{self.network}-nat-")
        return mine and all(tags.get(key) == value for key, value in self.tags.items())
