"""A cache that is made by API calls, and what the controller then wants. No machine boots."""

from pathlib import Path
from typing import Any

from lab.api import tls
from lab.config import LabConfig
from lab.controller.api import Api
from lab.controller.identity import Identities
from lab.controller.plan import Service
from lab.controller.wanted import Wanted, wanted
from tests.plan.lab_api_server import ApiServer


class Controlled:
    """The one cache of an API, and the controller's view of it."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self.server, self.aws, self.name = server, server.client("elasticache"), name
        self.api = Api(server.endpoint, "us-east-1")
        self.config = LabConfig(server.port, "us-east-1", {}, {"redis": ["/image"], "postgresql": ["/image"]})

    def wanted(self) -> Wanted:
        return wanted(self.api.read(), self.config, Path("/authority"))

    def service(self) -> Service:
        (service,) = self.wanted().services
        return service

    def described(self) -> dict[str, Any]:
        (group,) = self.server.control("replication-groups")
        return group

    def told(self, address: str, certificates: Path) -> str:
        """What the node at an address boots with."""
        tls.ca(certificates)
        identities = Identities(self.api, certificates, "us-east-1")
        identities.update(self.api.read())
        found = identities.lookup(address)
        assert found, f"nobody at {address}"
        assert found.user_data, f"nothing is told to {address}"
        return found.user_data.decode()
