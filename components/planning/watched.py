"""What alarms and dashboard are about, and whom alarms tell."""

from dataclasses import dataclass
from typing import cast

from .caches import cache_node_numbers
from .findings import UNKNOWN, Finding
from .rule import Each, matching, number

ERROR_PERCENT = number(1, 100)
"""Percent of answers."""
P95_MS = number(5, 30_000)
"""Milliseconds. The edge counts answers in classes from 5 ms on, and what takes longer than 10 s as 30 s."""
CACHE_NODES = number(1, 6)

ALARM_EMAIL = matching(
    r"(?=.{3,254}$)[^@\s\"<>,;]+@[^@\s\"<>,;]+\.[^@\s\"<>,;.]+",
    "it must be an e-mail address",
    "Write it like team@example.com.",
)
ALARM_TOPIC = matching(
    r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}",
    "it must be the ARN of a standard SNS topic",
    "Write it like arn:aws:sns:us-east-1:123456789012:alarms.",
)


@dataclass(frozen=True)
class Watched:
    """A stack, or the part of one, that is watched. What it doesn't have is absent: None, or 0."""

    edge_type: str | None = None
    """The edges' EC2 instance type."""
    certificate: bool = False
    """Whether the edge serves HTTPS."""
    app_type: str | None = None
    """The app servers' EC2 instance type."""
    fewest_servers: int = 1
    """How many app servers there are at least."""
    database_class: str | None = None
    """RDS's instance class."""
    aurora: bool = False
    """Whether it is a cluster of Aurora, whose metrics are those of all its instances."""
    capacity: tuple[float, float] | None = None
    """The least and the most of an instance of Aurora whose capacity follows its load."""
    readers: bool = False
    """Whether the cluster has any."""
    storage_gb: int = 20
    """GiB that the database has."""
    replicas: tuple[str, ...] = ()
    """Names of the database's read replicas, as its owner calls them."""
    shards: tuple[str, ...] = ()
    """Names of further databases of the same class and storage, as their owner calls them."""
    cache_type: str | None = None
    """ElastiCache's node type."""
    cache_nodes: int = 1
    """How many nodes it has, or each of its shards, the primary among them."""
    cache_shards: int | None = None
    """How many shards it has as a cluster; None where it is none."""
    error_percent: int = 5
    """More answers 5xx than that are too many."""
    p95_ms: int = 1000
    """Slower than that is too slow for one answer in twenty."""

    @property
    def caches(self) -> list[str]:
        """The cache's nodes, as alarms and graphs call them."""
        if self.cache_type is None:
            return []
        return [f"cache-{number}" for number in cache_node_numbers(self.cache_shards, self.cache_nodes)]


def check_alarm_emails(path: str, addresses: object) -> list[Finding]:
    """What is wrong with the list of who is told by e-mail."""
    findings = Each(ALARM_EMAIL).check(path, addresses)
    if addresses is UNKNOWN or not isinstance(addresses, list):
        return findings
    entries = cast(list[object], addresses)
    for index, address in enumerate(entries):
        if address in entries[:index]:
            rule = f"each address must be given once, and {path}[{entries.index(address)}] is the same"
            findings.append(Finding(f"{path}[{index}]", address, rule, "Remove one of them."))
    return findings
