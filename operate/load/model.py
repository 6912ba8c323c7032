"""What a run of `expressway load` is made of. Everything here is a value; `as_json` is what `--json` writes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from operate.profile.model import Profile

Tier = Literal["edge", "app", "cache", "database", "external", "generator", "none"]
"""Who limits. `external` is a service that the app waits for and the stack doesn't have; `none`: nothing did."""


@dataclass(frozen=True)
class Reading:
    """How one resource of a tier was used during a step."""

    tier: Tier
    resource: str
    """Such as `cpu`, `worker cpu`, `event loop lag`, `connections`."""
    value: float
    unit: str
    """CloudWatch's name of it in small letters: percent, milliseconds, count, bytes, count/second."""
    limit: float | None = None
    """The value, in the same unit, at which nothing is left. None for what has none, such as a time."""
    who: str = ""
    """The machine or worker; empty for the whole tier."""

    @property
    def saturation(self) -> float | None:
        """How much of the limit is used; 1 is all of it. None without a limit."""
        return None if not self.limit else self.value / self.limit


@dataclass(frozen=True)
class Statement:
    """What the database spent on one kind of SQL statement during a step."""

    text: str
    """As pg_stat_statements tells it: without its values."""
    calls: int
    milliseconds: float
    """In all."""
    share: float
    """Of the time of all statements, from 0 to 1."""


@dataclass(frozen=True)
class Step:
    """One arrival rate, held for some seconds."""

    offered_rps: float
    began: float
    """Seconds since the epoch."""
    seconds: float
    requests: int
    """That were due in it, and sent."""
    failures: Mapping[str, int]
    """Requests without a right answer, by what they had instead: a status, or an error of the connection."""
    answered_rps: float
    """Right answers a second."""
    p50: float
    """Milliseconds from when a request was due to the end of its answer, of right answers; so are the next ones."""
    p90: float
    p95: float
    p99: float
    longest: float
    histogram: Mapping[float, int] = field(default_factory=dict[float, int])
    """Right answers by the upper bound of their class, in milliseconds."""
    readings: tuple[Reading, ...] = ()
    statements: tuple[Statement, ...] = ()
    """The slowest ones, first the one that took most time."""
    slow_before: float | None = None
    """The 95th percentile of an earlier try of this rate, which was too slow; it counts no more. None without one."""


@dataclass(frozen=True)
class Second:
    """One second of the run, for the timeline."""

    at: float
    """Seconds since the epoch."""
    offered: int
    answered: int
    failed: int
    p95: float | None
    """Milliseconds; None without an answer."""


@dataclass(frozen=True)
class Bottleneck:
    """What limits the stack, why that is thought, and what to do."""

    tier: Tier
    resource: str
    evidence: tuple[str, ...]
    """Sentences with figures, the strongest first."""
    next: tuple[str, ...]
    """Steps, in the order in which to take them; what would add nothing is said, too."""


@dataclass(frozen=True)
class Sizes:
    """What the stack ran on."""

    region: str
    app_type: str
    """The app servers' EC2 instance type."""
    edge_type: str
    target_cpu: float | None = None
    """Percent at which target tracking holds the app servers' CPU; None without such a policy."""
    database_class: str | None = None
    """RDS's instance class."""
    multi_az: bool = False
    """Whether the database has a standby."""
    storage_gb: int = 20
    cache_type: str | None = None
    """ElastiCache's node type."""
    cache_nodes: int = 1
    """Of all shards together."""
    app_servers: int | None = None
    """In service when the run ended; None in a run of before this was told."""
    cache_shards: int | None = None
    """Of a cache in cluster mode; None for one that is no cluster."""
    database_shards: int = 1
    """Databases of that class, each with its part of the data."""
    aurora: bool = False
    """Whether each is a cluster of Aurora; the class is then its writer's."""
    database_instances: int = 1
    """Of each cluster: the writer and its readers."""
    capacity: tuple[float, float] | None = None
    """Units that the writer takes at the least and at the most, where they follow its load (Serverless v2)."""


@dataclass(frozen=True)
class Run:
    """A whole run, or what was measured until it was interrupted."""

    target: str
    """The URL."""
    stack: str | None
    """Whose readings these are; None where only the URL is known."""
    mix: tuple[str, ...]
    """One line for each route: its share, method and path."""
    generator: str
    """Its name and version."""
    steps: tuple[Step, ...]
    knee_rps: float | None
    """The highest rate at which the stack still kept up; None when even the first step was too much."""
    bottleneck: Bottleneck
    timeline: tuple[Second, ...] = ()
    interrupted: bool = False
    profile: Profile | None = None
    """Of one worker, under the load of the knee; where it was asked for."""
    sizes: Sizes | None = None
    """None where only the URL is known, or whoever loads may not ask."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`, and for the report."""
        return asdict(self)
