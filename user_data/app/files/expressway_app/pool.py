"""PgBouncer between the app and its database: what it is told, and that it is told again when a secret changes.

It shares few connections to the database between the machine's workers, by transaction (docs/connections.md). The
app speaks to it on this machine, with a password that is made here and never changes; PgBouncer alone has the
database's. So a rotated password, and a primary at another address, are none of the app's business.
"""

import contextlib
import hashlib
import json
import secrets
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from expressway_machine import config, files, host

from . import environment, paths

UNIT = "pgbouncer.service"
"""Debian's, with our own file in its place: an upgrade of the package restarts it."""
HOLDER_UNIT = "expressway-hold.service"
"""Starts and stops with it (hold.py)."""
PORT = environment.POOL_PORT
STATISTICS = "expressway-metrics"
"""Who may look at the pools, and do nothing else."""
HOLDER = "expressway-hold"
"""Who may pause them."""
SECRET = 0o600
FOR_ITS_USER = 0o640
Login = tuple[str, str]
"""User and password."""
FEWEST = 2
"""Connections that stay open: an idle app's next request, and one that comes while a password is new, find one."""

SETTINGS = {
    "listen_addr": "127.0.0.1",
    "listen_port": PORT,
    # No second door beside the port.
    "unix_socket_dir": "",
    "auth_type": "scram-sha-256",
    "auth_file": paths.POOL / "users.txt",
    "stats_users": STATISTICS,
    "admin_users": HOLDER,
    "pool_mode": "transaction",
    # Clients that prepare statements (node-postgres by name, Prisma, pgx) go on to.
    "max_prepared_statements": 200,
    # Connections of clients cost 2 kB each, and share the few above.
    "max_client_conn": 4000,
    # What drivers ask for at the start and a shared connection can't have, and what apps do without. Others, such as
    # search_path, are refused: an app must not find itself in another schema.
    "ignore_startup_parameters": "extra_float_digits,statement_timeout,lock_timeout,"
    "idle_in_transaction_session_timeout,idle_session_timeout",
    # A request waits so long for a connection, then fails.
    "query_wait_timeout": 20,
    # A primary that failed over (docs/connections.md has the figures): requests are held meanwhile by hold.py.
    # Tried again so soon; sooner helps nobody, and later those who come just after an outage.
    "server_login_retry": 0.2,
    # RDS's names live for five seconds, and the resolver of a VPC knows when one has moved. Only who connects looks up.
    "dns_max_ttl": 1,
    "dns_nxdomain_ttl": 1,
    # A primary that is silent, on a network that loses nothing for long. While one of these runs, requests wait; when
    # it ends they are refused: with a tcp_user_timeout of 5 s, 154 of 3,500 were in an outage of 10, with these 6.
    "server_connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "tcp_keepidle": 5,
    "tcp_keepintvl": 3,
    "tcp_keepcnt": 3,
    "log_connections": 0,
    "log_disconnections": 0,
    "log_stats": 0,
}
"""All but who, where, how many and how encrypted. https://www.pgbouncer.org/config.html"""


@dataclass(frozen=True)
class Passwords:
    """Those of this machine alone: made at its first start, kept until it reboots."""

    app: str
    statistics: str
    holder: str


def used(machine: config.Machine) -> bool:
    """Whether the app reaches its database through PgBouncer."""
    database = machine["database"]
    return bool(database) and database["pooler"] == "pgbouncer"


def configuration(database: Mapping[str, Any], logins: Sequence[Login]) -> str:
    """pgbouncer.ini, with the databases' passwords in it. ValueError for a value that no line of it can hold.

    `logins` has user and password of each shard: RDS gives each a password of its own, and the same user.
    """
    lines = [
        f"{name} = {' '.join(f'{key}={_quoted(value)}' for key, value in {**reached, **limits}.items())}"
        for name, reached, limits in _databases(database, logins)
    ]
    limits = {f"default_{name}" if name == "pool_size" else name: value for name, value in _limits(database).items()}
    names = {"sslmode": "server_tls_sslmode", "sslrootcert": "server_tls_ca_file"}
    encrypted = {names[key]: value for key, value in environment.tls(database).items()}
    settings = [f"{name} = {value}" for name, value in (SETTINGS | encrypted | limits).items()]
    return "\n".join(["[databases]", *lines, "", "[pgbouncer]", *settings, ""])


def users(names: Iterable[str], passwords: Passwords) -> str:
    """users.txt: who may connect to PgBouncer itself. It holds local passwords, and none of the databases'.

    `names` are those that the app has at its databases.
    """
    known = dict.fromkeys(names, passwords.app) | {STATISTICS: passwords.statistics, HOLDER: passwords.holder}
    lines = (" ".join(_quoted(each, '"') for each in pair) for pair in known.items())
    return "".join(f"{line}\n" for line in lines)


def statistics_url(passwords: Passwords) -> str:
    """Where the collector looks at the pools."""
    return _console(STATISTICS, passwords.statistics)


def held(database: Mapping[str, Any], logins: Sequence[Login], passwords: Passwords) -> str:
    """hold.json: PgBouncer's console, and what each primary is connected to with, by the name that PgBouncer has."""
    tls = environment.tls(database)
    primaries = {primary for primary, *_ in environment.pool_names(database)}
    databases = {name: {**reached, **tls} for name, reached, _ in _databases(database, logins) if name in primaries}
    return json.dumps({"console": _console(HOLDER, passwords.holder), "databases": databases})


def _databases(
    database: Mapping[str, Any], logins: Sequence[Login]
) -> Iterator[tuple[str, dict[str, Any], dict[str, int]]]:
    """PgBouncer's name of each database and replica, how that is reached, and its limits where it has its own."""
    places = zip(environment.shards(database), environment.pool_names(database), logins, strict=True)
    for shard, names, (user, password) in places:
        shared = {"port": shard["port"], "dbname": shard["name"], "user": user, "password": password}
        limits = _limits(shard) if shard["pool_size"] != database["pool_size"] else {}
        for name, where in zip(names, environment.hosts(shard), strict=True):
            yield name, {"host": where, **shared}, limits


def _limits(shard: Mapping[str, Any]) -> dict[str, int]:
    size = shard["pool_size"]
    return {"pool_size": size, "min_pool_size": min(FEWEST, size), "max_db_connections": size}


def _console(user: str, password: str) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{PORT}/pgbouncer?sslmode=disable"


def passwords() -> Passwords:
    """This machine's own, made when there are none yet. The caller holds the environment's lock."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Passwords(**json.loads(paths.POOL_PASSWORDS.read_text()))
    made = Passwords(*(secrets.token_urlsafe(24) for _ in range(3)))
    files.write(paths.POOL_PASSWORDS, json.dumps(made.__dict__), SECRET)
    return made


def write(machine: config.Machine, known: Mapping[str, str]) -> str:
    """Write what PgBouncer reads, from the last good secrets; its digest. The caller holds the environment's lock."""
    database, logins = environment.all_located(machine["database"], known)
    paths.POOL.mkdir(mode=0o755, parents=True, exist_ok=True)
    own = passwords()
    names = [user for user, _ in logins]
    told = {"pgbouncer.ini": configuration(database, logins), "users.txt": users(names, own)}
    for name, text in told.items():
        files.write(paths.POOL / name, text, FOR_ITS_USER, group=paths.POOL_USER)
    # Read at each use: nobody is told.
    files.write(paths.POOL_HELD, held(database, logins, own), FOR_ITS_USER, group=paths.POOL_USER)
    return hashlib.sha256("".join(told.values()).encode()).hexdigest()


def follow(digest: str) -> None:
    """Have the PgBouncer that runs read what was written, unless it has: open connections go on, new ones use it."""
    if _loaded() == digest:
        return
    try:
        # One that isn't up reads it when it starts.
        host.run("systemctl", "try-reload-or-restart", UNIT)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"expressway: PgBouncer keeps what it has for now: {error}", flush=True)
        return
    loaded(digest)


def loaded(digest: str) -> None:
    """Remember what PgBouncer has read."""
    files.write(paths.POOL_LOADED, digest, SECRET)


def _loaded() -> str:
    with contextlib.suppress(OSError):
        return paths.POOL_LOADED.read_text()
    return ""


def _quoted(value: object, mark: str = "'") -> str:
    text = str(value)
    if any(each in text for each in "\0\r\n"):
        raise ValueError("PgBouncer's configuration can't hold a value of several lines")
    return f"{mark}{text.replace(mark, mark * 2)}{mark}"
