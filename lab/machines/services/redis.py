"""What stands behind an ElastiCache endpoint in the lab: Debian's Redis, set up as ElastiCache sets up its own.

In-transit encryption takes the plain port away; the AUTH tokens are the default user's passwords; nothing is kept on
disk; the commands that ElastiCache withholds do not exist, or no client may use them. A node is the primary, or a real
replica of it; in cluster mode it is one of a real Redis Cluster. Not emulated: snapshots, the engine version (Debian 13
has Redis 8).

Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/SupportedCommands.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.machines.recipe import BASE, File, Recipe

from . import redis_cluster
from .cloud_config import ConfigFile, render

VERSION: Final = "8"
"""Debian 13's."""

UNIT: Final = "redis-server.service"
_DIRECTORY: Final = "/etc/redis"

# The boot starts it by itself as soon as user data has written its key.
_DROP_IN: Final = f"""\
[Unit]
ConditionPathExists={_DIRECTORY}/server.key
"""

IMAGE: Final = Recipe(
    "redis",
    BASE,
    packages=("redis-server",),
    files=(File("etc/systemd/system/redis-server.service.d/lab.conf", _DROP_IN),),
)

WITHHELD: Final = ("bgrewriteaof", "bgsave", "debug", "failover", "module", "save", "shutdown")
"""Commands that ElastiCache does not offer."""

_CONFIG: Final = "lab-config"
"""What CONFIG, which ElastiCache does not offer either, is called where the lab changes parameters."""

PARAMETERS: Final[Mapping[str, str]] = {
    "lazyfree-lazy-eviction": "no",
    "lazyfree-lazy-expire": "no",
    "lazyfree-lazy-server-del": "no",
    "maxmemory-policy": "volatile-lru",
    "maxmemory-samples": "3",
    "notify-keyspace-events": "",
    "tcp-keepalive": "300",
    "timeout": "0",
}
"""Those of ElastiCache's that the lab heeds, as the families redis6.x and redis7 have them.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/ParameterGroups.Engine.html"""

NOT_FOR_CLIENTS: Final = (
    *("psync", "replconf", "replicaof", "slaveof", "sync"),
    *("config", "migrate"),
    *(f"acl|{change}" for change in ("setuser", "deluser", "load", "save")),
    *(f"cluster|{change}" for change in ("addslots", "addslotsrange", "bumpepoch", "delslots", "delslotsrange")),
    *(f"cluster|{change}" for change in ("failover", "flushslots", "forget", "meet", "replicate", "reset")),
    *(f"cluster|{change}" for change in ("saveconfig", "set-config-epoch", "setslot")),
)
"""The same, but the nodes and the lab itself need them: a client is told that it has no permission."""

SOCKET: Final = "/run/redis/lab.sock"
"""On its machine."""
LAB_USER: Final = "lab"
"""Who may do everything: the lab, and the nodes of a cache with each other."""
_DATA: Final = "/var/lib/redis"
_ADMIN: Final = f"{_DIRECTORY}/lab-password"


@dataclass(frozen=True)
class RedisServer:
    """One node of a cache. `certificate` (with its chain) and `key` are PEM texts for the endpoints' names.

    `tokens` are the AUTH tokens that are good: 16 to 128 printable characters without quotes, `@` and `/`, as
    ElastiCache wants them. `replication` is the password by which the nodes of a cache know each other, and the lab
    them; `primary` is the address of the node that this one is a replica of.
    """

    certificate: str
    key: str = field(repr=False)
    tokens: tuple[str, ...] = field(repr=False)
    replication: str = field(repr=False)
    port: int = 6379
    primary: str | None = None
    memory: int | None = None
    """Bytes for data; without end where that is not known."""
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """Those that differ from the family's."""
    cluster: redis_cluster.Cluster | None = None
    """In cluster mode."""


def user_data(server: RedisServer) -> bytes:
    """What the machine's cloud-init runs: configuration and start."""
    # Before the key, with which it may start.
    nodes = redis_cluster.nodes_file(server.cluster, server.port) if server.cluster else None
    files = [
        *([ConfigFile(f"{_DATA}/nodes.conf", nodes, "redis")] if nodes else ()),
        ConfigFile(f"{_DIRECTORY}/server.pem", server.certificate, "redis", public=True),
        ConfigFile(f"{_DIRECTORY}/server.key", server.key, "redis"),
        ConfigFile(f"{_DIRECTORY}/redis.conf", configuration(server), "redis"),
        ConfigFile(_ADMIN, server.replication, "root"),
    ]
    return render(files, ["systemctl start redis-server.service"])


def configuration(server: RedisServer) -> str:
    """redis.conf."""
    withheld = "".join(f'rename-command {command} ""\n' for command in WITHHELD)
    parameters = "".join(f"{name} {value}\n" for name, value in _parameters(server.parameters))
    denied = " ".join(f"-{command}" for command in NOT_FOR_CLIENTS)
    replica = f"replicaof {server.primary} {server.port}\n" if server.primary else ""
    cluster = redis_cluster.configuration(server.cluster) if server.cluster else ""
    return f"""\
bind 0.0.0.0
port 0
unixsocket {SOCKET}
unixsocketperm 700
tls-port {server.port}
tls-cert-file {_DIRECTORY}/server.pem
tls-key-file {_DIRECTORY}/server.key
tls-ca-cert-file /etc/ssl/certs/ca-certificates.crt
tls-auth-clients no
tls-replication yes
user default on {_passwords(server.tokens)} ~* &* +@all {denied}
user {LAB_USER} on >{server.replication} ~* &* +@all
masteruser {LAB_USER}
masterauth {server.replication}
{replica}{cluster}save ""
appendonly no
maxmemory {server.memory or 0}
{parameters}dir {_DATA}
rename-command config {_CONFIG}
{withheld}"""


def command() -> list[str]:
    """The command that runs the one Redis command on its standard input with all rights. Fails unless that is done."""
    # With commands from its standard input redis-cli always exits with 0.
    script = f"""
export REDISCLI_AUTH="$(cat {_ADMIN})"
said=$(redis-cli -s {SOCKET} --user {LAB_USER} --no-auth-warning)
[ "$said" = OK ] || {{ echo "$said" >&2; exit 1; }}
"""
    return ["sh", "-c", script]


def question() -> list[str]:
    """The command that runs the one Redis command on its standard input with all rights, and prints the answer."""
    script = f"""
export REDISCLI_AUTH="$(cat {_ADMIN})"
exec redis-cli -s {SOCKET} --user {LAB_USER} --no-auth-warning
"""
    return ["sh", "-c", script]


def read(info: str) -> dict[str, str]:
    """The fields of Redis's answer to INFO."""
    return dict(line.strip().split(":", 1) for line in info.splitlines() if ":" in line)


def become(primary: str | None, port: int) -> str:
    """The Redis command that makes a node a replica of the one at `primary`, or without that the primary."""
    return f"REPLICAOF {f'{primary} {port}' if primary else 'NO ONE'}\n"


def configure(parameters: Mapping[str, str], memory: int | None = None) -> str:
    """The Redis command that makes a node take a cache's parameters, and the family's own where they say nothing.

    `memory` is as a server's.
    """
    given = [*_parameters(parameters), ("maxmemory", str(memory or 0))]
    return f"{_CONFIG} SET {' '.join(f'{name} {value}' for name, value in given)}\n"


def listen(port: int) -> str:
    """The Redis command after which a node takes new connections at `port`. Those that are open stay."""
    return f"{_CONFIG} SET tls-port {port}\n"


def take(tokens: tuple[str, ...]) -> str:
    """The Redis command after which these tokens are good, and no others. Connections that are let in stay."""
    return f"ACL SETUSER default resetpass {_passwords(tokens)}\n"


def _passwords(tokens: tuple[str, ...]) -> str:
    return " ".join(f'">{token}"' for token in tokens) or "nopass"


def _parameters(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name and value, as Redis reads either."""
    return [(name, json.dumps(given.get(name, default))) for name, default in PARAMETERS.items()]
