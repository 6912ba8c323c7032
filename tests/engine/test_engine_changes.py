"""One changed setting changes only what it should, and replaces nothing that holds data: as docs/engine.md says."""

import pytest

from lab.engine.stack import EngineError
from tests.engine.engine_stack import EngineStack
from tests.plan.lab_api_server import ApiServer

EDGE = {"lab-edge-template", "lab-edge-group"}
APP = {"lab-app-template", "lab-app-group"}
DATABASE = {"lab-database-instance"}

CHANGES: dict[str, dict[str, set[str]]] = {
    "network.zones=3": {
        "create": {
            "lab-network-nat-us-east-1c",
            "lab-network-private-us-east-1c",
            "lab-network-private-us-east-1c-routes",
            "lab-network-public-us-east-1c",
            "lab-network-public-us-east-1c-routes",
        },
        "update": {
            "lab-app-group",
            "lab-cache-subnets",
            "lab-database-subnets",
            "lab-edge-group",
            "lab-network-s3",
        },
    },
    "network.nat=none": {
        "update": {"lab-app-group"},
        "delete": {"lab-network-nat-us-east-1a", "lab-network-nat-us-east-1b"},
    },
    "app.minSize=3": {"update": {"lab-app-group"}},
    "app.maxSize=6": {"update": APP},  # each server's pool of connections follows from it
    "app.targetCpu=40": {"update": {"lab-app-cpu"}},
    "app.instanceType=t3.medium": {"update": APP},
    "app.image=debian-13": {"update": APP},
    "app.environment.LOG_LEVEL=debug": {"update": APP},
    "app.livenessPath=/live": {"update": APP},
    # The runtime's object is named after its content: another Node is another object.
    "app.nodeVersion=26": {
        "create-replacement": {"lab-release-runtime"},
        "replace": {"lab-release-runtime"},
        "delete-replaced": {"lab-release-runtime"},
        "update": APP,
    },
    "app.readinessPath=/ready": {"update": APP | EDGE},
    "app.port=8080": {"update": APP | EDGE | {"lab-edge-app-in", "lab-edge-app-out"}},
    "edge.instanceType=t3.medium": {"update": EDGE},
    "edge.image=debian-13": {"update": EDGE},
    "edge.maxBodySize=5m": {"update": EDGE},
    "edge.events=true": {"create": {"lab-edge-events"}, "update": EDGE | {"lab-edge-boot"}},
    "cache.nodeType=cache.t4g.small": {"update": {"lab-cache-redis"}},
    "cache.replicas=1": {"update": {"lab-cache-redis"}},
    "database.instanceClass=db.t4g.small": {"update": DATABASE | APP},
    "database.poolSize=5": {"update": APP},
    "database.storageGb=40": {"update": DATABASE},
    "database.backupDays=3": {"update": DATABASE},
    "database.multiAz=true": {"update": DATABASE},
    "database.replicas=1": {
        "create": {"lab-database-password", "lab-database-replica1"},
        "update": DATABASE | APP | {"lab-app-boot"},  # the password's secret is another
    },
    "database.deletionProtection=true": {"update": DATABASE},
    "database.engineVersion='18'": {
        "create": {"lab-database-postgres18"},
        "update": DATABASE,
        "delete": {"lab-database-postgres17"},
    },
}
"""Setting -> what the engine does to which resources. Everything else stays as it is."""


@pytest.mark.parametrize("setting", CHANGES)
def test_a_setting_changes_only_what_it_should(deployed: EngineStack, setting: str) -> None:
    assert deployed.preview(f"expressway:{setting}") == CHANGES[setting]


def test_a_protected_database_is_neither_replaced_nor_destroyed(stack: EngineStack, api: ApiServer) -> None:
    stack.up("expressway:database.deletionProtection=true")
    before = databases(api)
    with pytest.raises(EngineError, match=r"(?s)lab-database-instance.*protect"):
        stack.destroy()
    assert databases(api) == before, "refused before anything was made or taken away"
    stack.up()  # unprotected again, so that it can be taken away


def databases(api: ApiServer) -> list[str]:
    """Those that RDS has."""
    return [each["DBInstanceIdentifier"] for each in api.client("rds").describe_db_instances()["DBInstances"]]
