"""A database whose password is being changed: set it where PostgreSQL runs, then tell the API that it counts."""

import json
import time
from pathlib import Path
from typing import Final

from lab.machines import access
from lab.machines.services import postgresql

from .api import Api
from .plan import Rotation

GAP_SECONDS: Final = 1.0
"""Between the new password in PostgreSQL and the secret that says so, when readers still get the old one. RDS does not
say how long that takes there, and promises no order that would do without it."""


class RotationError(Exception):
    """PostgreSQL did not take the password; the message has its own words, and never the password."""


def set_password(api: Api, database: str, machine: str, rotation: Rotation, machines: Path) -> None:
    """Change the password. Open sessions go on, new ones need the new password. Doing it again changes nothing."""
    secret = api.aws("secretsmanager").get_secret_value(SecretId=rotation.secret_arn, VersionId=rotation.version)
    login = json.loads(secret["SecretString"])
    statement = postgresql.set_password(login["username"], login["password"])
    done = access.run(machine, postgresql.psql(rotation.port), machines, stdin=statement)
    if done.returncode != 0:
        raise RotationError(f"{database}: {done.stderr.replace(login['password'], '…').strip()}")
    time.sleep(GAP_SECONDS)
    api.put(f"db-instances/{database}/password/{rotation.version}")
