"""The controller's part of backups, for tests without one: base backups are taken, and the WAL is kept up to now."""

import time

from tests.plan.lab_api_server import ApiServer


def take_bases(api: ApiServer, ended: float | None = None) -> None:
    """Those that wait, complete at that time; now, unless another one is said."""
    for kept in api.control("db-backups"):
        for base in kept["pending"]:
            api.control(f"db-backups/{base}", "PUT", {"ended": ended or time.time()})


def fail_bases(api: ApiServer) -> None:
    """Those that wait can't be taken."""
    for kept in api.control("db-backups"):
        for base in kept["pending"]:
            api.control(f"db-backups/{base}", "PUT", {"ended": None})


def archive(api: ApiServer, database: str, until: float | None = None) -> None:
    """An instance's WAL is kept up to that time; now, unless another one is said."""
    (resource,) = [each["resource"] for each in api.control("db-backups") if each["database"] == database]
    api.control(f"db-backups/{resource}/archived", "PUT", {"until": until or time.time()})
