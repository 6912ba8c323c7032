"""What a stack that stands can't become is refused by its setting's name; what AWS changed by itself is left alone."""

import re

import pytest

from lab.engine.stack import EngineError, Result
from tests.engine.engine_stack import EngineStack
from tests.plan.lab_api_server import ApiServer

REFUSED = {
    "network.cidr=10.77.0.0/16": r'expressway:network\.cidr = "10\.77\.0\.0/16"\s+.*it is "10\.20\.0\.0/16" now',
    "database.name=other": r'expressway:database\.name = "other"\s+.*it is "app" now',
    "database.engineVersion='16'": r'expressway:database\.engineVersion = "16"\s+.*no older major version',
    "cache.engineVersion='7.0'": r'expressway:cache\.engineVersion = "7\.0"\s+.*it is "7\.1" now',
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_would_replace_data_or_the_network_is_refused_by_name(deployed: EngineStack, setting: str) -> None:
    with pytest.raises(EngineError, match=REFUSED[setting]):
        deployed.up(f"expressway:{setting}")
    assert not deployed.seen, "nothing was touched"


def test_storage_that_would_shrink_is_refused_by_name(stack: EngineStack) -> None:
    stack.up("expressway:database.storageGb=40")
    with pytest.raises(EngineError, match=r"expressway:database\.storageGb = 20\s+a database's storage can't shrink"):
        stack.up()
    assert not stack.seen, "nothing was touched"


def test_what_waits_for_the_maintenance_window_is_said_in_the_preview(deployed: EngineStack) -> None:
    deployed.configure(
        "expressway:database.applyImmediately=false",
        "expressway:database.instanceClass=db.t4g.small",
        "expressway:database.engineVersion='18'",
        "expressway:database.backupDays=3",
    )
    said = deployed.cli("preview")
    assert 'expressway:database.instanceClass = "db.t4g.small" waits for the database' in said, said
    assert 'expressway:database.engineVersion = "18" waits for the database' in said
    assert "backupDays" not in re.sub(r"(?m)^.*[~+].*$", "", said), "RDS changes that at once"
    deployed.configure("expressway:database.instanceClass=db.t4g.small")
    assert "waits for" not in deployed.cli("preview"), "dev has it at once"


def test_a_minor_version_that_rds_installed_shows_no_downgrade(stack: EngineStack, api: ApiServer) -> None:
    pinned = "expressway:database.engineVersion='17.4'"
    database = identifier(stack.up(pinned))
    assert version(api, database) == "17.4"
    api.client("rds").modify_db_instance(
        DBInstanceIdentifier=database, EngineVersion="17.6", ApplyImmediately=True
    )  # as RDS does by itself, in a maintenance window
    stack.refresh()
    assert set(stack.up(pinned).changes) == {"same"}, stack.seen
    assert version(api, database) == "17.6"


def test_a_major_upgrade_keeps_the_old_parameters_until_its_window(stack: EngineStack, api: ApiServer) -> None:
    in_its_window = "expressway:database.applyImmediately=false"
    old, new = (f"expressway:database.engineVersion='{major}'" for major in ("16", "17"))
    database = identifier(stack.up(in_its_window, old))
    stack.up(in_its_window, new)
    assert stack.seen["create"] == {"lab-database-postgres17"}
    assert not stack.seen["delete"], "the version that still runs has them"
    assert version(api, database).startswith("16."), "it waits"
    api.control(f"db-instances/{database}/maintenance-window", "POST")
    assert version(api, database).startswith("17.")
    stack.refresh()
    stack.up(in_its_window, new)
    assert stack.seen == {"delete": {"lab-database-postgres16"}}, "now they are nobody's"
    assert set(stack.up(in_its_window, new).changes) == {"same"}


def identifier(made: Result) -> str:
    """The database's."""
    return str(made.outputs["databaseEndpoint"]).partition(".")[0]


def version(api: ApiServer, database: str) -> str:
    """What runs."""
    (found,) = api.client("rds").describe_db_instances(DBInstanceIdentifier=database)["DBInstances"]
    return found["EngineVersion"]
