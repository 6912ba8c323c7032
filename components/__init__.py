"""What Expressway asks of AWS, as components for any Pulumi program."""

from ._database_args import CapacityArgs, DatabaseArgs
from .access import ApmArgs, AppReleaseArgs, CacheAccessArgs, DatabaseAccessArgs, ExternalDatabaseArgs, TargetsArgs
from .app_servers import AppServers, AppServersArgs
from .cache import Cache, CacheArgs
from .database import Database
from .load_balancer import LoadBalancer, LoadBalancerArgs
from .monitoring import (
    Monitoring,
    MonitoringArgs,
    WatchedCacheArgs,
    WatchedDatabaseArgs,
    WatchedEdgeArgs,
    WatchedServersArgs,
)
from .network import Network, NetworkArgs, SubnetArgs
from .release import ArtifactArgs, Release, ReleaseArgs

__version__ = "0.1.0"
"""Expressway's version: the program, the package and the plugin are released together."""

__all__ = [
    "ApmArgs",
    "AppReleaseArgs",
    "AppServers",
    "AppServersArgs",
    "ArtifactArgs",
    "Cache",
    "CacheAccessArgs",
    "CacheArgs",
    "CapacityArgs",
    "Database",
    "DatabaseAccessArgs",
    "DatabaseArgs",
    "ExternalDatabaseArgs",
    "LoadBalancer",
    "LoadBalancerArgs",
    "Monitoring",
    "MonitoringArgs",
    "Network",
    "NetworkArgs",
    "Release",
    "ReleaseArgs",
    "SubnetArgs",
    "TargetsArgs",
    "WatchedCacheArgs",
    "WatchedDatabaseArgs",
    "WatchedEdgeArgs",
    "WatchedServersArgs",
]
