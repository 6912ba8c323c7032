"""RDS Proxies: the API's answers, and what the controller makes of them: a machine, its name, what it is to do."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.api import tls
from lab.config import LabConfig
from lab.controller import changes
from lab.controller.api import Api
from lab.controller.changes import ChangeError, carry_out
from lab.controller.identity import Identities
from lab.controller.plan import Pooling, Service, Wanted
from lab.controller.wanted import wanted
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import create_database

CONFIG = LabConfig(0, "us-east-1", {}, {"postgresql": ["/image"], "pgbouncer": ["/image"]})
LOGIN = {"username": "app", "password": "the first one"}
MAX_CONNECTIONS = 78
"""Of a db.t4g.micro."""


class Proxies:
    """A database with a proxy, whose role may read the proxy's one secret."""

    def __init__(self, server: ApiServer, fleet: Fleet) -> None:
        self.server, self.fleet, self.rds, self.iam = server, fleet, server.client("rds"), server.client("iam")
        self.secrets, self.api = server.client("secretsmanager"), Api(server.endpoint, "us-east-1")
        self.name = f"proxy-{uuid.uuid4().hex[:8]}"
        self.secret = self.secrets.create_secret(Name=self.name, SecretString=json.dumps(LOGIN))["ARN"]
        trust = {"Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.role = self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        self.allow(self.secret)
        self.database = create_database(server, fleet, MultiAZ=True)["DBInstanceIdentifier"]
        self.create(self.name)

    def allow(self, secret: str) -> None:
        may = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret}
        document = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        self.iam.put_role_policy(RoleName=self.name, PolicyName="reads", PolicyDocument=document)

    def create(self, name: str, **other: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "DBProxyName": name,
            "EngineFamily": "POSTGRESQL",
            "Auth": [{"AuthScheme": "SECRETS", "SecretArn": self.secret, "IAMAuth": "DISABLED"}],
            "RoleArn": self.role,
            "VpcSubnetIds": self.fleet.private,
            "VpcSecurityGroupIds": [self.fleet.security_group],
            "RequireTLS": True,
        }
        return self.rds.create_db_proxy(**given | other)["DBProxy"]

    def register(self, *databases: str, proxy: str | None = None) -> Any:
        given = {"DBProxyName": proxy or self.name, "DBInstanceIdentifiers": list(databases or (self.database,))}
        return self.rds.register_db_proxy_targets(**given)["DBProxyTargets"]

    def health(self) -> dict[str, Any]:
        (target,) = self.rds.describe_db_proxy_targets(DBProxyName=self.name)["Targets"]
        return target["TargetHealth"]

    def status(self) -> str:
        return self.rds.describe_db_proxies(DBProxyName=self.name)["DBProxies"][0]["Status"]

    def machine(self) -> dict[str, Any]:
        (told,) = [each for each in self.server.control("db-proxies") if each["endpoint"].startswith(self.name)]
        return told

    def wanted(self) -> Wanted:
        return wanted(self.api.read(), CONFIG, Path("/authority"))

    def service(self) -> Service:
        return next(each for each in self.wanted().services if each.id == self.machine()["id"])

    def pooling(self) -> Pooling:
        change = self.service().change
        assert isinstance(change, Pooling), change
        return change

    def told(self) -> dict[str, Any]:
        return json.loads(self.pooling().configuration)


@pytest.fixture
def proxies(own_api: ApiServer) -> Iterator[Proxies]:
    made = Proxies(own_api, Fleet(own_api))
    yield made
    for proxy in made.rds.describe_db_proxies()["DBProxies"]:
        made.rds.delete_db_proxy(DBProxyName=proxy["DBProxyName"])
    made.rds.delete_db_instance(DBInstanceIdentifier=made.database, SkipFinalSnapshot=True)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What machines are given on their standard input."""
    given: list[str] = []

    def run(machine: str, command: list[str], machines: Path, stdin: str) -> subprocess.CompletedProcess[str]:
        assert machine.startswith("proxy-proxy-"), machine
        assert not any(each["password"] in " ".join(command) for each in (LOGIN, {"password": "another"}))
        given.append(stdin)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(changes.access, "run", run)
    return given


def carry(proxies: Proxies) -> None:
    service = proxies.service()
    carry_out(proxies.api, service.id, service.machines[0], proxies.pooling(), Path("/machines"))


def test_it_is_a_machine_of_its_own_behind_its_security_groups_and_its_name_leads_there(proxies: Proxies) -> None:
    told = proxies.machine()
    assert told["endpoint"].partition(".")[2].startswith("proxy-")
    machine = next(each for each in proxies.wanted().network.machines if each.id == f"proxy-{told['id']}")
    assert (str(machine.address), machine.groups) == (told["address"], {proxies.fleet.security_group})
    assert f" {told['endpoint']}\n" in next(
        line for line in proxies.wanted().records.splitlines(keepends=True) if line.startswith(f"{told['address']} ")
    )
    spec = next(each for each in proxies.wanted().machines if each.id == machine.id)
    assert (spec.tier, spec.memory, spec.cpus) == ("proxy", 512 * 2**20, None)


def test_its_certificate_is_of_the_authority_that_all_machines_trust(proxies: Proxies, tmp_path: Path) -> None:
    tls.ca(tmp_path)
    identities = Identities(proxies.api, tmp_path, "us-east-1")
    identities.update(proxies.api.read())
    found = identities.lookup(proxies.machine()["address"])
    assert found is not None
    assert found.user_data is not None
    certificate, key = tls.issue(tmp_path, [proxies.machine()["endpoint"]])
    user_data = json.loads(found.user_data.partition(b"\n")[2])
    written = {each["path"]: each["content"] for each in user_data["write_files"]}
    assert written["/etc/pgbouncer/server.pem"] == certificate.read_text()
    assert written["/etc/pgbouncer/server.key"] == key.read_text()


def test_it_leads_to_its_database_by_name_with_its_percent_of_the_connections(proxies: Proxies) -> None:
    assert proxies.told()["database"] is None, "nowhere yet"
    (target,) = proxies.register()
    endpoint = proxies.rds.describe_db_instances(DBInstanceIdentifier=proxies.database)["DBInstances"][0]["Endpoint"]
    assert (target["Endpoint"], target["Port"], target["Type"]) == (endpoint["Address"], 5432, "RDS_INSTANCE")
    proxies.rds.modify_db_proxy_target_group(
        DBProxyName=proxies.name,
        TargetGroupName="default",
        ConnectionPoolConfig={"MaxConnectionsPercent": 70, "ConnectionBorrowTimeout": 20},
    )
    told = proxies.told()
    assert told["database"] == {"host": endpoint["Address"], "port": 5432}
    assert told["connections"] == MAX_CONNECTIONS * 70 // 100
    assert (told["borrow_seconds"], told["idle_seconds"], told["require_tls"]) == (20, 1800, True)


def test_a_failover_of_the_database_changes_nothing_but_where_the_name_leads(proxies: Proxies) -> None:
    proxies.register()
    before = proxies.pooling()
    control = proxies.server.control
    control(f"db-instances/{proxies.database}", "PUT", {"status": "available"})
    control(f"db-instances/{proxies.database}/standby/synchronous", "PUT")
    proxies.rds.reboot_db_instance(DBInstanceIdentifier=proxies.database, ForceFailover=True)
    control(f"db-instances/{proxies.database}/primary/2", "PUT")
    assert proxies.pooling() == before


def test_it_is_available_and_so_is_its_database_once_its_machine_has_what_it_needs(
    proxies: Proxies, ran: list[str]
) -> None:
    proxies.register()
    assert (proxies.status(), proxies.health()["Reason"]) == ("creating", "PENDING_PROXY_CAPACITY")
    carry(proxies)
    assert ran == ['"app" "the first one"\n']
    assert proxies.service().change is None, "once"
    assert proxies.health() == {"State": "AVAILABLE"}
    proxies.api.report("db-proxies", proxies.service().id, "available")
    assert proxies.status() == "available"


def test_another_password_is_told_as_soon_as_its_secret_has_it(proxies: Proxies, ran: list[str]) -> None:
    carry(proxies)
    login = json.dumps(LOGIN | {"password": "another"})
    proxies.secrets.put_secret_value(SecretId=proxies.secret, SecretString=login, VersionStages=["AWSPENDING"])
    assert proxies.service().change is None, "not before it counts"
    proxies.secrets.put_secret_value(SecretId=proxies.secret, SecretString=login)
    carry(proxies)
    assert ran[1:] == ['"app" "another"\n']


def test_a_secret_that_its_role_may_not_read_is_said_at_its_target_until_it_may(
    proxies: Proxies, ran: list[str]
) -> None:
    proxies.register()
    proxies.allow("arn:aws:secretsmanager:us-east-1:123456789012:secret:another")
    with pytest.raises(ChangeError, match=r"the secret arn:\S+ of its logins can't be read: .*AccessDenied"):
        carry(proxies)
    assert proxies.health()["Reason"] == "AUTH_FAILURE"
    proxies.allow(proxies.secret)
    carry(proxies)
    assert proxies.health() == {"State": "AVAILABLE"}
    assert ran == ["", '"app" "the first one"\n']


def test_a_secret_that_is_no_login_is_said_without_what_it_holds(proxies: Proxies, ran: list[str]) -> None:
    proxies.secrets.put_secret_value(SecretId=proxies.secret, SecretString="s3cret, no JSON")
    with pytest.raises(ChangeError, match="no username and password as JSON") as raised:
        carry(proxies)
    assert "s3cret" not in str(raised.value)
    assert ran == [""], "nobody is let in"


def test_what_changes_later_is_told_too(proxies: Proxies) -> None:
    proxies.rds.modify_db_proxy(DBProxyName=proxies.name, RequireTLS=False, IdleClientTimeout=60)
    told = proxies.told()
    assert (told["require_tls"], told["idle_seconds"]) == (False, 60)
    assert told["secrets"].keys() == {proxies.secret}, "what isn't given stays"
    group = proxies.fleet.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    proxies.rds.modify_db_proxy(DBProxyName=proxies.name, SecurityGroups=[group])
    assert proxies.machine()["security_groups"] == [group]
    its = [{"Name": "private-ip-address", "Values": [proxies.machine()["address"]]}]
    (interface,) = proxies.fleet.ec2.describe_network_interfaces(Filters=its)["NetworkInterfaces"]
    assert [each["GroupId"] for each in interface["Groups"]] == [group], "nobody deletes that one meanwhile"


def test_what_rds_refuses_is_refused(proxies: Proxies) -> None:
    with pytest.raises(ClientError, match="at least one secret"):
        proxies.create("another", Auth=[])
    with pytest.raises(ClientError, match="at least two Availability Zones"):
        proxies.create("another", VpcSubnetIds=proxies.fleet.private[:1])
    with pytest.raises(ClientError, match="no tokens of IAM"):
        proxies.create("another", Auth=[{"SecretArn": proxies.secret, "IAMAuth": "REQUIRED"}])
    with pytest.raises(ClientError, match="DBInstanceNotFound"):
        proxies.register("nobody")
    with pytest.raises(ClientError, match="DBProxyNotFoundFault"):
        proxies.register(proxy="nobody")
    with pytest.raises(ClientError, match="name one"):
        proxies.register("one", "two")
    with pytest.raises(ClientError, match="DBProxyTargetNotFoundFault"):
        proxies.rds.deregister_db_proxy_targets(DBProxyName=proxies.name, DBInstanceIdentifiers=[proxies.database])
    proxies.register()
    with pytest.raises(ClientError, match="DBProxyTargetAlreadyRegisteredFault"):
        proxies.register()
    with pytest.raises(ClientError, match="MaxIdleConnectionsPercent must be from 0 to 20"):
        proxies.rds.modify_db_proxy_target_group(
            DBProxyName=proxies.name,
            TargetGroupName="default",
            ConnectionPoolConfig={"MaxConnectionsPercent": 20, "MaxIdleConnectionsPercent": 30},
        )


def test_nothing_of_a_proxy_that_is_deleted_is_left(proxies: Proxies) -> None:
    proxies.register()
    address = proxies.machine()["address"]
    proxies.rds.delete_db_proxy(DBProxyName=proxies.name)
    assert proxies.server.control("db-proxies") == []
    assert address not in proxies.wanted().records
    interfaces = proxies.fleet.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert not [each for each in interfaces if "DBProxy" in each["Description"]]
    with pytest.raises(ClientError, match="DBProxyNotFoundFault"):
        proxies.rds.describe_db_proxy_targets(DBProxyName=proxies.name)
