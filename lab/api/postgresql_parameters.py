"""The parameters that RDS has for PostgreSQL: which there are, when they count, and which values they take. Pure.

PostgreSQL's own are as `pg_settings` of Debian's 17 has them: those with the context `postmaster` are static, all
others dynamic. Another family's parameter that 17 doesn't have is taken as it is, and no machine heeds it.

Sources: https://www.postgresql.org/docs/17/view-pg-settings.html,
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html; the words of
refusals are from reports of others in public issues.
"""

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.api.parameter_formulas import VARIABLES, FormulaError, is_formula, reckon

CATALOGUE: Final = Path(__file__).with_name("postgresql-17.csv")
FAMILY: Final = "postgres17"
"""The one that is catalogued."""

DEFAULTS: Final[Mapping[str, str]] = {
    "autovacuum_max_workers": "GREATEST({DBInstanceClassMemory/64371566592},3)",
    "autovacuum_vacuum_cost_limit": "GREATEST({log(DBInstanceClassMemory/21474836480)*600},200)",
    "effective_cache_size": "{DBInstanceClassMemory/16384}",
    "idle_in_transaction_session_timeout": "86400000",
    "maintenance_work_mem": "GREATEST({DBInstanceClassMemory*1024/63963136},65536)",
    "max_connections": "LEAST({DBInstanceClassMemory/9531392},5000)",
    "rds.force_ssl": "1",
    "shared_buffers": "{DBInstanceClassMemory/32768}",
    "shared_preload_libraries": "pg_stat_statements",
    "tcp_keepalives_count": "2",
    "tcp_keepalives_idle": "300",
    "tcp_keepalives_interval": "30",
}
"""What RDS has otherwise than PostgreSQL, as far as it matters here."""

LIBRARIES: Final = (
    *("auto_explain", "orafce", "pg_bigm", "pg_cron", "pg_hint_plan", "pg_prewarm", "pg_similarity"),
    *("pg_stat_statements", "pg_tle", "pg_transport", "pgaudit", "pglogical", "plprofiler", "plrust"),
)
"""Those that RDS loads. https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-extensions.html"""

_FIXED: Final = re.compile(
    r"allow_.*|archive_.*|bonjour.*|config_file|data_(directory.*|sync_retry)|dynamic_shared_memory_type|event_source"
    r"|external_pid_file|fsync|full_page_writes|hba_file|hot_standby|ident_file|ignore_.*|jit_provider|krb_.*"
    r"|listen_addresses|log_(directory|file_mode|timezone)|logging_collector|port|primary_.*|promote_trigger_file"
    r"|recovery_.*|restart_after_crash|restore_command|rds\.extensions|shared_memory_type|ssl|ssl_(ca|cert|crl|key).*"
    r"|ssl_passphrase.*|summarize_wal|synchronous_standby_names|syslog.*|trace_.*|unix_socket_.*|wal_(level|sync_method)"
    r"|zero_damaged_pages"
)
"""Those that RDS keeps to itself: files, addresses, replication, and what could lose data."""
_SWITCH: Final = {"0", "1", "on", "off", "true", "false"}
_INTEGER: Final = re.compile(r"-?\d{1,19}")
_REAL: Final = re.compile(r"-?\d{1,19}(\.\d{1,19})?")


class ParameterError(Exception):
    """RDS takes no such value, or has no such parameter; the message is RDS's."""


class StaticError(ParameterError):
    """A static parameter is to change at once."""


@dataclass(frozen=True)
class Parameter:
    """One that RDS has. `least` and `most` are in `unit`s, as all values are; empty where there is nothing to say."""

    name: str
    kind: str
    """bool, integer, real, enum, string or list."""
    static: bool = False
    modifiable: bool = True
    unit: str = ""
    least: str = ""
    most: str = ""
    values: tuple[str, ...] = ()
    postgresql: bool = True
    """Whether PostgreSQL itself has it."""

    @property
    def allowed(self) -> str:
        """AllowedValues."""
        if self.kind == "bool":
            return "0,1"
        return ",".join(self.values) or (f"{self.least}-{self.most}" if self.least else "")

    @property
    def data_type(self) -> str:
        """DataType."""
        return {"bool": "boolean", "real": "float", "enum": "string"}.get(self.kind, self.kind)

    def takes(self, value: str) -> bool:
        """Whether it may have this value, or what a formula comes to."""
        if self.kind in ("integer", "real"):
            if is_formula(value):
                return _reckonable(value)
            pattern = _INTEGER if self.kind == "integer" else _REAL
            return bool(pattern.fullmatch(value)) and float(self.least) <= float(value) <= float(self.most)
        if self.kind == "list":
            return all(each.strip() in self.values for each in value.split(",") if each.strip())
        if self.kind == "bool" or (self.kind == "enum" and "on" in self.values and value.lower() in _SWITCH):
            return value.lower() in _SWITCH
        return self.kind == "string" or value.lower() in self.values


_OWN: Final = (
    Parameter("rds.accepted_password_auth_method", "enum", values=("md5+scram", "scram"), postgresql=False),
    Parameter("rds.adaptive_autovacuum", "bool", postgresql=False),
    Parameter("rds.force_admin_logging_level", "string", postgresql=False),
    Parameter("rds.force_autovacuum_logging_level", "string", postgresql=False),
    Parameter("rds.force_ssl", "bool", postgresql=False),
    Parameter("rds.log_retention_period", "integer", least="1440", most="10080", postgresql=False),
    Parameter("rds.logical_replication", "bool", static=True, postgresql=False),
    Parameter("rds.rds_superuser_reserved_connections", "integer", True, least="0", most="262143", postgresql=False),
    Parameter("rds.restrict_password_commands", "bool", static=True, postgresql=False),
)


@functools.cache
def catalogue() -> Mapping[str, Parameter]:
    """Every parameter of the family, by name."""
    with CATALOGUE.open(newline="") as file:
        known = [_read(row) for row in csv.DictReader(file)]
    return {each.name: each for each in (*known, *_OWN)}


def find(name: str, family: str) -> Parameter | None:
    """One of a family's. ParameterError where it has none of that name; None of what only other versions have."""
    found = catalogue().get(name)
    # An extension's that Debian has no package of is RDS's to know.
    if found is None and family == FAMILY and "." not in name:
        raise ParameterError(f"Could not find parameter with name: {name}")
    return found


def check(name: str, value: str | None, method: str | None, family: str) -> None:
    """Refuse what RDS refuses of a change of a parameter group: ParameterError, or StaticError."""
    if (found := find(name, family)) is None:
        return
    if not found.modifiable:
        raise ParameterError(f"The parameter {name} cannot be modified.")
    if value is not None and not found.takes(value):
        raise ParameterError(f"Invalid parameter value: {value} for: {name} allowed values are: {found.allowed}")
    if found.static and method != "pending-reboot":
        raise StaticError("cannot use immediate apply method for static parameter")


def settings(given: Mapping[str, str], variables: Mapping[str, float]) -> dict[str, str]:
    """What a server has that is not PostgreSQL's own default: RDS's, and those `given`, with formulas reckoned."""
    known = catalogue()
    return {
        name: str(_within(known[name], reckon(value, variables))) if is_formula(value) else value
        for name, value in sorted({**DEFAULTS, **given}.items())
        if name in known
    }


def _within(parameter: Parameter, value: int) -> int:
    return max(int(parameter.least), min(value, int(parameter.most)))


def _reckonable(formula: str) -> bool:
    try:
        reckon(formula, dict.fromkeys(VARIABLES, 2.0**31))
    except FormulaError:
        return False
    return True


def _read(row: Mapping[str, str]) -> Parameter:
    name = row["name"]
    loaded = name == "shared_preload_libraries"
    return Parameter(
        name=name,
        kind="list" if loaded else row["type"],
        static=row["context"] == "postmaster",
        modifiable=row["context"] != "internal" and not _FIXED.fullmatch(name),
        unit=row["unit"],
        least=row["least"],
        most=row["most"],
        values=LIBRARIES if loaded else tuple(filter(None, row["values"].split(","))),
    )
