"""How RDS changes a password that it keeps in Secrets Manager: `ModifyDBInstance(RotateMasterUserPassword=true)`.

The new password is a version AWSPENDING of the secret first. What runs behind the endpoint sets it and says so; then
that version becomes AWSCURRENT and the one before it AWSPREVIOUS. So whoever reads the secret in between still gets the
old password, which PostgreSQL refuses already for new sessions; those that are open go on.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html,
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_managed.html
"""

from typing import Any

from moto.rds import models

from lab.api.patching import around, existing, instead
from lab.api.rds import databases, secret_version
from lab.api.rds_rules import InstanceStateError

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
ROTATING = "resetting-master-credentials"


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    around(models.MasterUserSecret, "rotate_secret", _begin)
    status = existing(models.MasterUserSecret, "secret_status")
    instead(
        models.MasterUserSecret,
        "secret_status",
        property(lambda secret: "rotating" if secret_version(secret, PENDING) else status.fget(secret)),
    )


def finish(identifier: str, rotated: str) -> bool:
    """PostgreSQL has the password of the version `rotated`. Whether that is what the instance waits for."""
    for database in databases():
        secret = getattr(database, "master_user_secret", None)
        if database.db_instance_identifier != identifier or secret is None:
            continue
        if secret_version(secret, PENDING) != rotated:
            return False
        secret.secretsmanager.update_secret_version_stage(
            secret.secret.name,
            CURRENT,
            remove_from_version_id=secret_version(secret, CURRENT),
            move_to_version_id=rotated,
        )
        secret.secret.versions[rotated]["version_stages"].remove(PENDING)
        database.status = "available"
        return True
    return False


def _begin(original: Any, secret: Any) -> None:
    """moto would make a version at once and leave the secret without a current one."""
    database = secret.resource
    if not isinstance(database, models.DBInstance):
        original(secret)
        return
    if database.status != "available":
        raise InstanceStateError(
            f"Instance {database.db_instance_identifier} is not in available state; it is {database.status}."
        )
    secret.secretsmanager.put_secret_value(
        secret_id=secret.secret.name,
        secret_string=secret._generate_secret_string(),
        secret_binary=None,
        client_request_token=None,
        version_stages=[PENDING],
    )
    database.status = ROTATING
