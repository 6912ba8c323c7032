"""Passwords and tokens that change, as RDS and ElastiCache change them."""

import json
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import TOKEN, create_cache, create_database, machine_of

NEXT = "another-token-of-32-characters-xx"


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


class Cache:
    """A cache with two nodes, whose machines are this test."""

    def __init__(self, api: ApiServer, fleet: Fleet) -> None:
        self._api, self._aws = api, api.client("elasticache")
        self.name = create_cache(api, fleet, nodes=2)["ReplicationGroupId"]
        self._aws.modify_replication_group(ReplicationGroupId=self.name, AutomaticFailoverEnabled=True)
        api.control(f"replication-groups/{self.name}", "PUT", {"status": "available"})

    def fail_over(self, shard: str = "0001") -> None:
        self._aws.test_failover(ReplicationGroupId=self.name, NodeGroupId=shard)

    def take(self, token: str, strategy: str) -> None:
        self._aws.modify_replication_group(
            ReplicationGroupId=self.name, AuthToken=token, AuthTokenUpdateStrategy=strategy, ApplyImmediately=True
        )

    def machine(self) -> dict[str, Any]:
        return machine_of(self._api, "replication-groups", self.name)

    def tokens(self) -> list[str]:
        return self._api.control(f"replication-groups/{self.name}/tokens")["tokens"]

    def done(self, what: str) -> None:
        self._api.control(f"replication-groups/{self.name}/{what}", "PUT")

    def status(self) -> str:
        return self._aws.describe_replication_groups(ReplicationGroupId=self.name)["ReplicationGroups"][0]["Status"]


@pytest.fixture
def cache(api: ApiServer, fleet: Fleet) -> Cache:
    return Cache(api, fleet)


def test_a_failover_is_true_when_the_new_primary_takes_writes(cache: Cache) -> None:
    old, new = cache.machine()["nodes"]

    cache.fail_over()

    machine = cache.machine()
    assert (machine["next_primary"], machine["address"]) == (new["id"], old["address"]), "the name leads to the old one"
    assert cache.status() == "modifying"
    cache.done(f"primary/{new['id']}")
    machine = cache.machine()
    assert (machine["next_primary"], machine["address"]) == (None, new["address"])
    assert [node["role"] for node in machine["nodes"]] == ["replica", "primary"]
    assert cache.status() == "available"


def test_a_failover_goes_back_and_forth_but_only_one_at_a_time(cache: Cache) -> None:
    first = cache.machine()["address"]
    for _ in range(2):
        cache.fail_over()
        with pytest.raises(ClientError, match="InvalidReplicationGroupState"):
            cache.fail_over()
        cache.done(f"primary/{cache.machine()['next_primary']}")
    assert cache.machine()["address"] == first


def test_a_replica_taken_away_after_a_failover_is_not_the_primary(api: ApiServer, cache: Cache) -> None:
    cache.fail_over()
    cache.done(f"primary/{cache.machine()['next_primary']}")
    address = cache.machine()["address"]
    elasticache = api.client("elasticache")
    elasticache.modify_replication_group(ReplicationGroupId=cache.name, AutomaticFailoverEnabled=False)
    elasticache.decrease_replica_count(ReplicationGroupId=cache.name, NewReplicaCount=0, ApplyImmediately=True)
    machine = cache.machine()
    assert ([node["role"] for node in machine["nodes"]], machine["address"]) == (["primary"], address)


def test_what_elasticache_cannot_fail_over_is_refused(api: ApiServer, fleet: Fleet, cache: Cache) -> None:
    with pytest.raises(ClientError, match="NodeGroupNotFoundFault"):
        cache.fail_over(shard="0002")
    alone = create_cache(api, fleet, nodes=1)["ReplicationGroupId"]
    with pytest.raises(ClientError, match="no automatic failover"):
        api.client("elasticache").test_failover(ReplicationGroupId=alone, NodeGroupId="0001")


def test_a_token_is_added_first_and_then_set_alone(cache: Cache) -> None:
    cache.take(NEXT, "ROTATE")
    assert cache.tokens() == [TOKEN, NEXT], "clients have the old one still"
    assert cache.status() == "modifying"
    cache.done(f"tokens/{cache.machine()['tokens_version']}")
    assert cache.status() == "available"

    cache.take(NEXT, "SET")
    assert cache.tokens() == [NEXT]


def test_the_nodes_do_not_know_tokens_that_came_later(cache: Cache) -> None:
    cache.take(NEXT, "ROTATE")
    told = cache.machine()["tokens_version"]
    cache.take(NEXT, "SET")
    with pytest.raises(requests.HTTPError, match="404"):
        cache.done(f"tokens/{told}")
    machine = cache.machine()
    assert machine["tokens_known"] < machine["tokens_version"], "they have to be told again"
