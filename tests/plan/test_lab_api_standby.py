"""RDS's Multi-AZ and its reboots, as the API has them and the controller sees them.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZSingleStandby.html
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from lab.controller.plan import Restart, Service
from lab.controller.standby import Takeover
from lab.network.model import Direction, Group
from tests.plan.lab_databases import PASSWORD, Databases
from tests.plan.lab_databases import databases as databases  # a fixture


@pytest.fixture
def pair(databases: Databases) -> Iterator[str]:
    """A database whose standby has all that was acknowledged."""
    name = databases.create(MultiAZ=True)
    databases.api.put(f"db-instances/{name}/standby/synchronous")
    yield name
    databases.delete(name)


def modify(databases: Databases, name: str, **changes: Any) -> None:
    databases.rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **changes)


def takeover(databases: Databases, name: str) -> tuple[str, str, str, int] | None:
    change = databases.service(name).change
    return (change.node, change.machine, change.former, change.port) if isinstance(change, Takeover) else None


def second(service: Service) -> tuple[str, str, bool] | None:
    found = service.standby
    return (found.machine, found.node, found.synchronous) if found else None


def told(databases: Databases, name: str) -> None:
    """The controller has told its servers what they are to have."""
    change = databases.service(name).change
    assert isinstance(change, Restart | Takeover)
    databases.api.put(f"db-instances/{name}/settings/{change.settings.version}")


def test_a_standby_is_in_another_zone_and_no_instance_of_its_own(databases: Databases, pair: str) -> None:
    found = databases.found(pair)
    assert found["MultiAZ"]
    assert found["SecondaryAvailabilityZone"] not in ("", None, found["AvailabilityZone"])
    assert [each["DBInstanceIdentifier"] for each in databases.rds.describe_db_instances()["DBInstances"]] == [pair]
    alone = databases.create()
    assert not databases.found(alone).get("SecondaryAvailabilityZone")
    databases.delete(alone)


def test_a_standby_is_a_machine_that_streams_from_the_primary_s_own_and_their_name_leads_to_that(
    databases: Databases, pair: str, tmp_path: Path
) -> None:
    primary, standby = databases.machine(pair), databases.machine(pair, "2")
    assert databases.service(pair).machines == (primary.id, standby.id)
    assert databases.leads_to(pair) == str(primary.address) != str(standby.address)
    told = databases.told(pair, tmp_path, "2")
    endpoint = databases.found(pair)["Endpoint"]
    assert f"host={endpoint['Address']} port={endpoint['Port']} " in told, "its certificate has that name"
    assert f"hostaddr={primary.address}" in told
    assert PASSWORD not in told, "it has the primary's users by copy"
    assert "hostaddr" not in databases.told(pair, tmp_path)
    rules = databases.wanted().network.rules
    (own,) = {rule.group for rule in rules if rule.peer == Group(rule.group)} & primary.groups & standby.groups
    assert {rule.direction for rule in rules if rule.group == own} == set(Direction), "beside the groups that users see"


def test_a_failover_swaps_the_zones_and_the_name_leads_to_what_was_the_standby(
    databases: Databases, pair: str, tmp_path: Path
) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZ.Failover.html"""
    before, address = databases.found(pair), databases.machine(pair, "2").address
    databases.api.put(f"db-instances/{pair}/failover/2")
    assert databases.found(pair)["DBInstanceStatus"] == "rebooting"
    assert takeover(databases, pair) == ("2", f"db2-{pair}", f"db-{pair}", 5432)
    assert databases.leads_to(pair) != str(address), "until it takes writes"
    databases.api.put(f"db-instances/{pair}/primary/2")
    after = databases.found(pair)
    assert after["DBInstanceStatus"] == "available"
    zones = ("AvailabilityZone", "SecondaryAvailabilityZone")
    assert [after[zone] for zone in zones] == [before[zone] for zone in reversed(zones)]
    assert after["Endpoint"] == before["Endpoint"]
    assert databases.leads_to(pair) == str(address)
    service = databases.service(pair)
    assert (service.primary, service.change) == (f"db2-{pair}", None)
    assert second(service) == (f"db-{pair}", "1", False), "the old primary has to be copied anew"
    assert f"hostaddr={address}" in databases.told(pair, tmp_path), "from the new one"


def test_only_a_standby_that_has_all_that_was_acknowledged_takes_over(databases: Databases, pair: str) -> None:
    databases.api.put(f"db-instances/{pair}/standby/behind")
    for node in ("2", "1"):
        with pytest.raises(requests.HTTPError, match="404"):
            databases.api.put(f"db-instances/{pair}/failover/{node}")
    with pytest.raises(ClientError, match="InvalidDBInstanceState"):
        databases.rds.reboot_db_instance(DBInstanceIdentifier=pair, ForceFailover=True)
    databases.api.put(f"db-instances/{pair}/standby/synchronous")
    with pytest.raises(requests.HTTPError, match="404"):
        databases.api.put(f"db-instances/{pair}/failover/1")
    databases.api.put(f"db-instances/{pair}/failover/2")
    with pytest.raises(requests.HTTPError, match="404"):
        databases.api.put(f"db-instances/{pair}/standby/behind")
    with pytest.raises(requests.HTTPError, match="404"):
        databases.api.put(f"db-instances/{pair}/primary/1")


def test_a_reboot_starts_the_server_anew_or_fails_over(databases: Databases, pair: str) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RebootDBInstance.html"""
    told = databases.rds.reboot_db_instance(DBInstanceIdentifier=pair)["DBInstance"]
    assert told["DBInstanceStatus"] == "rebooting"
    assert isinstance(databases.service(pair).change, Restart)
    with pytest.raises(ClientError, match="InvalidDBInstanceState"):
        databases.rds.reboot_db_instance(DBInstanceIdentifier=pair)
    databases.api.put(f"db-instances/{pair}/rebooted")
    assert databases.found(pair)["DBInstanceStatus"] == "available"
    with pytest.raises(requests.HTTPError, match="404"):
        databases.api.put(f"db-instances/{pair}/rebooted")

    databases.rds.reboot_db_instance(DBInstanceIdentifier=pair, ForceFailover=True)
    assert isinstance(databases.service(pair).change, Takeover)
    databases.api.put(f"db-instances/{pair}/primary/2")
    assert databases.found(pair)["DBInstanceStatus"] == "available"


def test_another_class_is_an_outage_of_a_failover_and_without_a_standby_of_a_restart(
    databases: Databases, pair: str
) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZSingleStandby.html"""
    modify(databases, pair, DBInstanceClass="db.m7g.xlarge")
    assert databases.found(pair)["DBInstanceStatus"] == "modifying"
    assert takeover(databases, pair) == ("2", f"db2-{pair}", f"db-{pair}", 5432)
    told(databases, pair)
    databases.api.put(f"db-instances/{pair}/primary/2")
    found = databases.found(pair)
    assert (found["DBInstanceStatus"], found["DBInstanceClass"]) == ("available", "db.m7g.xlarge")
    assert databases.service(pair).change is None
    alone = databases.create()
    modify(databases, alone, DBInstanceClass="db.t4g.small")
    assert databases.found(alone)["DBInstanceStatus"] == "modifying"
    assert isinstance(databases.service(alone).change, Restart)
    told(databases, alone)
    databases.api.put(f"db-instances/{alone}/rebooted")
    modify(databases, alone, DBInstanceClass="db.t4g.small")
    assert (databases.found(alone)["DBInstanceStatus"], databases.service(alone).change) == ("available", None)
    databases.delete(alone)


def test_an_upgrade_takes_a_database_away_with_its_standby_and_storage_does_not(
    databases: Databases, pair: str
) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.html"""
    modify(databases, pair, AllocatedStorage=40)
    assert (databases.found(pair)["DBInstanceStatus"], databases.service(pair).change) == ("available", None)
    major = int(databases.found(pair)["EngineVersion"].partition(".")[0]) + 1
    group, family = f"anew-{major}", f"postgres{major}"
    databases.rds.create_db_parameter_group(
        DBParameterGroupName=group, DBParameterGroupFamily=family, Description=group
    )
    modify(databases, pair, EngineVersion=str(major), AllowMajorVersionUpgrade=True, DBParameterGroupName=group)
    assert databases.found(pair)["DBInstanceStatus"] == "upgrading"
    assert isinstance(databases.service(pair).change, Restart)
    databases.api.put(f"db-instances/{pair}/rebooted")
    assert databases.found(pair)["DBInstanceStatus"] == "available"


def test_a_failover_is_refused_where_there_is_no_standby(databases: Databases) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RebootDBInstance.html: ForceFailover"""
    name = databases.create()
    with pytest.raises(ClientError, match=r"InvalidParameterCombination.*not configured for either MultiAZ"):
        databases.rds.reboot_db_instance(DBInstanceIdentifier=name, ForceFailover=True)
    assert databases.found(name)["DBInstanceStatus"] == "available"
    databases.delete(name)


def test_a_standby_comes_and_goes_while_the_database_runs(databases: Databases) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html: MultiAZ"""
    name = databases.create()
    interfaces = _interfaces(databases)
    modify(databases, name, MultiAZ=True)
    assert databases.found(name)["DBInstanceStatus"] == "modifying"
    assert second(databases.service(name)) == (f"db2-{name}", "2", False)
    databases.there(name)
    modify(databases, name, MultiAZ=False)
    standby = databases.service(name).standby
    assert standby is not None
    assert standby.leaving, "the primary has to do without it first"
    databases.api.put(f"db-instances/{name}/standby/gone")
    found = databases.found(name)
    assert (found["DBInstanceStatus"], found["MultiAZ"]) == ("available", False)
    assert databases.service(name).machines == (f"db-{name}",)
    assert _interfaces(databases) == interfaces, "its address is free"
    with pytest.raises(requests.HTTPError, match="404"):
        databases.api.put(f"db-instances/{name}/standby/gone")
    databases.delete(name)


def test_a_standby_that_comes_after_a_failover_is_the_other_machine(databases: Databases, pair: str) -> None:
    databases.api.put(f"db-instances/{pair}/failover/2")
    databases.api.put(f"db-instances/{pair}/primary/2")
    modify(databases, pair, MultiAZ=False)
    databases.api.put(f"db-instances/{pair}/standby/gone")
    assert databases.service(pair).machines == (f"db2-{pair}",), "whose disk has the data"
    modify(databases, pair, MultiAZ=True)
    assert databases.service(pair).machines == (f"db2-{pair}", f"db-{pair}")


def test_what_is_deleted_leaves_no_address_and_no_machine(databases: Databases) -> None:
    before = _interfaces(databases)
    name = databases.create(MultiAZ=True)
    assert len(_interfaces(databases)) == len(before) + 2
    databases.delete(name)
    assert _interfaces(databases) == before
    assert not databases.wanted().machines


def test_another_security_group_is_the_standby_s_too(databases: Databases, pair: str) -> None:
    ec2 = databases.server.client("ec2")
    (present,) = databases.found(pair)["VpcSecurityGroups"]
    (known,) = ec2.describe_security_groups(GroupIds=[present["VpcSecurityGroupId"]])["SecurityGroups"]
    group = ec2.create_security_group(GroupName="other", Description="d", VpcId=known["VpcId"])["GroupId"]
    modify(databases, pair, VpcSecurityGroupIds=[group])
    assert all(group in databases.machine(pair, node).groups for node in ("", "2"))


def test_a_replica_has_a_standby_of_its_own_once_it_is_promoted(databases: Databases, pair: str) -> None:
    databases.replicate(pair, "copy", MultiAZ=True)
    databases.there("copy")
    assert databases.service("copy").machines == ("db-copy",)
    databases.rds.promote_read_replica(DBInstanceIdentifier="copy")
    databases.api.put("db-instances/copy/promoted")
    assert databases.service("copy").machines == ("db-copy", "db2-copy")
    databases.delete("copy")


def _interfaces(databases: Databases) -> set[str]:
    found = databases.server.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    return {each["NetworkInterfaceId"] for each in found}
