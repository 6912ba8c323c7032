"""RDS's parameters: formulas, values, and what PostgreSQL is told of them."""

import pytest

from components.planning.parameters import STATIC
from lab.api.parameter_formulas import FormulaError, is_formula, reckon
from lab.api.postgresql_parameters import DEFAULTS, ParameterError, catalogue, check, settings
from lab.machines.services import postgresql_settings
from lab.machines.services.postgresql_settings import configuration

GIB = 2**30
SMALL = {"DBInstanceClassMemory": 1.7 * GIB, "DBInstanceVCPU": 2.0}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("{DBInstanceClassMemory/32768}", 55705),
        ("LEAST({DBInstanceClassMemory/9531392},5000)", 191),
        ("GREATEST({DBInstanceClassMemory*1024/63963136},65536)", 65536),
        ("SUM(8000,{DBInstanceVCPU*2})", 8004),
        ("{log(DBInstanceClassMemory/21474836480)*600}", -2133),
    ],
)
def test_formulas_are_reckoned_as_rds_writes_them(formula: str, value: int) -> None:
    assert is_formula(formula)
    assert reckon(formula, SMALL) == value


@pytest.mark.parametrize(
    "formula", ["{DBInstanceMemory/4}", "{1/0}", "LEAST(", "{print(1)}", "{(1).real}", "MOST(1,2)"]
)
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(FormulaError):
        reckon(formula, SMALL)


def test_formulas_stay_within_what_postgresql_takes() -> None:
    assert settings({}, SMALL)["autovacuum_vacuum_cost_limit"] == "200"
    assert settings({"work_mem": "{DBInstanceVCPU*1}"}, SMALL)["work_mem"] == "64"


def test_each_parameter_that_waits_for_a_reboot_is_one_to_the_program_too() -> None:
    """RDS refuses a change at once of a static one, and with it the whole update."""
    static = {name for name, each in catalogue().items() if each.static and each.modifiable}
    assert static <= STATIC, sorted(static - STATIC)
    dynamic = {name for name, each in catalogue().items() if not each.static}
    assert not dynamic & STATIC, "it would wait for a reboot without need"


def test_rds_s_own_values_are_ones_that_it_takes() -> None:
    for name, value in DEFAULTS.items():
        check(name, value, "pending-reboot", "postgres17")


def test_a_parameter_of_another_version_is_taken_and_of_this_one_is_not() -> None:
    check("io_method", "worker", "pending-reboot", "postgres18")
    with pytest.raises(ParameterError, match="Could not find parameter with name: io_method"):
        check("io_method", "worker", "pending-reboot", "postgres17")
    check("cron.database_name", "app", "pending-reboot", "postgres17")
    assert "io_method" not in settings({"io_method": "worker"}, SMALL), "PostgreSQL 17 would not start"


def test_postgresql_is_told_what_it_knows() -> None:
    given = {
        "log_line_prefix": "it's %m",
        "max_wal_senders": "5",
        "rds.force_ssl": "0",
        "rds.logical_replication": "1",
        "shared_preload_libraries": "pg_stat_statements, pg_cron,auto_explain",
    }
    assert configuration(given).splitlines() == [
        "log_line_prefix = 'it''s %m'",
        "shared_preload_libraries = 'pg_stat_statements,auto_explain'",
        "wal_level = 'logical'",
    ], "standbys take more senders, and Debian's package has no pg_cron"
    assert postgresql_settings.access(given) == "host"
    assert postgresql_settings.access({}) == "hostssl"


def test_buffers_are_never_more_than_this_host_has_room_for() -> None:
    assert configuration({"shared_buffers": "471859"}, 8 * GIB) == "shared_buffers = '131072'\n", "an eighth of it"
    assert configuration({"shared_buffers": "22937"}, 8 * GIB) == "shared_buffers = '22937'\n"
