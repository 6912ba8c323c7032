"""Databases made through the lab's API, and the controller's view of them."""

from pathlib import Path
from typing import Any

import pytest

from lab.api import tls
from lab.config import LabConfig
from lab.controller.api import Api
from lab.controller.identity import Identities
from lab.controller.plan import Service, Wanted
from lab.controller.wanted import wanted
from lab.network.model import Machine
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import create_database

PASSWORD = "the-first-password"


class Databases:
    """A source with backups and a password of its user's, and the controller's view of it."""

    def __init__(self, server: ApiServer) -> None:
        self.server, self.rds, self.fleet = server, server.client("rds"), Fleet(server)
        self.api = Api(server.endpoint, "us-east-1")
        self._config = LabConfig(server.port, "us-east-1", {}, {"redis": ["/image"], "postgresql": ["/image"]})

    def create(self, **other: Any) -> str:
        given: dict[str, Any] = {"MasterUserPassword": PASSWORD, "BackupRetentionPeriod": 7, **other}
        name = create_database(self.server, self.fleet, **given)["DBInstanceIdentifier"]
        self.there(name)
        return name

    def replicate(self, source: str, name: str, **other: Any) -> dict[str, Any]:
        asked = {"SourceDBInstanceIdentifier": source, "DBInstanceIdentifier": name, **other}
        return self.rds.create_db_instance_read_replica(**asked)["DBInstance"]

    def there(self, name: str) -> None:
        self.server.control(f"db-instances/{name}", "PUT", {"status": "available"})

    def delete(self, *names: str) -> None:
        for name in names:
            self.rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)

    def found(self, name: str) -> dict[str, Any]:
        return self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def wanted(self) -> Wanted:
        return wanted(self.api.read(), self._config, Path("/authority"))

    def service(self, name: str) -> Service:
        return next(each for each in self.wanted().services if each.id == name)

    def machine(self, name: str, node: str = "") -> Machine:
        return next(each for each in self.wanted().network.machines if each.id == f"db{node}-{name}")

    def leads_to(self, name: str) -> str:
        lines = [line.split() for line in self.wanted().records.splitlines()]
        return next(address for address, *names in lines if self.found(name)["Endpoint"]["Address"] in names)

    def told(self, name: str, certificates: Path, node: str = "") -> str:
        tls.ca(certificates)
        identities = Identities(self.api, certificates, "us-east-1")
        identities.update(self.api.read())
        told = identities.lookup(str(self.machine(name, node).address))
        assert told, f"nobody is {name}"
        assert told.user_data, f"nothing is told to {name}"
        return told.user_data.decode()


@pytest.fixture(scope="module")
def databases(own_api: ApiServer) -> Databases:
    """For who imports it: the databases of one module's tests."""
    return Databases(own_api)
