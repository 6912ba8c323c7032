"""Passwords and tokens that change, as RDS and ElastiCache change them."""

import json
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import create_database, machine_of


@pytest.fixture(scope="module")
def fleet(api: ApiServer) -> Fleet:
    return Fleet(api)


class Database:
    """A database whose machine is this test."""

    def __init__(self, api: ApiServer, fleet: Fleet) -> None:
        self._api = api
        described = create_database(api, fleet)
        self.name = described["DBInstanceIdentifier"]
        self.secret = described["MasterUserSecret"]["SecretArn"]
        api.control(f"db-instances/{self.name}", "PUT", {"status": "available"})

    def rotate(self) -> None:
        self._api.client("rds").modify_db_instance(
            DBInstanceIdentifier=self.name, RotateMasterUserPassword=True, ApplyImmediately=True
        )

    def machine(self) -> dict[str, Any]:
        return machine_of(self._api, "db-instances", self.name)

    def finish(self, version: str) -> None:
        self._api.control(f"db-instances/{self.name}/password/{version}", "PUT")

    def described(self) -> dict[str, Any]:
        return self._api.client("rds").describe_db_instances(DBInstanceIdentifier=self.name)["DBInstances"][0]

    def password(self, **which: str) -> str:
        answer = self._api.client("secretsmanager").get_secret_value(SecretId=self.secret, **which)
        return json.loads(answer["SecretString"])["password"]


@pytest.fixture
def database(api: ApiServer, fleet: Fleet) -> Database:
    return Database(api, fleet)


def test_until_the_database_has_the_new_password_the_secret_says_the_old_one(database: Database) -> None:
    before = database.password()

    database.rotate()

    assert database.password() == before, "what counts is not known to PostgreSQL yet"
    assert database.password(VersionStage="AWSPENDING") != before
    described = database.described()
    assert described["DBInstanceStatus"] == "resetting-master-credentials"
    assert described["MasterUserSecret"]["SecretStatus"] == "rotating"
    assert database.machine()["pending_version"] != database.machine()["secret_version"]


def test_then_the_stages_move_and_the_instance_is_available(database: Database) -> None:
    before = database.password()
    database.rotate()
    pending = database.machine()["pending_version"]
    coming = database.password(VersionId=pending)

    database.finish(pending)

    assert database.password() == coming
    assert database.password(VersionStage="AWSPREVIOUS") == before
    assert database.described()["DBInstanceStatus"] == "available"
    assert database.described()["MasterUserSecret"]["SecretStatus"] == "active"
    machine = database.machine()
    assert (machine["secret_version"], machine["pending_version"]) == (pending, None)


def test_a_password_can_be_changed_again_and_not_while_it_is_being_changed(database: Database) -> None:
    passwords = [database.password()]
    for _ in range(2):
        database.rotate()
        with pytest.raises(ClientError, match="InvalidDBInstanceState"):
            database.rotate()
        database.finish(database.machine()["pending_version"])
        passwords.append(database.password())
    assert len(set(passwords)) == 3, "each time another one"


def test_the_lab_cannot_finish_what_was_not_begun(database: Database) -> None:
    current = database.machine()["secret_version"]
    with pytest.raises(requests.HTTPError, match="404"):
        database.finish(current)


def test_a_rotation_waits_for_no_window(api: ApiServer, database: Database) -> None:
    with pytest.raises(ClientError, match="apply immediately"):
        api.client("rds").modify_db_instance(DBInstanceIdentifier=database.name, RotateMasterUserPassword=True)


def test_an_app_s_own_secret_keeps_its_previous_version(api: ApiServer) -> None:
    secrets = api.client("secretsmanager")
    arn = secrets.create_secret(Name="rotation/own", SecretString="one")["ARN"]
    secrets.put_secret_value(SecretId=arn, SecretString="two")
    secrets.update_secret(SecretId=arn, SecretString="three")
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "three"
    assert secrets.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS")["SecretString"] == "two"
