"""What a client needs to log in to one of the stack's databases."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from operate.database import cluster
from operate.database.instance import DatabaseError, Instance, RequestError, clustered, describe, find
from operate.stack import Stack

DEFAULT_NAME: Final = "postgres"
"""The database that every PostgreSQL has; RDS tells no name of an instance that was made without one."""


@dataclass(frozen=True)
class Login:
    """Where a database is, and who may log in."""

    id: str
    """Of the instance, or of the cluster."""
    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    def environment(self, address: str, port: int) -> dict[str, str]:
        """For libpq, whose server is reached at another address. TLS is a must, and the name isn't checked there.

        https://www.postgresql.org/docs/current/libpq-envars.html
        """
        return {
            "PGHOST": self.host,
            "PGHOSTADDR": address,
            "PGPORT": str(port),
            "PGDATABASE": self.name,
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGSSLMODE": "require",
        }


def login(stack: Stack, identifier: str | None = None) -> Login:
    """Of the stack's database, or of an instance by its identifier: a replica, a copy.

    With Aurora, of the stack's cluster, of another one that is a copy, or of one of the cluster's instances.

    RequestError for one that there isn't, DatabaseError; botocore's errors.
    """
    if clustered(stack):
        return _to_cluster(stack, identifier)
    database = find(stack)
    found = database if identifier is None else describe(stack, identifier)
    if found is None:
        raise RequestError(
            f"there is no database instance {identifier} in {stack.region}: expressway db status has them"
        )
    if "Endpoint" not in found:
        raise DatabaseError(f"{found['DBInstanceIdentifier']} is {found['DBInstanceStatus']}, and has no address yet")
    who = _secret(stack, found, database)
    return Login(
        id=found["DBInstanceIdentifier"],
        host=found["Endpoint"]["Address"],
        port=found["Endpoint"]["Port"],
        name=found.get("DBName") or database.get("DBName") or DEFAULT_NAME,
        user=who["username"],
        password=who["password"],
    )


def _to_cluster(stack: Stack, identifier: str | None) -> Login:
    found = cluster.find(stack)
    host: Mapping[str, Any] = found
    if identifier is not None:
        members = {each["DBInstanceIdentifier"]: each for each in cluster.instances(stack, found)}
        if identifier in members:
            host = members[identifier].get("Endpoint") or {}
        else:
            host = found = cluster.describe(stack, identifier) or {}
        if not found:
            raise RequestError(
                f"there is no instance and no cluster {identifier} in {stack.region}: expressway db status has them"
            )
    address = host.get("Address") or host.get("Endpoint")
    if not address:
        raise DatabaseError(
            f"{identifier or found['DBClusterIdentifier']} has no address yet: wait until it is available"
        )
    kept = found.get("MasterUserSecret")
    if not kept:
        raise DatabaseError(f"no secret that RDS keeps has the password of {found['DBClusterIdentifier']}")
    who = _read(stack, str(kept["SecretArn"]))
    name = found.get("DatabaseName") or DEFAULT_NAME
    return Login(
        identifier or found["DBClusterIdentifier"], address, found["Port"], name, who["username"], who["password"]
    )


def _secret(stack: Stack, found: Instance, database: Instance) -> Mapping[str, Any]:
    """User and password. A replica has its source's."""
    of_stack = database["DBInstanceIdentifier"]
    own = stack.outputs.get("databasePasswordSecret")
    if kept := found.get("MasterUserSecret"):
        arn = str(kept["SecretArn"])
    elif own and of_stack in (found["DBInstanceIdentifier"], found.get("ReadReplicaSourceDBInstanceIdentifier")):
        arn = str(own)
    else:
        raise DatabaseError(f"no secret that the stack names has the password of {found['DBInstanceIdentifier']}")
    return _read(stack, arn)


def _read(stack: Stack, arn: str) -> Mapping[str, Any]:
    text = stack.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    try:
        told = json.loads(text)
        return {"username": str(told["username"]), "password": str(told["password"])}
    except (ValueError, KeyError, TypeError):
        raise DatabaseError(f"{arn} holds no user and password") from None
