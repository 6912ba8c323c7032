"""The app's environment: what the stack told the machine, and secrets fetched by name with the machine's role.

expressway-app.service runs this as root before each start. The file it leaves is on a tmpfs, for root's eyes only;
systemd reads it and hands it to the app. Nothing secret is in an argument, a log or a file on disk.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config, files, metadata
from expressway_machine.aws import Clients

from . import paths


class SecretError(Exception):
    """A secret can't be read, or doesn't hold what it should. Its value is never in the message."""


def build(machine: config.Machine, release_id: str, instance_id: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The app's variables. `secrets` maps each name or ARN in `machine` to its value.

    A team's own variables win over NODE_ENV and the addresses, so that an app can be pointed elsewhere; not over what
    says who and where this process is.
    """
    app = machine["app"]
    variables = {"NODE_ENV": "production", "NODE_EXTRA_CA_CERTS": str(paths.CA_BUNDLE)}
    if database := machine["database"]:
        variables |= _database(database, secrets[database["secret"]])
    if cache := machine["cache"]:
        token = quote(secrets[cache["secret"]], safe="")
        variables["REDIS_URL"] = f"rediss://:{token}@{cache['host']}:{cache['port']}"
    variables |= {name: str(value) for name, value in app["environment"].items()}
    variables |= {name: secrets[source] for name, source in app["secrets"].items()}
    return variables | {"PORT": str(app["port"]), "RELEASE_ID": release_id, "INSTANCE_ID": instance_id}


def wanted_secrets(machine: config.Machine) -> list[str]:
    """The names and ARNs of all secrets that the app's environment needs, each once."""
    sources = [service["secret"] for service in (machine["database"], machine["cache"]) if service]
    return list(dict.fromkeys([*sources, *machine["app"]["secrets"].values()]))


def fetch_secrets(client: Any, names: list[str]) -> dict[str, str]:
    """The current value of each secret. SecretError when one can't be read or isn't text."""
    values: dict[str, str] = {}
    for name in names:
        try:
            answer = client.get_secret_value(SecretId=name)
        except (BotoCoreError, ClientError) as error:
            raise SecretError(f"secret {name}: {error}") from error
        if "SecretString" not in answer:
            raise SecretError(f"secret {name} is binary; an environment variable needs text")
        values[name] = answer["SecretString"]
    return values


def as_environment_file(variables: Mapping[str, str]) -> str:
    """The text of a systemd EnvironmentFile. ValueError for a value that no environment can hold."""
    lines: list[str] = []
    for name, value in sorted(variables.items()):
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL character")
        escaped = "".join(f"\\{each}" if each in '"\\`$' else each for each in value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def _database(database: Mapping[str, Any], secret: str) -> dict[str, str]:
    try:
        login = json.loads(secret)
        user, password = quote(login["username"], safe=""), quote(login["password"], safe="")
    except (ValueError, KeyError, TypeError):
        # `from None`: a JSON error quotes the text that it failed on.
        raise SecretError(f"secret {database['secret']} doesn't hold username and password as JSON") from None

    def url(host: str) -> str:
        tls = f"sslmode=verify-full&sslrootcert={paths.RDS_CA}"
        return f"postgresql://{user}:{password}@{host}:{database['port']}/{quote(database['name'], safe='')}?{tls}"

    replicas = ",".join(url(host) for host in database["replica_hosts"])
    return {"DATABASE_URL": url(database["host"]), "DATABASE_REPLICA_URLS": replicas}


def main() -> int:
    """Write the environment file; the exit status."""
    try:
        machine = config.load()
        secrets = fetch_secrets(Clients(machine["region"]).get("secretsmanager"), wanted_secrets(machine))
        # `current` was made by install: its target's name is the release.
        release_id = paths.RELEASES.joinpath("current").readlink().name
        variables = build(machine, release_id, metadata.instance_id(), secrets)
        paths.ENVIRONMENT.parent.mkdir(mode=0o755, exist_ok=True)
        files.write(paths.ENVIRONMENT, as_environment_file(variables), 0o600)
    except (OSError, ValueError, SecretError) as error:
        print(f"expressway: the app's environment: {error}", file=sys.stderr)
        return 1
    return 0
