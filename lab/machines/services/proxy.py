"""What stands behind an RDS Proxy's endpoint in the lab: Debian's PgBouncer, which shares connections by transaction.

Clients come with the database's own logins, which are in the secrets that the proxy was told of; the database's name is
looked up anew for each connection, so that they follow a failover. While the database is away, `holding` has clients
wait.
Not emulated: pinning (a session's settings reach whoever has its connection next), debug logs, tokens of IAM, and
MaxIdleConnectionsPercent, in place of which all connections but a few are closed after five minutes without use.

Source: https://www.pgbouncer.org/config.html
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lab.machines.recipe import BASE, File, Recipe

from .cloud_config import ConfigFile, render

PORT: Final = 5432
"""Of each proxy of PostgreSQL's, whatever the database's own is."""

_CONFIGURATION: Final = "/etc/pgbouncer"
_USERS: Final = f"{_CONFIGURATION}/users.txt"
_UNIT: Final = "pgbouncer.service"
_HOLDER: Final = "lab-holding.service"
_PROGRAM: Final = Path(__file__).with_name("holding.py")
_INTO: Final = f"/usr/local/lib/lab/{_PROGRAM.name}"

# It has no logins before the lab tells it some, and starts by itself at later boots.
_DROP_IN: Final = f"""\
[Unit]
ConditionPathExists={_USERS}

[Service]
RuntimeDirectory=pgbouncer
LimitNOFILE=65535
Restart=always
RestartSec=100ms
"""

_HOLDING: Final = f"""\
[Unit]
Description=Lets clients wait while the database is away
After={_UNIT}

[Service]
User=postgres
ExecStart=/usr/bin/python3 {_INTO}
Restart=always
RestartSec=100ms

[Install]
WantedBy=multi-user.target
"""

IMAGE: Final = Recipe(
    "pgbouncer",
    BASE,
    packages=("pgbouncer", "python3-psycopg2"),
    files=(File(f"etc/systemd/system/{_UNIT}.d/lab.conf", _DROP_IN),),
)

_CONNECTIONS_OPEN: Final = 2
"""What stays open of an idle proxy: a request while a password is new finds one."""

_SETTINGS: Final[Mapping[str, Any]] = {
    "listen_addr": "0.0.0.0",  # noqa: S104  a machine of its own, whose security groups say who comes
    "listen_port": PORT,
    # For `holding`: who has the process's own user there may do everything.
    "unix_socket_dir": "/run/pgbouncer",
    "auth_type": "scram-sha-256",
    "auth_file": _USERS,
    "pool_mode": "transaction",
    "max_prepared_statements": 200,
    "max_client_conn": 10000,
    "client_tls_cert_file": f"{_CONFIGURATION}/server.pem",
    "client_tls_key_file": f"{_CONFIGURATION}/server.key",
    "server_tls_sslmode": "verify-full",
    "server_tls_ca_file": "/etc/ssl/certs/ca-certificates.crt",
    # RDS Proxy takes them, and pins for what a session keeps; here they are passed over.
    "ignore_startup_parameters": "extra_float_digits,statement_timeout,lock_timeout,"
    "idle_in_transaction_session_timeout,idle_session_timeout",
    "server_idle_timeout": 300,
    # A database that fails over: soon tried again, where its name leads by then.
    "server_login_retry": 0.2,
    "dns_max_ttl": 1,
    "dns_nxdomain_ttl": 1,
    "server_connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "tcp_keepidle": 5,
    "tcp_keepintvl": 3,
    "tcp_keepcnt": 3,
    "log_connections": 0,
    "log_disconnections": 0,
    "log_stats": 0,
}
"""All but where to, how many and for how long."""

# First who may come: what is new in the other file may need it. Reloading closes no connection.
_APPLY: Final = f"""\
set -eu
cd {_CONFIGURATION}
umask 077
cat > users.new
printf %s "$1" > pgbouncer.new
chown postgres users.new pgbouncer.new
mv users.new {_USERS}
mv pgbouncer.new pgbouncer.ini
systemctl reload-or-restart {_UNIT}
systemctl start {_HOLDER}
"""


def user_data(certificate: str, key: str) -> bytes:
    """What the machine's cloud-init runs. Where the proxy leads to, and who may come, comes by `apply`."""
    files = [
        ConfigFile(f"{_CONFIGURATION}/server.pem", certificate, "postgres", public=True),
        ConfigFile(f"{_CONFIGURATION}/server.key", key, "postgres"),
        ConfigFile(_INTO, _PROGRAM.read_text(), "root", public=True),
        ConfigFile(f"/etc/systemd/system/{_HOLDER}", _HOLDING, "root", public=True),
    ]
    return render(files, ["systemctl daemon-reload", f"systemctl enable {_UNIT} {_HOLDER}"])


def apply(configuration: Mapping[str, Any], logins: Mapping[str, str]) -> tuple[list[str], str]:
    """The command that makes `configuration` count, and its standard input. Connections that are open stay open.

    `logins` are passwords by user. ValueError for one that no line of PgBouncer's can hold.
    """
    return ["sh", "-c", _APPLY, "apply", pgbouncer_ini(configuration)], users(logins)


def pgbouncer_ini(configuration: Mapping[str, Any]) -> str:
    """Where to, how many and for how long. Without a database nobody is let in."""
    to, most = configuration["database"], configuration["connections"]
    databases = [f"* = host={to['host']} port={to['port']}"] if to else []
    settings = {
        **_SETTINGS,
        "client_tls_sslmode": "require" if configuration["require_tls"] else "allow",
        "default_pool_size": most,
        "min_pool_size": min(_CONNECTIONS_OPEN, most),
        # Of each database of the instance, and of each user in all of them.
        "max_db_connections": most,
        "max_user_connections": most,
        "query_wait_timeout": configuration["borrow_seconds"],
        "client_idle_timeout": configuration["idle_seconds"],
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join(["[databases]", *databases, "", "[pgbouncer]", *lines, ""])


def users(logins: Mapping[str, str]) -> str:
    """users.txt: who may come, and as whom the proxy goes to the database."""
    return "".join(f"{_quoted(user)} {_quoted(password)}\n" for user, password in sorted(logins.items()))


def _quoted(text: str) -> str:
    if any(each in text for each in "\0\r\n"):
        raise ValueError("a user or a password of several lines has no place in PgBouncer's file")
    return '"{}"'.format(text.replace('"', '""'))
