"""What stands behind an ElastiCache endpoint in the lab: Debian's Redis, set up as ElastiCache sets up its own.

In-transit encryption takes the plain port away; the AUTH token is the default user's password; nothing is kept on
disk; the commands that ElastiCache withholds do not exist. Not emulated: replicas, cluster mode, snapshots, the engine
version (Debian 13 has Redis 8).

Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/SupportedCommands.html
"""

from dataclasses import dataclass, field
from typing import Final

from lab.machines.recipe import BASE, File, Recipe

from .cloud_config import ConfigFile, render

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

WITHHELD: Final = (
    *("bgrewriteaof", "bgsave", "config", "debug", "failover", "migrate"),
    *("module", "psync", "replicaof", "save", "shutdown", "slaveof", "sync"),
)
"""Commands that ElastiCache does not offer."""


@dataclass(frozen=True)
class RedisServer:
    """One cache. `certificate` (with its chain) and `key` are PEM texts for the endpoint's name.

    `token` is the AUTH token: 16 to 128 printable characters without quotes, `@` and `/`, as ElastiCache wants it.
    """

    certificate: str
    key: str = field(repr=False)
    token: str = field(repr=False)
    port: int = 6379


def user_data(server: RedisServer) -> bytes:
    """What the machine's cloud-init runs: configuration and start."""
    files = [
        ConfigFile(f"{_DIRECTORY}/server.pem", server.certificate, "redis", public=True),
        ConfigFile(f"{_DIRECTORY}/server.key", server.key, "redis"),
        ConfigFile(f"{_DIRECTORY}/redis.conf", configuration(server), "redis"),
    ]
    return render(files, ["systemctl start redis-server.service"])


def configuration(server: RedisServer) -> str:
    """redis.conf."""
    withheld = "".join(f'rename-command {command} ""\n' for command in WITHHELD)
    return f"""\
bind 0.0.0.0
port 0
tls-port {server.port}
tls-cert-file {_DIRECTORY}/server.pem
tls-key-file {_DIRECTORY}/server.key
tls-auth-clients no
requirepass "{server.token}"
save ""
appendonly no
maxmemory-policy volatile-lru
dir /var/lib/redis
{withheld}"""
