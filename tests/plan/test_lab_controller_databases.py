"""RDS's read replicas and given passwords: the API's answers, and the machines that the controller makes of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from lab.controller.plan import Promotion, Rotation
from lab.network.model import Direction, Group
from tests.plan.lab_databases import PASSWORD, Databases
from tests.plan.lab_databases import databases as databases  # a fixture
from tests.plan.lab_services import create_database


@pytest.fixture
def source(databases: Databases) -> Iterator[str]:
    name = databases.create()
    yield name
    databases.delete(name)


@pytest.fixture
def replica(databases: Databases, source: str) -> Iterator[str]:
    name = f"{source}-copy"
    databases.replicate(source, name)
    databases.there(name)
    yield name
    databases.delete(name)


def test_a_replica_is_an_instance_of_its_own_with_what_its_source_has(databases: Databases, source: str) -> None:
    made = databases.replicate(source, "copy", DBInstanceClass="db.t4g.small")
    of = databases.found(source)
    assert made["DBInstanceStatus"] == "creating"
    assert made["ReadReplicaSourceDBInstanceIdentifier"] == source
    assert of["ReadReplicaDBInstanceIdentifiers"] == ["copy"]
    for same in ("Engine", "EngineVersion", "MasterUsername", "DBName", "VpcSecurityGroups", "AllocatedStorage"):
        assert made[same] == of[same], same
    for own in ("DbiResourceId", "DBInstanceArn", "DBInstanceClass", "AvailabilityZone"):
        assert made[own] != of[own], own
    assert (made["BackupRetentionPeriod"], made["MultiAZ"], made["DeletionProtection"]) == (0, False, False)
    databases.there("copy")
    assert databases.found("copy")["StatusInfos"][0]["Status"] == "replicating"
    databases.delete("copy")
    assert databases.found(source)["ReadReplicaDBInstanceIdentifiers"] == []


def test_each_of_two_databases_that_have_one_name_after_the_other_has_machines_of_its_own(databases: Databases) -> None:
    name = databases.create(MultiAZ=True)
    databases.there(name)
    machines = {f"db-{name}", f"db2-{name}"}

    def of() -> set[str]:
        found = [each for each in databases.wanted().machines if each.id in machines]
        assert {each.id for each in found} == machines
        return {each.resource for each in found}

    first = databases.found(name)
    assert of() == {first["DbiResourceId"]}
    databases.delete(name)
    databases.rds.create_db_instance(
        **{key: first[key] for key in ("DBInstanceIdentifier", "DBInstanceClass", "Engine", "MasterUsername")},
        **{"AllocatedStorage": 20, "MasterUserPassword": PASSWORD, "MultiAZ": True},
        DBSubnetGroupName=first["DBSubnetGroup"]["DBSubnetGroupName"],
    )
    databases.there(name)
    assert of() == {databases.found(name)["DbiResourceId"]} != {first["DbiResourceId"]}
    databases.delete(name)


def test_a_replica_is_a_machine_that_follows_its_source_by_name(
    databases: Databases, source: str, replica: str, tmp_path: Path
) -> None:
    assert databases.leads_to(replica) == str(databases.machine(replica).address)
    assert databases.leads_to(source) == str(databases.machine(source).address)
    assert databases.service(replica).source == databases.service(source).primary == f"db-{source}"
    assert databases.service(source).source is None
    address, login = databases.found(source)["Endpoint"], databases.server.control(f"db-instances/{source}/login")
    told = databases.told(replica, tmp_path)
    assert f"host={address['Address']} port={address['Port']}" in told
    assert login["replication"] in told
    assert PASSWORD not in told, "it has its source's users by copy"
    original = databases.told(source, tmp_path)
    assert PASSWORD in original
    assert login["replication"] in original


def test_a_source_and_its_replicas_reach_each_other_beside_their_security_groups(
    databases: Databases, source: str, replica: str
) -> None:
    network = databases.wanted().network
    (own,) = {rule.group for rule in network.rules if rule.peer == Group(rule.group)}
    assert {rule.direction for rule in network.rules if rule.group == own} == set(Direction)
    assert own in databases.machine(source).groups
    assert own in databases.machine(replica).groups
    alone = databases.create()
    assert own not in databases.machine(alone).groups, "others are no part of it"
    databases.delete(alone)


def test_a_promoted_replica_is_alone_once_it_takes_writes(databases: Databases, source: str, replica: str) -> None:
    databases.rds.promote_read_replica(DBInstanceIdentifier=replica, BackupRetentionPeriod=3)
    assert databases.found(replica)["DBInstanceStatus"] == "modifying"
    assert databases.service(replica).change == Promotion(5432)
    assert databases.found(source)["ReadReplicaDBInstanceIdentifiers"] == [replica], "until then"
    databases.api.put(f"db-instances/{replica}/promoted")
    present = databases.found(replica)
    assert (present["DBInstanceStatus"], present["BackupRetentionPeriod"]) == ("available", 3)
    assert not present.get("ReadReplicaSourceDBInstanceIdentifier")
    assert databases.found(source)["ReadReplicaDBInstanceIdentifiers"] == []
    assert databases.service(replica).change is None
    assert databases.service(replica).source is None, "its disk is the only one that has what it has"
    with pytest.raises(ClientError, match="is not a read replica"):
        databases.rds.promote_read_replica(DBInstanceIdentifier=replica)
    with pytest.raises(requests.HTTPError, match="404"):
        databases.api.put(f"db-instances/{replica}/promoted")


def test_the_replica_of_a_source_that_is_deleted_is_promoted(databases: Databases) -> None:
    source = databases.create()
    databases.replicate(source, "orphan")
    databases.there("orphan")
    databases.delete(source)
    assert databases.service("orphan").change == Promotion(5432)
    databases.api.put("db-instances/orphan/promoted")
    assert databases.found("orphan")["DBInstanceStatus"] == "available"
    databases.delete("orphan")


def test_what_rds_cannot_replicate_is_refused(databases: Databases, source: str, replica: str) -> None:
    managed = create_database(databases.server, databases.fleet, BackupRetentionPeriod=7)["DBInstanceIdentifier"]
    with pytest.raises(ClientError, match="ManageMasterUserPassword is enabled is not supported"):
        databases.replicate(managed, "other")
    with pytest.raises(ClientError, match="DBInstanceAlreadyExists"):
        databases.replicate(source, replica)
    with pytest.raises(ClientError, match="Automated backups are not enabled"):
        databases.replicate(replica, "other")
    with pytest.raises(ClientError, match="DBInstanceNotFound"):
        databases.replicate("nobody", "other")
    with pytest.raises(ClientError, match="another region"):
        databases.replicate(f"arn:aws:rds:eu-west-1:123456789012:db:{source}", "other")
    with pytest.raises(ClientError, match="does not support creating"):
        databases.replicate(source, "other", DBInstanceClass="db.t1.nano")
    with pytest.raises(ClientError, match="no subnet in us-east-1f"):
        databases.replicate(source, "other", AvailabilityZone="us-east-1f")
    names = [f"{source}-{number}" for number in range(14)]
    for name in names:
        databases.replicate(source, name)
    with pytest.raises(ClientError, match="has 15 read replicas"):
        databases.replicate(source, "other")
    databases.delete(managed, *names)


def test_a_replica_is_refused_before_anything_is_made(databases: Databases, source: str) -> None:
    with pytest.raises(ClientError):
        databases.replicate(source, "other", AvailabilityZone="us-east-1f")
    assert databases.found(source)["ReadReplicaDBInstanceIdentifiers"] == []
    with pytest.raises(ClientError, match="DBInstanceNotFound"):
        databases.found("other")


def test_a_given_password_is_changed_where_the_database_runs(databases: Databases, source: str) -> None:
    databases.rds.modify_db_instance(
        DBInstanceIdentifier=source, MasterUserPassword="the-second-one", ApplyImmediately=True
    )
    assert databases.found(source)["DBInstanceStatus"] == "resetting-master-credentials"
    change = databases.service(source).change
    assert change == Rotation(None, "given-1", 5432)
    assert databases.server.control(f"db-instances/{source}/login")["password"] == "the-second-one"
    databases.api.put(f"db-instances/{source}/password/given-1")
    assert databases.found(source)["DBInstanceStatus"] == "available"
    assert databases.service(source).change is None


def test_a_replica_has_its_source_s_password_and_no_other(databases: Databases, replica: str) -> None:
    with pytest.raises(ClientError, match="cannot differ from its parent"):
        databases.rds.modify_db_instance(DBInstanceIdentifier=replica, MasterUserPassword="another-one")


def test_a_password_goes_over_to_rds_and_back(databases: Databases, source: str) -> None:
    def password() -> str:
        return databases.server.control(f"db-instances/{source}/login")["password"]

    def modify(**changes: Any) -> None:
        databases.rds.modify_db_instance(DBInstanceIdentifier=source, ApplyImmediately=True, **changes)

    modify(ManageMasterUserPassword=True)
    kept = password()
    assert kept != PASSWORD
    change = databases.service(source).change
    assert isinstance(change, Rotation), "PostgreSQL has to learn it"
    assert change.secret_arn is None, "no version of the secret is pending: the controller would ask for it for ever"
    databases.api.put(f"db-instances/{source}/password/{change.version}")
    with pytest.raises(ClientError, match="ManageMasterUserPassword"):
        modify(MasterUserPassword="another-one")
    modify(ManageMasterUserPassword=False)
    assert password() == kept, "as long as nobody gives another"
    assert databases.service(source).change is None
