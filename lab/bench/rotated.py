"""What of a lab's secrets can be changed while the app runs, and how that is done: in the order that loses nothing."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from lab import status
from lab.aws import Aws
from lab.config import read
from lab.machines import access

CHANGE_SECONDS: Final = 60
"""The most that a service of the lab may take for a change."""


class Rotated(Protocol):
    """One secret that changes."""

    def rotate(self) -> None:
        """Change it, and return when the secret says so."""

    def expected(self) -> str:
        """What a part of the app's environment file then is."""
        ...

    def settle(self) -> None:
        """Do what is to be done once every worker has it."""


class Database:
    """The password that RDS keeps."""

    def __init__(self, aws: Aws) -> None:
        """Clients are made once: that takes a CPU for a second each."""
        self._rds, self._secrets = aws("rds"), aws("secretsmanager")
        described = self._rds.describe_db_instances()["DBInstances"][0]
        self._name, self._secret = described["DBInstanceIdentifier"], described["MasterUserSecret"]["SecretArn"]

    def rotate(self) -> None:
        """RDS changes the password first, and then the secret."""
        self._rds.modify_db_instance(
            DBInstanceIdentifier=self._name, RotateMasterUserPassword=True, ApplyImmediately=True
        )
        wait(lambda: self._status() == "available", CHANGE_SECONDS, "the database has no new password")

    def expected(self) -> str:
        """Its place in a URL."""
        login = json.loads(self._secrets.get_secret_value(SecretId=self._secret)["SecretString"])
        return f":{login['password']}@"

    def settle(self) -> None:
        """Nothing: PostgreSQL has forgotten the old one long since."""

    def _status(self) -> str:
        return self._rds.describe_db_instances(DBInstanceIdentifier=self._name)["DBInstances"][0]["DBInstanceStatus"]


class AppRole:
    """The password of the app's own role, which app servers bring to PostgreSQL."""

    def __init__(self, aws: Aws, secret: str) -> None:
        self._secrets, self._secret = aws("secretsmanager"), secret

    def rotate(self) -> None:
        """As `expressway db rotate-password` does: a new version, which is current at once."""
        login = {**self._login(), "password": secrets.token_hex(32)}
        self._secrets.put_secret_value(SecretId=self._secret, SecretString=json.dumps(login))

    def expected(self) -> str:
        """Its place in a URL."""
        return f":{self._login()['password']}@"

    def settle(self) -> None:
        """Nothing: PostgreSQL has forgotten the old one long since."""

    def _login(self) -> dict[str, str]:
        return json.loads(self._secrets.get_secret_value(SecretId=self._secret)["SecretString"])


def password(aws: Aws) -> Rotated:
    """The one with which the app connects to its database."""
    told = told_to_the_app()["database"]
    return AppRole(aws, told["secret"]) if told["master_secret"] else Database(aws)


class CacheToken:
    """The token that the program has made."""

    def __init__(self, aws: Aws) -> None:
        self._elasticache, self._secrets = aws("elasticache"), aws("secretsmanager")
        self._name = self._elasticache.describe_replication_groups()["ReplicationGroups"][0]["ReplicationGroupId"]
        self._secret = told_to_the_app()["cache"]["secret"]
        self._token = ""

    def rotate(self) -> None:
        """Both tokens are good from here on."""
        self._token = secrets.token_hex(16)
        self._modify("ROTATE")
        self._secrets.put_secret_value(SecretId=self._secret, SecretString=self._token)

    def expected(self) -> str:
        """Its place in a URL."""
        return f":{self._token}@"

    def settle(self) -> None:
        """Only the new one is good from here on."""
        self._modify("SET")

    def _modify(self, strategy: str) -> None:
        self._elasticache.modify_replication_group(
            ReplicationGroupId=self._name,
            AuthToken=self._token,
            AuthTokenUpdateStrategy=strategy,
            ApplyImmediately=True,
        )
        wait(lambda: self._status() == "available", CHANGE_SECONDS, "the cache has no new token")

    def _status(self) -> str:
        found = self._elasticache.describe_replication_groups(ReplicationGroupId=self._name)
        return found["ReplicationGroups"][0]["Status"]


class OwnSecret:
    """One of the app's own (`app.secrets`)."""

    def __init__(self, aws: Aws) -> None:
        self._secrets = aws("secretsmanager")
        own: dict[str, str] = told_to_the_app()["app"]["secrets"]
        if not own:
            raise SystemExit(
                "bench: the app has no secret of its own. Try: make up "
                "UP_ARGS='--secret shop/stripe=FILE --config expressway:app.secrets.STRIPE_KEY=shop/stripe'"
            )
        self.variable, self._secret = next(iter(own.items()))
        self.value = ""

    def rotate(self) -> None:
        """A new version, which is current at once."""
        self.value = secrets.token_hex(16)
        self._secrets.put_secret_value(SecretId=self._secret, SecretString=self.value)

    def expected(self) -> str:
        """Its line."""
        return f'{self.variable}="{self.value}"'

    def settle(self) -> None:
        """Nothing: whoever takes the value knows when the old one ends."""


KINDS: Final[dict[str, Callable[[Aws], Rotated]]] = {
    "database": password,
    "cache": CacheToken,
    "own": OwnSecret,
}


def aws() -> Aws:
    """The lab's API."""
    lab = read()
    if lab is None:
        raise SystemExit("bench: no lab is up here. Try: make up")
    return Aws(lab.endpoint, lab.region)


def told_to_the_app() -> dict[str, Any]:
    """What the app servers were told at their boot."""
    machine = next(machine["id"] for machine in status.machines() if machine["tier"] == "app")
    return json.loads(access.run(machine, ["cat", "/etc/expressway/machine.json"]).stdout)


def wait(true: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Until it is true; TimeoutError."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise}, after {seconds:.0f} s")
        time.sleep(1)
