"""Master passwords that a user gives, instead of leaving them to RDS and Secrets Manager, and how they change later.

A new one is good when the lab says that PostgreSQL has it. `rds_rotation` is about those that RDS keeps.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html (MasterUserPassword)
"""

import json
from collections.abc import Mapping
from typing import Any

from moto.rds.exceptions import InvalidParameterCombination

from lab.api.rds import databases, given_pending, secret_version

RESETTING = "resetting-master-credentials"


def check(database: Any, asked: Mapping[str, Any]) -> None:
    """Refuse what RDS refuses of a change."""
    if not asked.get("master_user_password"):
        return
    if database.is_replica:
        raise InvalidParameterCombination(
            f"Cannot change master user password on an RDS {database.engine} Read Replica because it uses physical "
            "replication and therefore cannot differ from its parent."
        )
    managed = asked.get("manage_master_user_password")
    if database.manage_master_user_password if managed is None else managed:
        raise InvalidParameterCombination(
            "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled."
        )


def keep(database: Any, changes: Mapping[str, Any]) -> None:
    """Before a change: whose password RDS no longer keeps has it still."""
    if changes.get("manage_master_user_password") is False and (
        secret := getattr(database, "master_user_secret", None)
    ):
        database.master_user_password = _kept(secret)["password"]


def begin(database: Any, changes: Mapping[str, Any]) -> None:
    """What was changed may be another password, or another keeper of it: PostgreSQL has to learn it."""
    if changes.get("master_user_password") or changes.get("manage_master_user_password"):
        database.password_version += 1
        if database.status == "available":
            database.status = RESETTING


def finish(identifier: str, version: str) -> bool:
    """PostgreSQL has the password of `version`. Whether that is the one that the instance waits for."""
    for database in databases():
        if database.db_instance_identifier == identifier and given_pending(database) == version:
            database.password_known = database.password_version
            database.status = "available"
            return True
    return False


def login(identifier: str) -> dict[str, Any] | None:
    """The master user and its password, and what replicas stream by; None when there is no such instance."""
    for database in databases():
        if database.db_instance_identifier == identifier:
            if secret := getattr(database, "master_user_secret", None):
                known = _kept(secret)
            else:
                known = {"username": database.master_username, "password": database._master_user_password}
            return {**known, "replication": database.replication_secret}
    return None


def _kept(secret: Any) -> dict[str, str]:
    return json.loads(secret.secret.versions[secret_version(secret, "AWSCURRENT")]["secret_string"])
