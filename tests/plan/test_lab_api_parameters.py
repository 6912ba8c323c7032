"""Parameter groups of databases: what RDS refuses, what counts at once, and what waits for a reboot.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.controller.plan import Configuration, Restart
from lab.controller.standby import Takeover
from tests.plan.lab_api_server import ApiServer, running_api
from tests.plan.lab_databases import Databases


@pytest.fixture(scope="module")
def own_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API with nothing else in it: two networks of one range are more than one lab can be."""
    with running_api(tmp_path_factory.mktemp("parameters")) as server:
        yield server


@pytest.fixture(scope="module")
def databases(own_api: ApiServer) -> Databases:
    return Databases(own_api)


@pytest.fixture
def name(databases: Databases) -> Iterator[str]:
    """A database, and its parameter group."""
    made = databases.create()
    yield made
    databases.delete(made)


def change(databases: Databases, group: str, method: str = "immediate", **values: str) -> None:
    asked: list[Any] = [
        {"ParameterName": each.replace("__", "."), "ParameterValue": value, "ApplyMethod": method}
        for each, value in values.items()
    ]
    databases.rds.modify_db_parameter_group(DBParameterGroupName=group, Parameters=asked)


def status(databases: Databases, name: str) -> str:
    (group,) = databases.found(name)["DBParameterGroups"]
    return group["ParameterApplyStatus"]


def settings(databases: Databases, name: str) -> dict[str, str]:
    """What the controller is to have the servers have."""
    found = databases.service(name).change
    assert isinstance(found, Configuration | Restart | Takeover), found
    return dict(found.settings.values)


def told(databases: Databases, name: str) -> None:
    """The controller has done it."""
    found = databases.service(name).change
    if isinstance(found, Restart):
        databases.api.put(f"db-instances/{name}/rebooted")
        found = databases.service(name).change
    if isinstance(found, Configuration | Takeover):
        databases.api.put(f"db-instances/{name}/settings/{found.settings.version}")
    if isinstance(found, Takeover):
        databases.api.put(f"db-instances/{name}/primary/{found.node}")


def test_a_dynamic_parameter_is_told_to_a_server_that_runs_and_applying_until_it_has_it(
    databases: Databases, name: str
) -> None:
    assert status(databases, name) == "in-sync"
    change(databases, name, work_mem="8192", rds__force_ssl="0")
    assert status(databases, name) == "applying"
    found = databases.service(name).change
    assert isinstance(found, Configuration), "no restart"
    assert (found.port, found.standby) == (5432, None)
    has = settings(databases, name)
    assert (has["work_mem"], has["rds.force_ssl"]) == ("8192", "0")
    told(databases, name)
    assert status(databases, name) == "in-sync"
    assert databases.service(name).change is None
    databases.rds.reset_db_parameter_group(
        DBParameterGroupName=name, Parameters=[{"ParameterName": "work_mem", "ApplyMethod": "immediate"}]
    )
    assert status(databases, name) == "applying"
    assert "work_mem" not in settings(databases, name), "PostgreSQL's own"


def test_what_was_told_is_another_s_when_the_group_has_changed_meanwhile(databases: Databases, name: str) -> None:
    change(databases, name, work_mem="8192")
    former = databases.service(name).change
    assert isinstance(former, Configuration)
    change(databases, name, work_mem="16384")
    with pytest.raises(Exception, match="404"):
        databases.api.put(f"db-instances/{name}/settings/{former.settings.version}")
    assert status(databases, name) == "applying"


def test_a_static_parameter_waits_for_a_reboot_and_so_does_what_is_asked_to(databases: Databases, name: str) -> None:
    change(databases, name, "pending-reboot", max_connections="50", work_mem="8192")
    assert status(databases, name) == "pending-reboot"
    assert databases.service(name).change is None, "nobody restarts anything by itself"
    change(databases, name, statement_timeout="30000")
    has = settings(databases, name)
    assert has["statement_timeout"] == "30000"
    assert (has["max_connections"], "work_mem" in has) == ("78", False), "a database that is told one has no other"
    told(databases, name)
    assert status(databases, name) == "pending-reboot"
    databases.rds.reboot_db_instance(DBInstanceIdentifier=name)
    assert isinstance(databases.service(name).change, Restart)
    has = settings(databases, name)
    assert (has["max_connections"], has["work_mem"]) == ("50", "8192")
    told(databases, name)
    assert (status(databases, name), databases.found(name)["DBInstanceStatus"]) == ("in-sync", "available")


def test_a_failover_brings_what_waits_for_a_reboot_and_a_standby_is_told_what_its_primary_is(
    databases: Databases,
) -> None:
    name = databases.create(MultiAZ=True)
    change(databases, name, work_mem="8192")
    found = databases.service(name).change
    assert isinstance(found, Configuration)
    assert found.standby is None, "one that has not all yet is told before it is waited for"
    standby = databases.service(name).standby
    assert standby
    assert dict(standby.settings.values)["work_mem"] == "8192"
    databases.api.put(f"db-instances/{name}/standby/synchronous")
    found = databases.service(name).change
    assert isinstance(found, Configuration)
    assert found.standby == f"db2-{name}"
    told(databases, name)
    change(databases, name, "pending-reboot", max_connections="50")
    databases.rds.reboot_db_instance(DBInstanceIdentifier=name, ForceFailover=True)
    assert isinstance(databases.service(name).change, Takeover)
    assert settings(databases, name)["max_connections"] == "50"
    told(databases, name)
    assert (status(databases, name), databases.service(name).change) == ("in-sync", None)
    databases.delete(name)


def test_an_instance_that_does_not_start_with_its_parameters_waits_for_others_and_another_reboot(
    databases: Databases, name: str
) -> None:
    change(databases, name, "pending-reboot", max_locks_per_transaction="2000000000")
    databases.rds.reboot_db_instance(DBInstanceIdentifier=name)
    databases.api.put(f"db-instances/{name}/incompatible")
    assert databases.found(name)["DBInstanceStatus"] == "incompatible-parameters"
    assert not isinstance(databases.service(name).change, Restart), "it would not start the next time either"
    change(databases, name, "pending-reboot", max_locks_per_transaction="128")
    databases.rds.reboot_db_instance(DBInstanceIdentifier=name)
    assert settings(databases, name)["max_locks_per_transaction"] == "128"
    told(databases, name)
    assert (status(databases, name), databases.found(name)["DBInstanceStatus"]) == ("in-sync", "available")


def test_another_group_counts_from_the_next_reboot_on_but_what_is_changed_in_it_counts_at_once(
    databases: Databases, name: str
) -> None:
    other = f"{name}-other"
    databases.rds.create_db_parameter_group(
        DBParameterGroupName=other, DBParameterGroupFamily="postgres17", Description="d"
    )
    change(databases, other, work_mem="8192")
    databases.rds.modify_db_instance(DBInstanceIdentifier=name, DBParameterGroupName=other, ApplyImmediately=True)
    assert status(databases, name) == "pending-reboot"
    change(databases, other, statement_timeout="30000")
    assert "work_mem" not in settings(databases, name)
    told(databases, name)
    databases.rds.reboot_db_instance(DBInstanceIdentifier=name)
    assert settings(databases, name)["work_mem"] == "8192"
    told(databases, name)
    assert status(databases, name) == "in-sync"


def test_a_bigger_class_has_what_its_memory_allows(databases: Databases, name: str, tmp_path: Path) -> None:
    small = databases.told(name, tmp_path)
    assert "max_connections = '78'" in small
    assert "shared_buffers = '22937'" in small, "a quarter of what a micro has for PostgreSQL, in pages"
    databases.rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.t4g.small", ApplyImmediately=True)
    assert isinstance(databases.service(name).change, Restart)
    assert settings(databases, name)["max_connections"] == "191"
    told(databases, name)
    assert status(databases, name) == "in-sync"
    assert "max_connections = '191'" in databases.told(name, tmp_path), "a machine that is made anew has it too"


def test_a_replica_has_a_status_of_its_own(databases: Databases, name: str) -> None:
    databases.replicate(name, f"{name}-copy")
    databases.there(f"{name}-copy")
    change(databases, name, "pending-reboot", max_connections="50")
    databases.rds.reboot_db_instance(DBInstanceIdentifier=name)
    told(databases, name)
    assert (status(databases, name), status(databases, f"{name}-copy")) == ("in-sync", "pending-reboot")
    databases.delete(f"{name}-copy")


@pytest.mark.parametrize(
    ("parameter", "value", "code", "words"),
    [
        ("max_connections", "50", "InvalidParameterCombination", "cannot use immediate apply method for static"),
        ("rds.logical_replication", "1", "InvalidParameterCombination", "cannot use immediate apply method"),
        ("work_memory", "8192", "InvalidParameterValue", "Could not find parameter with name: work_memory"),
        ("work_mem", "8MB", "InvalidParameterValue", "Invalid parameter value: 8MB for: work_mem allowed values are"),
        ("work_mem", "63", "InvalidParameterValue", "64-2147483647"),
        ("work_mem", "{DBInstanceMemory/4}", "InvalidParameterValue", "Invalid parameter value"),
        ("log_statement", "some", "InvalidParameterValue", "none,ddl,mod,all"),
        ("log_lock_waits", "2", "InvalidParameterValue", "0,1"),
        ("fsync", "0", "InvalidParameterValue", "The parameter fsync cannot be modified"),
    ],
)
def test_what_rds_refuses_changes_nothing(
    databases: Databases, name: str, parameter: str, value: str, code: str, words: str
) -> None:
    asked: list[Any] = [
        {"ParameterName": "statement_timeout", "ParameterValue": "1", "ApplyMethod": "immediate"},
        {"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": "immediate"},
    ]
    with pytest.raises(ClientError, match=words) as refused:
        databases.rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=asked)
    assert refused.value.response["Error"]["Code"] == code
    found = databases.rds.describe_db_parameters(DBParameterGroupName=name, Source="user")["Parameters"]
    assert [each["ParameterName"] for each in found] == ["rds.force_ssl"]
    assert status(databases, name) == "in-sync"


def test_values_may_be_formulas_and_lists(databases: Databases, name: str) -> None:
    change(
        databases,
        name,
        work_mem="GREATEST({DBInstanceClassMemory/1000000},64)",
        statement_timeout="{DBInstanceVCPU*1000}",
    )
    has = settings(databases, name)
    assert (has["work_mem"], has["statement_timeout"]) == ("751", "2000")
    change(databases, name, "pending-reboot", shared_preload_libraries="pg_stat_statements,auto_explain")
    with pytest.raises(ClientError, match="shared_preload_libraries allowed values are"):
        change(databases, name, "pending-reboot", shared_preload_libraries="pg_stat_statements,mine")


def test_a_default_group_stays_as_it_is(databases: Databases) -> None:
    with pytest.raises(ClientError, match="Cannot modify a default parameter group"):
        change(databases, "default.postgres17", work_mem="8192")


def test_each_parameter_is_described_with_what_it_may_be(databases: Databases, name: str) -> None:
    change(databases, name, work_mem="8192")
    pages = databases.rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName=name)
    found = {each["ParameterName"]: each for page in pages for each in page["Parameters"]}
    assert found["max_connections"] == {
        "ParameterName": "max_connections",
        "ParameterValue": "LEAST({DBInstanceClassMemory/9531392},5000)",
        "Source": "system",
        "ApplyType": "static",
        "DataType": "integer",
        "AllowedValues": "1-262143",
        "IsModifiable": True,
        "ApplyMethod": "pending-reboot",
    }
    assert (found["work_mem"]["Source"], found["work_mem"]["ApplyType"]) == ("user", "dynamic")
    assert (found["fsync"]["IsModifiable"], found["fsync"]["Source"]) == (False, "engine-default")
    assert found["log_statement"]["AllowedValues"] == "none,ddl,mod,all"
    mine = databases.rds.describe_db_parameters(DBParameterGroupName=name, Source="user")["Parameters"]
    assert sorted(each["ParameterName"] for each in mine) == ["rds.force_ssl", "work_mem"]


def test_all_of_a_group_is_reset_each_as_soon_as_it_can(databases: Databases, name: str) -> None:
    change(databases, name, "pending-reboot", max_connections="50")
    change(databases, name, work_mem="8192")
    databases.rds.reboot_db_instance(DBInstanceIdentifier=name)
    told(databases, name)
    databases.rds.reset_db_parameter_group(DBParameterGroupName=name, ResetAllParameters=True)
    has = settings(databases, name)
    assert ("work_mem" in has, has["max_connections"]) == (False, "50")
    told(databases, name)
    assert status(databases, name) == "pending-reboot"
