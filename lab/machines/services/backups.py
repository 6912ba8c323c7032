"""How a PostgreSQL machine keeps what it holds outside of itself, and begins with what another one kept.

Base backups and the write-ahead log (WAL) are in directories of the host that the machine sees as its own: one for each
database, as a bucket of S3 stands behind RDS. WAL is there segment by segment, once one is full or after
ARCHIVE_SECONDS with a write in it; of a segment that is not full, only what is in it takes space.

Source: https://www.postgresql.org/docs/17/continuous-archiving.html
"""

from dataclasses import dataclass
from typing import Final

from .cloud_config import ConfigFile

ARCHIVE_SECONDS: Final = 10
"""RDS's are 300 (archive_timeout)."""

_INTO: Final = "/usr/local/lib/lab"

# Both machines of a pair see the same directory. The standby's turn comes when it is promoted, and then it has what
# its primary could not hand over any more.
_ARCHIVE: Final = """\
set -eu
into=$1 segment=$2 name=$3
while [ -d "$into" ] && [ -e standby.signal ] && [ ! -e "$into/$name" ]; do sleep 0.2; done
# No backups are kept.
[ -d "$into" ] || exit 0
# Its primary's, or of an attempt that was cut short: another one of that name would be another database's.
[ ! -e "$into/$name" ] || exec cmp --silent "$segment" "$into/$name"
cp --preserve=timestamps --sparse=always "$segment" "$into/.$name"
mv "$into/.$name" "$into/$name"
"""

_TAKE: Final = """\
set -eu
into=$1 base=$2 port=$3 archived=$4 programs=$5
[ ! -d "$into/base/$base" ] || exec date +%s.%N
own() { install -d -o postgres -g postgres -m 700 "$1"; }
own "$into/base"
[ "$archived" = no ] || own "$into/wal"
rm -rf "$into/base/.$base"
runuser -u postgres -- "$programs/pg_basebackup" --port="$port" --pgdata="$into/base/.$base" \
    --checkpoint=fast --wal-method=stream --no-sync --no-manifest
mv "$into/base/.$base" "$into/base/$base"
date +%s.%N
"""

_RECOVER: Final = """\
set -eu
unit=$1 port=$2 programs=$3 settings=$4
begin() { systemctl start "$unit" || true; }
over() {
    answer=$(runuser -u postgres -- "$programs/psql" --port="$port" --no-psqlrc --tuples-only --no-align \
        --command='SELECT pg_is_in_recovery()' 2> /dev/null) && [ "$answer" = f ]
}
begin
until over; do
    case $(systemctl is-active "$unit") in
        failed | inactive)
            # It looks for the first commit after the time that it is to stop at. Where there is none, it has all.
            grep -q '^recovery_target_time =' "$settings" || exit 1
            sed -i '/^recovery_target_time =/d' "$settings"
            systemctl reset-failed "$unit"
            begin
            ;;
    esac
    sleep 0.1
done
"""


@dataclass(frozen=True)
class Source:
    """What a server begins with: a base backup that is kept at `folder`.

    `archived`: it goes on with the WAL that is kept there, up to the time `at` (as PostgreSQL reads it), or all of it.
    """

    folder: str
    base: str
    archived: bool
    at: str | None = None


def folder(resource: str) -> str:
    """Where a machine sees what is kept of a database, by its DbiResourceId."""
    return f"/var/lib/lab-backups/{resource}"


def settings(into: str) -> str:
    """PostgreSQL's, of a server whose WAL is kept at `into` as soon as anything is."""
    return f"""\
archive_mode = always
archive_command = 'sh {_INTO}/archive {into}/wal %p %f'
archive_timeout = '{ARCHIVE_SECONDS}s'"""


def files() -> list[ConfigFile]:
    """The programs that the settings and the commands run."""
    programs = {"archive": _ARCHIVE, "recover": _RECOVER}
    return [ConfigFile(f"{_INTO}/{name}", text, "root", public=True) for name, text in programs.items()]


def recovery(source: Source) -> str:
    """PostgreSQL's settings until it has what it is to begin with. After that they may stay: it heeds them no more."""
    at = f"recovery_target_time = '{source.at}'\n" if source.at else ""
    return f"""\
restore_command = 'cp {source.folder}/wal/%f %p 2> /dev/null'
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
# Else a server with fewer connections than the other one had would refuse to begin.
hot_standby = off
{at}"""


def begin(source: Source, data: str) -> list[str]:
    """Commands that put a base backup where a server that has never run finds it."""
    commands = [
        f"rm -rf {data}",
        f"cp --archive --sparse=always {source.folder}/base/{source.base} {data}",
        # Such as that each commit waits for a standby.
        f": > {data}/postgresql.auto.conf",
        f"rm -f {data}/standby.signal",
    ]
    signal = f"install -o postgres -g postgres -m 600 /dev/null {data}/recovery.signal"
    return [*commands, signal] if source.archived else commands


def recover(unit: str, port: int, programs: str, settings: str) -> str:
    """The command that starts a server that begins with a base backup, and waits until it takes writes."""
    return f"sh {_INTO}/recover {unit} {port} {programs} {settings}"


def take(into: str, base: str, port: int, *, archived: bool, programs: str) -> list[str]:
    """The command that takes a base backup, and prints when it was complete: what was committed then is in it."""
    return ["sh", "-c", _TAKE, "take", into, base, str(port), "yes" if archived else "no", programs]
