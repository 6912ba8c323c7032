"""RDS's maintenance window in the lab's API: what waits for it, what does not, and what a major upgrade leaves."""

from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.provider_client import Made, ProviderCallError, ProviderClient
from tests.plan.provider_world import World
from tests.plan.test_provider_data import make_database

PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"


@pytest.fixture
def rds(api: ApiServer) -> Any:
    return api.client("rds")


@pytest.fixture
def name(rds: Any, world: World) -> str:
    """A PostgreSQL 16.10 of RDS."""
    made = rds.create_db_instance(
        DBInstanceIdentifier=world.unique("window"),
        Engine="postgres",
        EngineVersion="16.10",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        BackupRetentionPeriod=7,
        MasterUsername="owner",
        ManageMasterUserPassword=True,
        DBSubnetGroupName=world.database_subnets(),
        DBParameterGroupName=world.database_parameters("postgres16"),
    )
    return made["DBInstance"]["DBInstanceIdentifier"]


def found(rds: Any, name: str) -> dict[str, Any]:
    """The instance as RDS describes it."""
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def open_window(api: ApiServer, name: str) -> list[str]:
    """The maintenance window comes; what was made."""
    return api.control(f"db-instances/{name}/maintenance-window", "POST")["made"]


def test_what_needs_downtime_waits_for_the_window(api: ApiServer, rds: Any, name: str) -> None:
    changes = {"DBInstanceClass": "db.m7g.large", "AllocatedStorage": 30, "MultiAZ": True, "StorageType": "gp3"}
    changes |= {"EngineVersion": "16.11", "BackupRetentionPeriod": 0}
    answer = rds.modify_db_instance(DBInstanceIdentifier=name, **changes)["DBInstance"]
    assert answer["PendingModifiedValues"] == changes, "the answer says what waits"
    present = found(rds, name)
    assert present["PendingModifiedValues"] == changes, "and so does a description"
    kept = {key: present[key] for key in changes}
    assert kept == {
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": 20,
        "MultiAZ": False,
        "StorageType": "gp2",
        "EngineVersion": "16.10",
        "BackupRetentionPeriod": 7,
    }
    assert next(each for each in api.control("db-instances") if each["id"] == name)["engine_version"] == "16.10"
    assert open_window(api, name) == sorted(changes)
    present = found(rds, name)
    assert {key: present[key] for key in changes} == changes
    assert not present.get("PendingModifiedValues")
    assert open_window(api, name) == [], "nothing waits any more"


def test_what_needs_no_downtime_is_made_at_once(rds: Any, name: str, world: World) -> None:
    group = world.security_group()
    rds.modify_db_instance(
        DBInstanceIdentifier=name,
        DeletionProtection=True,
        BackupRetentionPeriod=14,
        VpcSecurityGroupIds=[group],
        CopyTagsToSnapshot=True,
        DBInstanceClass="db.t4g.small",
    )
    present = found(rds, name)
    assert (present["DeletionProtection"], present["BackupRetentionPeriod"]) == (True, 14)
    assert [each["VpcSecurityGroupId"] for each in present["VpcSecurityGroups"]] == [group]
    assert present["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.small"}


def test_a_change_at_once_takes_along_what_waits(rds: Any, name: str) -> None:
    rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.m7g.large", AllocatedStorage=30)
    rds.modify_db_instance(DBInstanceIdentifier=name, AllocatedStorage=40, ApplyImmediately=True)
    present = found(rds, name)
    assert (present["DBInstanceClass"], present["AllocatedStorage"]) == ("db.m7g.large", 40)
    assert not present.get("PendingModifiedValues")


def test_a_change_that_is_taken_back_waits_no_more(api: ApiServer, rds: Any, name: str, world: World) -> None:
    rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.m7g.large")
    rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.t4g.micro")
    assert not found(rds, name).get("PendingModifiedValues")
    group = world.database_parameters("postgres17")
    upgrade = {"EngineVersion": "17", "AllowMajorVersionUpgrade": True, "DBParameterGroupName": group}
    rds.modify_db_instance(DBInstanceIdentifier=name, **upgrade)
    rds.modify_db_instance(DBInstanceIdentifier=name, EngineVersion="16.10")
    assert open_window(api, name) == []
    rds.delete_db_parameter_group(DBParameterGroupName=group)


def test_a_major_upgrade_keeps_both_parameter_groups_until_its_window(
    api: ApiServer, rds: Any, name: str, world: World
) -> None:
    old, new = found(rds, name)["DBParameterGroups"][0]["DBParameterGroupName"], world.database_parameters("postgres17")
    upgrade = {"EngineVersion": "17", "AllowMajorVersionUpgrade": True, "DBParameterGroupName": new}
    rds.modify_db_instance(DBInstanceIdentifier=name, **upgrade)
    present = found(rds, name)
    assert present["EngineVersion"] == "16.10"
    assert present["PendingModifiedValues"] == {"EngineVersion": "17.6"}, "which has no word for the group"
    assert [each["DBParameterGroupName"] for each in present["DBParameterGroups"]] == [old]
    for group in (old, new):
        with pytest.raises(
            ClientError, match=r"InvalidDBParameterGroupState.*are still members of this parameter group"
        ):
            rds.delete_db_parameter_group(DBParameterGroupName=group)
    with pytest.raises(ClientError, match="with DBParameterGroupFamily postgres17 can't be used for this instance"):
        rds.modify_db_instance(DBInstanceIdentifier=name, DBParameterGroupName=new)
    assert open_window(api, name) == ["EngineVersion"]
    present = found(rds, name)
    assert present["EngineVersion"] == "17.6"
    assert [each["DBParameterGroupName"] for each in present["DBParameterGroups"]] == [new]
    rds.delete_db_parameter_group(DBParameterGroupName=old)


def test_an_upgrade_that_waits_is_no_difference_to_a_program(
    api: ApiServer, provider: ProviderClient, world: World
) -> None:
    database = make_database(provider, world, applyImmediately=False)
    old = Made(provider, PARAMETERS, {"family": "postgres16"}, world.unique("old"))
    database.update(parameterGroupName=old.id)
    new = Made(provider, PARAMETERS, {"family": "postgres17"}, world.unique("new"))
    database.update(engineVersion="17", parameterGroupName=new.id, allowMajorVersionUpgrade=True)
    with pytest.raises(ProviderCallError, match="are still members of this parameter group"):
        old.delete()
    _, state, inputs = database.read()
    assert inputs["engineVersion"] == "17", "a version that waits counts as the present one"
    assert state["engineVersionActual"] == "16.10"
    assert open_window(api, database.inputs["identifier"]) == ["EngineVersion"]
    _, state, inputs = database.read()
    assert (inputs["engineVersion"], state["engineVersionActual"]) == ("17", "17.6")
    assert inputs["parameterGroupName"] == new.id
    old.delete()


def test_a_window_of_no_database_is_an_error(api: ApiServer) -> None:
    with pytest.raises(requests.HTTPError, match="404"):
        open_window(api, "nobody")
