"""PostgreSQL's parameters: which the program sets, each with its reason, and which a user may."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .findings import Finding
from .rule import Rule, matching

PARAMETER = matching(
    r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?",
    "it must be a name of PostgreSQL's parameters",
    "Write it like work_mem; aws rds describe-engine-default-parameters lists them.",
)

PARAMETER_VALUE = matching(r"[^\0-\x1f]{1,1024}", "it must be one line of text", 'Write it in quotes, like "8192".')

_FEWEST_CONNECTIONS, _MOST_CONNECTIONS = 6, 262_143
"""RDS's least; with more than PostgreSQL's most the database would not start."""


def _is_connections(value: str) -> bool:
    if "{" in value:
        return "DBInstanceClassMemory" in value
    return bool(re.fullmatch(r"[0-9]{1,6}", value)) and _FEWEST_CONNECTIONS <= int(value) <= _MOST_CONNECTIONS


MAX_CONNECTIONS = Rule(
    str,
    _is_connections,
    f"it must be {_FEWEST_CONNECTIONS} to {_MOST_CONNECTIONS}, or RDS's formula with {{DBInstanceClassMemory/...}}",
    'Write it in quotes, like "200"; servers need what docs/connections.md adds up.',
)
"""What the pools are planned by, so that it must be one that the database takes."""

STATIC = frozenset(
    {
        "archive_mode",
        "autovacuum_freeze_max_age",
        "autovacuum_max_workers",
        "autovacuum_multixact_freeze_max_age",
        "cluster_name",
        "commit_timestamp_buffers",
        "debug_io_direct",
        "huge_page_size",
        "huge_pages",
        "max_connections",
        "max_files_per_process",
        "max_locks_per_transaction",
        "max_logical_replication_workers",
        "max_notify_queue_pages",
        "max_pred_locks_per_transaction",
        "max_prepared_transactions",
        "max_replication_slots",
        "max_wal_senders",
        "max_worker_processes",
        "min_dynamic_shared_memory",
        "multixact_member_buffers",
        "multixact_offset_buffers",
        "notify_buffers",
        "pg_stat_statements.max",
        "rds.logical_replication",
        "rds.rds_superuser_reserved_connections",
        "rds.restrict_password_commands",
        "reserved_connections",
        "serializable_buffers",
        "shared_buffers",
        "shared_preload_libraries",
        "subtransaction_buffers",
        "superuser_reserved_connections",
        "track_activity_query_size",
        "track_commit_timestamp",
        "transaction_buffers",
        "wal_buffers",
        "wal_decode_buffer_size",
        "wal_level",
        "wal_log_hints",
    }
)
"""Parameters that PostgreSQL reads when it starts (pg_settings has them as `postmaster`), so that they wait for a
reboot, which the program never makes. https://www.postgresql.org/docs/current/runtime-config.html"""


@dataclass(frozen=True)
class Parameter:
    """One that the database has otherwise than RDS's own group."""

    name: str
    value: str
    why: str = ""
    """The reason; empty for a user's own."""

    @property
    def waits(self) -> bool:
        """Whether it counts only from the next reboot on."""
        return self.name in STATIC


_OWN = {
    "rds.force_ssl": "Each connection has TLS, and the app verifies whom it talks to.",
    "log_min_duration_statement": "The log has each statement that takes longer than slowStatementMs.",
    "log_parameter_max_length": "The log has no values of statements: they are people's data.",
}
"""What nothing overrides -> why it is set."""
_SETTING = {"log_min_duration_statement": "slowStatementMs"}
"""Its own setting, where it has one."""


_NOTICED = {
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.DeadConnectionHandling.html"""
_DEAD = (
    "What a server without power had locked is free after 30 s. RDS notices after 6 minutes, and while an answer is on "
    "its way only when TCP gives up."
)


def postgres_parameters(slow_statement_ms: int, given: Mapping[str, str] | None = None) -> tuple[Parameter, ...]:
    """The parameters of a group. All that are set here count at once, without a reboot; `given` are a user's own.

    pg_stat_statements is not among them: RDS's default loads it already, and CREATE EXTENSION is all it takes.
    """
    own = {
        "rds.force_ssl": "1",
        "log_min_duration_statement": str(slow_statement_ms),
        "log_parameter_max_length": "0",
    }
    ours = [
        *(Parameter(name, value, _OWN[name]) for name, value in own.items()),
        Parameter("log_lock_waits", "1", "The log has who waits longer than a second for a lock, and for whom."),
        Parameter(
            "idle_in_transaction_session_timeout",
            "300000",
            "A transaction that its app has forgotten for 5 minutes ends: it holds locks, and keeps vacuum from "
            "cleaning up. RDS waits a day.",
        ),
        *(Parameter(name, value, _DEAD) for name, value in _NOTICED.items()),
    ]
    given = given or {}
    kept = [each for each in ours if each.name not in given]
    return (*kept, *(Parameter(name, value) for name, value in sorted(given.items())))


def check_parameters(path: str, given: Mapping[str, object]) -> list[Finding]:
    """Whether a user may set these."""
    findings: list[Finding] = []
    for name, value in given.items():
        where = f"{path}.{name}"
        if wrong := PARAMETER.check(where, name):
            findings += wrong
        elif name in _OWN:
            setting = _SETTING.get(name)
            remedy = f"Set {setting}." if setting else "Leave it out."
            findings.append(Finding(where, value, "it must not be set: the program sets it", remedy))
        else:
            rule = MAX_CONNECTIONS if name == "max_connections" else PARAMETER_VALUE
            findings += rule.check(where, value)
    return findings
