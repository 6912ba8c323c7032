"""What stands behind an RDS endpoint in the lab: Debian's PostgreSQL, set up as RDS sets up its own.

The master user is no superuser but a member of `rds_superuser`; passwords are SCRAM; with `force_ssl` (RDS's default
since PostgreSQL 15) connections without TLS are refused. A read replica streams from its source, by that one's name; a
standby from its primary's machine, which waits for it with each commit.
Its WAL is archived and its backups are taken as `backups` says, and it may begin with another one's.
Not emulated: durable storage. pg_stat_statements is loaded, as by RDS's default parameter groups, and the master user
may create it.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.machines.recipe import BASE, File, Recipe

from . import backups, postgresql_settings
from .cloud_config import ConfigFile, render

VERSION: Final = "17"
"""Debian 13's."""

_UNIT: Final = f"postgresql@{VERSION}-main.service"
_CONFIGURATION: Final = f"/etc/postgresql/{VERSION}/main"
_KEY: Final = f"{_CONFIGURATION}/server.key"
"""Its unit starts only once this is there."""
_DATA: Final = f"/var/lib/postgresql/{VERSION}/main"
_PROGRAMS: Final = f"/usr/lib/postgresql/{VERSION}/bin"
_STATEMENTS: Final = f"/usr/share/postgresql/{VERSION}/extension/pg_stat_statements.control"

# The boot starts it by itself as soon as user data has written its key. Debian's wrapper would sleep for 2 s after a
# start that takes 0.1 s; the server itself tells systemd when it is ready.
_DROP_IN: Final = f"""\
[Unit]
ConditionPathExists={_KEY}

[Service]
Type=notify
User=postgres
PIDFile=
ExecStart=
ExecStart={_PROGRAMS}/postgres -D {_DATA} \
    -c config_file={_CONFIGURATION}/postgresql.conf
ExecStop=
ExecReload=
ExecReload=kill -HUP $MAINPID
KillMode=mixed
KillSignal=SIGINT
"""

IMAGE: Final = Recipe(
    "postgresql",
    BASE,
    packages=("postgresql",),
    files=(File(f"etc/systemd/system/{_UNIT}.d/lab.conf", _DROP_IN),),
)
"""Installing the package makes an empty cluster, so a machine only configures and starts it."""

_GRANTED: Final = "pg_monitor, pg_signal_backend, pg_checkpoint, pg_create_subscription, pg_use_reserved_connections"


LOG: Final = "var/log/postgresql/postgresql.log"
"""Where the server logs, from the machine's root."""
LOG_PREFIX: Final = "%t:%r:%u@%d:[%p]:"
"""RDS's.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.overview.parameter-groups.html
"""
REPLICATOR: Final = "rdsrepladmin"
"""The role by which replicas stream. RDS's own name."""
STANDBY: Final = "rdsstandby"
"""What a primary knows its standby as."""
_PASSWORDS: Final = "/var/lib/postgresql/upstream"
_RECOVERY: Final = f"{_CONFIGURATION}/conf.d/recovery.conf"
_COPY_SECONDS: Final = 300
"""How long a replica waits for a source that boots, or doesn't answer."""


@dataclass(frozen=True)
class Upstream:
    """Whom a server streams from: a name that may lead elsewhere later, and must be in the other's certificate."""

    host: str
    port: int
    address: str | None = None
    """Where that server is, when it is not where the name leads."""
    known_as: str | None = None
    """What the other knows this one as."""


@dataclass(frozen=True)
class PostgresqlServer:
    """One database. `certificate` (with its chain) and `key` are PEM texts for the endpoint's name.

    `database` is RDS's `DBName`; without it there is only `postgres`. `replication` is the password by which replicas
    stream: from this server, or, of one that has an `upstream`, this one from that. Such a server begins with a copy of
    all that its upstream has, users and passwords too. One that has a `source` begins with that, and gets the passwords
    that are told here. `kept` is where its WAL is archived to.
    """

    certificate: str
    key: str = field(repr=False)
    username: str
    password: str = field(repr=False)
    replication: str = field(repr=False)
    database: str | None = None
    port: int = 5432
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """RDS's parameters, where they are not as PostgreSQL has them."""
    upstream: Upstream | None = None
    source: backups.Source | None = None
    kept: str | None = None


def user_data(server: PostgresqlServer) -> bytes:
    """What the machine's cloud-init runs: configuration, start, roles and database; or a copy of its upstream's."""
    # The boot would start a server before it has what it begins with.
    key = f"{_KEY}.later" if server.upstream or server.source else _KEY
    files = [
        ConfigFile(f"{_CONFIGURATION}/server.pem", server.certificate, "postgres", public=True),
        ConfigFile(key, server.key, "postgres"),
        ConfigFile(f"{_CONFIGURATION}/conf.d/lab.conf", _settings(server), "postgres", public=True),
        ConfigFile(
            f"{_CONFIGURATION}/conf.d/parameters.conf",
            postgresql_settings.configuration(server.settings),
            "postgres",
            public=True,
        ),
        ConfigFile(f"{_CONFIGURATION}/pg_hba.conf", _access(server), "postgres"),
        *(backups.files() if server.kept or server.source else ()),
    ]
    # RDS lets a member of rds_superuser create it; PostgreSQL lets a database's owner create what is trusted.
    trust, start = f"echo 'trusted = true' >> {_STATEMENTS}", f"systemctl start {_UNIT}"
    if server.upstream:
        known = f"*:*:*:{REPLICATOR}:{server.replication}\n"
        copy = _copy(server.upstream)
        return render([*files, ConfigFile(_PASSWORDS, known, "postgres")], [trust, *copy, f"mv {key} {_KEY}", start])
    begin = [start]
    if server.source:
        files.append(ConfigFile(_RECOVERY, backups.recovery(server.source), "postgres", public=True))
        recover = backups.recover(_UNIT, server.port, _PROGRAMS, _RECOVERY)
        begin = [*backups.begin(server.source, _DATA), f"mv {key} {_KEY}", recover]
    # In memory, and gone once it has run.
    made = ConfigFile("/run/lab/roles.sql", passwords(server) if server.source else roles(server), "root")
    run = f"{' '.join(psql(server.port))} < {made.path}"
    return render([*files, made], [trust, *begin, run, f"rm {made.path}"])


def _copy(upstream: Upstream) -> list[str]:
    """The data directory as the upstream has it by now, to be followed from there."""
    copy = f"runuser -u postgres -- {_PROGRAMS}/pg_basebackup --pgdata={_DATA} --checkpoint=fast"
    return [
        f"end=$(($(date +%s) + {_COPY_SECONDS}))",
        f"while rm -rf {_DATA} && ! {copy} --dbname='{_connection(upstream)}'; do"
        f" [ $(date +%s) -lt $end ] || exit 1; sleep 0.5; done",
        f"install -o postgres -g postgres -m 600 /dev/null {_DATA}/standby.signal",
    ]


def _connection(upstream: Upstream) -> str:
    trust = "sslmode=verify-full sslrootcert=/etc/ssl/certs/ca-certificates.crt"
    found = f"host={upstream.host} port={upstream.port} user={REPLICATOR} passfile={_PASSWORDS}"
    where = f" hostaddr={upstream.address}" if upstream.address else ""
    name = f" application_name={upstream.known_as}" if upstream.known_as else ""
    return f"{found}{where}{name} {trust} connect_timeout=5"


def psql(port: int) -> list[str]:
    """The command that runs the SQL on its standard input as the superuser, until a statement fails."""
    # Not by way of Debian's wrapper, which is slow to choose between versions.
    return [
        "runuser",
        "-u",
        "postgres",
        "--",
        f"{_PROGRAMS}/psql",
        f"--port={port}",
        "--set=ON_ERROR_STOP=1",
        "--quiet",
    ]


STATE: Final = """\
DO $$ BEGIN
    IF NOT pg_is_in_recovery() AND (SELECT last_archived_time < now() - interval '1 min' FROM pg_stat_archiver) THEN
        PERFORM pg_logical_emit_message(true, 'lab', '');
    END IF;
END $$;
SELECT json_build_object(
    'DatabaseConnections', (
        SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    ),
    'StorageUsed', (SELECT sum(pg_database_size(oid)) FROM pg_database) + (SELECT sum(size) FROM pg_ls_waldir()),
    'ReplicaLag', CASE
        WHEN NOT pg_is_in_recovery() THEN NULL
        WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN -1
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp())
    END
);
"""
"""SQL that tells how the server is: JSON, under the names of RDS's metrics. A replica alone has a lag, and one of -1
when it streams from nobody. Who has written nothing for a minute writes something, as RDS has its own do, so that the
time that a database can be restored to goes on.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PostgreSQL.Replication.ReadReplicas.Monitoring.html
"""

PROMOTE: Final = """\
ALTER SYSTEM RESET synchronous_standby_names;
SELECT pg_reload_conf();
DO $$ BEGIN
    IF pg_is_in_recovery() AND NOT pg_promote() THEN RAISE 'it does not end its recovery'; END IF;
END $$;
"""
"""SQL after which a copy takes writes, and waits with them for none of those that its source waited for."""

PULSE: Final = """\
SELECT json_build_object(
    'streaming', EXISTS (
        SELECT FROM pg_stat_replication WHERE application_name = 'rdsstandby' AND state = 'streaming'
    ),
    'waits', current_setting('synchronous_standby_names') <> ''
);
"""
"""SQL that tells of a primary's standby: JSON."""

FOLLOWING: Final = """\
SELECT json_build_object(
    'streaming', EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), 'waits', false
);
"""
"""SQL that tells the same of a read replica: whether it follows. Who has more than its source keeps a receiver, which
waits.
"""

WAIT_FOR_STANDBY: Final = """\
ALTER SYSTEM SET synchronous_standby_names = 'rdsstandby';
SELECT pg_reload_conf();
-- Until all of the server knows it: what is acknowledged from then on is on both, and the rest comes before that point.
SELECT pg_sleep(1);
DO $$
DECLARE
    reached CONSTANT pg_lsn := pg_current_wal_flush_lsn();
BEGIN
    FOR attempt IN 1..80 LOOP
        IF EXISTS (
            SELECT FROM pg_stat_replication
            WHERE application_name = 'rdsstandby' AND sync_state = 'sync' AND flush_lsn >= reached
        ) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'its standby does not follow';
END $$;
"""
"""SQL after which the standby has all that was acknowledged, and nothing is acknowledged that it hasn't."""

WAIT_FOR_NOBODY: Final = """\
ALTER SYSTEM RESET synchronous_standby_names;
SELECT pg_reload_conf();
"""
"""SQL after which a primary acknowledges what it has alone. Who waits is acknowledged at once."""

POSITION: Final = "SELECT pg_current_wal_flush_lsn();"
"""A query for how far a primary's log goes."""


def configure(settings: Mapping[str, str], port: int, restart: str, reached: str = "") -> tuple[list[str], str]:
    """`postgresql_settings.apply` with this server's places."""
    return postgresql_settings.apply(
        settings,
        port=port,
        configured=_CONFIGURATION,
        unit=_UNIT,
        psql=f"{_PROGRAMS}/psql",
        restart=restart,
        reached=reached,
    )


def questions(port: int) -> list[str]:
    """The same command as `psql`, which prints what a query answers and nothing else."""
    return [*psql(port), "--no-psqlrc", "--tuples-only", "--no-align"]


def set_password(username: str, password: str) -> str:
    """SQL that changes a user's password. Its sessions go on."""
    return f"ALTER ROLE {_identifier(username)} PASSWORD {_literal(password)};\n"


def take_base(into: str, base: str, port: int, *, archived: bool) -> list[str]:
    """`backups.take` with this server's programs."""
    return backups.take(into, base, port, archived=archived, programs=_PROGRAMS)


def passwords(server: PostgresqlServer) -> str:
    """SQL that gives the users of another time the passwords that count now."""
    return set_password(server.username, server.password) + set_password(REPLICATOR, server.replication)


def roles(server: PostgresqlServer) -> str:
    """SQL that makes the master user and its database."""
    user = _identifier(server.username)
    statements = [
        "CREATE ROLE rds_superuser NOLOGIN",
        f"GRANT {_GRANTED} TO rds_superuser WITH ADMIN OPTION",
        f"CREATE ROLE {user} LOGIN CREATEDB CREATEROLE PASSWORD {_literal(server.password)}",
        f"GRANT rds_superuser TO {user}",
        f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD {_literal(server.replication)}",
    ]
    if server.database:
        statements.append(f"CREATE DATABASE {_identifier(server.database)} OWNER {user}")
    return "".join(f"{statement};\n" for statement in statements)


def _settings(server: PostgresqlServer) -> str:
    followed = [f"primary_conninfo = {_literal(_connection(server.upstream))}"] if server.upstream else []
    archived = [backups.settings(server.kept)] if server.kept else []
    return "\n".join([_basics(server), *archived, *followed, ""])


def _basics(server: PostgresqlServer) -> str:
    return f"""\
listen_addresses = '0.0.0.0'
port = {server.port}
ssl = on
ssl_cert_file = '{_CONFIGURATION}/server.pem'
ssl_key_file = '{_CONFIGURATION}/server.key'
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = 'scram-sha-256'
shared_preload_libraries = 'pg_stat_statements'
# For 15 replicas and a standby. They keep no slots: one that is away for longer than this is to be made anew.
max_wal_senders = 20
wal_keep_size = '512MB'
wal_receiver_timeout = '10s'
# A server that stops waits until each standby has all of its log, and so for one whose machine is gone.
wal_sender_timeout = '10s'
wal_retrieve_retry_interval = '1s'
# What is written lives as long as the machine; a crash of the server alone loses nothing.
fsync = off
logging_collector = on
log_directory = '/{LOG.rpartition("/")[0]}'
log_filename = '{LOG.rpartition("/")[2]}'
log_rotation_age = 0
log_rotation_size = 0
log_line_prefix = '{LOG_PREFIX}'
log_timezone = 'UTC'"""


def _access(server: PostgresqlServer) -> str:
    # Without an entry that matches, a connection without TLS is refused in the very words that RDS uses.
    kind = postgresql_settings.access(server.settings)
    replicas = f"hostssl replication {REPLICATOR} 0.0.0.0/0 scram-sha-256\n"
    local = "local all postgres peer\nlocal replication postgres peer\n"
    return f"{local}{replicas}{kind} all all 0.0.0.0/0 scram-sha-256\n"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
