"""What RDS's parameters are to the lab's PostgreSQL, and how a server that runs is told.

Of RDS's own parameters there are `rds.force_ssl`, which is an entry of pg_hba.conf, and `rds.logical_replication`,
which is a `wal_level`. Those that the lab's own work depends on stay as it has them, and of libraries it loads what
Debian's package has.
"""

import os
from collections.abc import Mapping
from typing import Final

FORCE_SSL: Final = "rds.force_ssl"
OWN: Final = frozenset(
    {
        "log_destination",
        "log_filename",
        "log_rotation_age",
        "log_rotation_size",
        "max_wal_senders",
        "wal_keep_size",
        "wal_receiver_timeout",
        "wal_retrieve_retry_interval",
        "wal_sender_timeout",
    }
)
"""Parameters that are taken, and that no server heeds: replicas, standbys and logs go by the lab's values."""
LIBRARIES: Final = frozenset({"auto_explain", "pg_prewarm", "pg_stat_statements"})
"""Those that Debian's package has, of RDS's."""
_PAGE: Final = 8192
_BUFFERS_SHARE: Final = 8
"""Of this host's memory, shared_buffers are this part at most: PostgreSQL would not start with more than there is."""

NEVER, PENDING, ALWAYS = "never", "pending", "always"
"""When a server that is told starts anew: not for what is dynamic; where it says that it has to; anyway."""

# What a standby has yet to replay may ask for more than its new settings have; once it has paused, its old ones don't
# do.
_APPLY: Final = """\
set -eu
port=$1 configuration=$2 unit=$3 psql=$4 kind=$5 restart=$6 reached=$7
ask() { runuser -u postgres -- "$psql" --port="$port" --no-psqlrc --tuples-only --no-align --command="$1"; }
has="$configuration/conf.d/parameters"
cat > "$has.new"
if ! cmp --silent "$has.new" "$has.conf" || [ "$restart" != pending ]; then
    chown postgres:postgres "$has.new"
    mv "$has.new" "$has.conf"
    sed -i -E "s/^host(ssl)? all all /$kind all all /" "$configuration/pg_hba.conf"
    [ "$restart" = always ] || ask 'SELECT pg_reload_conf()' > /dev/null
    [ "$restart" != never ] || exit 0
    sleep 0.3
fi
if [ "$restart" = pending ]; then
    [ "$(ask 'SELECT count(*) FROM pg_settings WHERE pending_restart')" != 0 ] || exit 0
    if [ -n "$reached" ]; then
        over="SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= '$reached'"
        for _ in $(seq 50); do
            [ "$(ask "$over OR pg_get_wal_replay_pause_state() = 'paused'")" != t ] || break
            sleep 0.2
        done
    fi
fi
systemctl restart "$unit"
"""


def configuration(settings: Mapping[str, str], memory: int | None = None) -> str:
    """Lines of postgresql.conf. `memory` is this host's, in bytes; without it, as it is."""
    most = (memory or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) // _BUFFERS_SHARE // _PAGE
    lines: dict[str, str] = {}
    for name, value in settings.items():
        if name == "rds.logical_replication":
            lines["wal_level"] = "logical" if on(value) else "replica"
        elif name == "shared_preload_libraries":
            lines[name] = ",".join(each for each in map(str.strip, value.split(",")) if each in LIBRARIES)
        elif name == "shared_buffers":
            lines[name] = str(min(int(value), most))
        elif name not in OWN and not name.startswith("rds."):
            lines[name] = value
    return "".join(f"{name} = {_literal(value)}\n" for name, value in sorted(lines.items()))


def access(settings: Mapping[str, str]) -> str:
    """What begins the entry of pg_hba.conf by which clients come in."""
    return "hostssl" if on(settings.get(FORCE_SSL, "1")) else "host"


def on(value: str) -> bool:
    """Whether a switch is on, as PostgreSQL reads it."""
    return value.lower() in ("1", "on", "true", "yes")


def apply(
    settings: Mapping[str, str],
    *,
    port: int,
    configured: str,
    unit: str,
    psql: str,
    restart: str,
    reached: str = "",
) -> tuple[list[str], str]:
    """The command that makes a server have `settings`, and its standard input. Fails unless it does.

    `reached` is a position of the log that a standby has to have replayed before it starts anew.
    """
    arguments = [str(port), configured, unit, psql, access(settings), restart, reached]
    return ["sh", "-c", _APPLY, "apply", *arguments], configuration(settings)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
