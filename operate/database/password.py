"""Another password for the database, in the order that machines can follow: docs/rotation.md.

Where the app has a role of its own (the output `databaseAppSecrets`), that is whose password changes unless the master
user's is asked for. App servers have PostgreSQL know what the secret says, so a new version is all it takes.

Of the master user: where RDS keeps it, RDS draws it. Where the stack does (the output `databasePasswordSecret`), how
far a change has come is in AWS: the new password is a version of the secret that is `AWSPENDING` from before PostgreSQL
knows it until machines may follow it, and whoever runs it again goes on with that one.
"""

import json
import time
from typing import Any, Final

from operate import staged
from operate.database import cluster
from operate.database.instance import (
    AVAILABLE,
    DatabaseError,
    Instance,
    Listener,
    Pause,
    Settled,
    clustered,
    find_available,
    wait,
)
from operate.stack import Stack

SECONDS: Final = 1800.0
"""In which RDS has changed a password; it takes a minute."""


def rotate_app(stack: Stack, listener: Listener = lambda _: None) -> list[staged.Rotated]:
    """Give the app's own role another password at each shard; app servers follow within a minute, PostgreSQL first.

    Empty where the app has no role of its own. A secret is changed at once or not at all, so nothing is gone on with.
    DatabaseError; botocore's errors.
    """
    done: list[staged.Rotated] = []
    for secret in stack.outputs.get("databaseAppSecrets") or []:
        began = time.monotonic()
        current = staged.find(stack, secret, staged.CURRENT)
        if current is None:
            raise DatabaseError(f"{secret} has no value: run pulumi up")
        login = {**_login(current, secret), "password": staged.draw(stack)}
        wanted = staged.keep(stack, secret, json.dumps(login), staged.CURRENT)
        listener(f"{secret} has another password")
        done.append(staged.Rotated(secret, wanted.id, False, round(time.monotonic() - began, 1)))
    return done


def rotate(stack: Stack, listener: Listener = lambda _: None, pause: Pause = time.sleep) -> staged.Rotated:
    """Change the master user's, and return when PostgreSQL has it and the secret says so.

    DatabaseError; botocore's errors.
    """
    if clustered(stack):
        return _rotate_of_cluster(stack, listener, pause)
    database = find_available(stack)
    own = str(stack.outputs.get("databasePasswordSecret") or "")
    if own:
        return _rotate_own(stack, database, own, listener, pause)
    if secret := database.get("MasterUserSecret"):
        return _rotate_managed(stack, database, secret["SecretArn"], listener, pause)
    raise DatabaseError(
        f"no secret has the password of {database['DBInstanceIdentifier']}: run pulumi up with this release once"
    )


def _rotate_managed(stack: Stack, database: Instance, secret: str, listener: Listener, pause: Pause) -> staged.Rotated:
    identifier, began = database["DBInstanceIdentifier"], time.monotonic()
    former = _current(stack, secret)
    stack.client("rds").modify_db_instance(
        DBInstanceIdentifier=identifier, RotateMasterUserPassword=True, ApplyImmediately=True
    )
    listener(f"RDS draws another password for {identifier}")

    def over(found: Instance, _: float) -> bool:
        return found["DBInstanceStatus"] == AVAILABLE and _current(stack, secret) not in ("", former)

    wait(stack, identifier, over, SECONDS, listener, pause)
    return staged.Rotated(secret, _current(stack, secret), False, round(time.monotonic() - began, 1))


def _rotate_of_cluster(stack: Stack, listener: Listener, pause: Pause) -> staged.Rotated:
    """RDS keeps a cluster's in any case."""
    found = cluster.find_available(stack)
    identifier, kept, began = found["DBClusterIdentifier"], found.get("MasterUserSecret"), time.monotonic()
    if not kept:
        raise DatabaseError(f"no secret has the password of {identifier}: run pulumi up with this release once")
    secret = str(kept["SecretArn"])
    former = _current(stack, secret)
    stack.client("rds").modify_db_cluster(
        DBClusterIdentifier=identifier, RotateMasterUserPassword=True, ApplyImmediately=True
    )
    listener(f"RDS draws another password for {identifier}")

    def over(now: cluster.Cluster, _: float) -> bool:
        return cluster.is_available(now) and _current(stack, secret) not in ("", former)

    wait(stack, identifier, over, SECONDS, listener, pause, cluster.CLUSTER)
    return staged.Rotated(secret, _current(stack, secret), False, round(time.monotonic() - began, 1))


def _current(stack: Stack, secret: str) -> str:
    """Which version counts. Nobody has to read the password for it."""
    versions = stack.client("secretsmanager").describe_secret(SecretId=secret)["VersionIdsToStages"]
    return next((version for version, stages in versions.items() if staged.CURRENT in stages), "")


def _rotate_own(stack: Stack, database: Instance, secret: str, listener: Listener, pause: Pause) -> staged.Rotated:
    identifier, began = database["DBInstanceIdentifier"], time.monotonic()
    current, pending = staged.find(stack, secret, staged.CURRENT), staged.find(stack, secret, staged.PENDING)
    if current is None:
        raise DatabaseError(f"{secret} has no value: run pulumi up")
    if pending is None:
        login = {**_login(current, secret), "password": staged.draw(stack)}
        wanted = staged.keep(stack, secret, json.dumps(login))
    else:
        wanted = pending
    if wanted.id != current.id:
        stack.client("rds").modify_db_instance(
            DBInstanceIdentifier=identifier,
            MasterUserPassword=_login(wanted, secret)["password"],
            ApplyImmediately=True,
        )
        listener(f"{identifier} gets another password")
        settled = Settled()

        def over(found: Instance, waited: float) -> bool:
            return settled(found, waited) and "MasterUserPassword" not in found.get("PendingModifiedValues", {})

        wait(stack, identifier, over, SECONDS, listener, pause)
        staged.make_current(stack, secret, wanted, current)
    staged.settle(stack, secret, wanted)
    return staged.Rotated(secret, wanted.id, pending is not None, round(time.monotonic() - began, 1))


def _login(version: staged.Version, secret: str) -> dict[str, Any]:
    """What a version holds. DatabaseError, without a word of it, where that is no login."""
    try:
        told = json.loads(version.text)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("password"), str):
        raise DatabaseError(f"{secret} holds no JSON with username and password: run pulumi up")
    return told
