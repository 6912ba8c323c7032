"""The app's environment: what the stack told the machine, and secrets fetched by name with the machine's role."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config

from . import apm, paths

POOL_PORT = 6432
"""PgBouncer's, on this machine alone."""


class SecretError(Exception):
    """A secret can't be read, or doesn't hold what it should. Its value is never in the message."""


def build(
    machine: config.Machine, release_id: str, instance_id: str, secrets: Mapping[str, str], pooled: str | None = None
) -> dict[str, str]:
    """The app's variables. `secrets` maps each name or ARN in `machine` to its value; APM's may be missing.

    `pooled` is the app's password for this machine's PgBouncer, which DATABASE_URL then leads to; without it, as for a
    release's command, that leads to the database itself.

    A team's own variables win over NODE_ENV, HOST and the addresses, so that an app can be pointed elsewhere; not over
    what says who and where this process is. Its NODE_OPTIONS follow those that measure and watch the app.
    """
    app = machine["app"]
    # HOST: many apps listen on it, and on this machine alone without it.
    variables = {"NODE_ENV": "production", "HOST": "0.0.0.0", "NODE_EXTRA_CA_CERTS": str(paths.CA_BUNDLE)}  # noqa: S104
    variables["EXPRESSWAY_ENVIRONMENT"] = str(paths.CURRENT)
    if database := machine["database"]:
        variables |= _database(database, secrets[database["secret"]], pooled)
    if cache := machine["cache"]:
        token = quote(secrets[cache["secret"]], safe="")
        variables["REDIS_URL"] = f"rediss://:{token}@{cache['host']}:{cache['port']}"
    if watcher := machine["apm"]:
        key = secrets.get(watcher["secret"]) if watcher["secret"] else ""
        variables |= apm.variables(machine, key, release_id, instance_id)
    variables |= {name: str(value) for name, value in app["environment"].items()}
    variables |= {name: secrets[source] for name, source in app["secrets"].items()}
    options = [f"--require={paths.MEASURE}"] if machine["metrics"] else []
    options += [apm.node_option()] if machine["apm"] else []
    if options:
        variables["NODE_OPTIONS"] = " ".join([*options, variables.get("NODE_OPTIONS", "")]).rstrip()
    return variables | {"PORT": str(app["port"]), "RELEASE_ID": release_id, "INSTANCE_ID": instance_id}


def needed_secrets(machine: config.Machine) -> list[str]:
    """The names and ARNs of the secrets without which the app can't start, each once."""
    sources = [service["secret"] for service in (machine["database"], machine["cache"]) if service]
    return list(dict.fromkeys([*sources, *machine["app"]["secrets"].values()]))


def wanted_secrets(machine: config.Machine) -> list[str]:
    """Those, and APM's, without which the app starts all the same."""
    watcher = machine["apm"]
    beside = [watcher["secret"]] if watcher and watcher["secret"] else []
    return list(dict.fromkeys([*needed_secrets(machine), *beside]))


def fetch_secret(client: Any, machine: config.Machine, name: str) -> str:
    """The current value of one secret. SecretError when it can't be read, or can't be what the app needs."""
    try:
        answer = client.get_secret_value(SecretId=name)
    except (BotoCoreError, ClientError) as error:
        raise SecretError(f"secret {name}: {error}") from error
    if "SecretString" not in answer:
        raise SecretError(f"secret {name} is binary; an environment variable needs text")
    value = answer["SecretString"]
    if "\0" in value:
        raise SecretError(f"secret {name} holds a NUL character; no environment variable can")
    if machine["database"] and machine["database"]["secret"] == name:
        login(name, value)
    return value


def as_environment_file(variables: Mapping[str, str]) -> str:
    """The text of a systemd EnvironmentFile. ValueError for a value that no environment can hold."""
    lines: list[str] = []
    for name, value in sorted(variables.items()):
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL character")
        escaped = "".join(f"\\{each}" if each in '"\\`$' else each for each in value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def pool_names(database: Mapping[str, Any]) -> list[str]:
    """What PgBouncer calls the database and each of its replicas."""
    # Others have no place in its file, though their real names have.
    name = database["name"] if re.fullmatch(r"[A-Za-z0-9_.-]+", database["name"]) else "database"
    replicas = database["replica_hosts"]
    return [name, *(f"{name}-replica-{number}" for number in range(1, len(replicas) + 1))]


def _database(database: Mapping[str, Any], secret: str, pooled: str | None) -> dict[str, str]:
    user, password = (quote(part, safe="") for part in login(database["secret"], secret))

    def url(host: str) -> str:
        tls = f"sslmode=verify-full&sslrootcert={paths.RDS_CA}"
        return f"postgresql://{user}:{password}@{host}:{database['port']}/{quote(database['name'], safe='')}?{tls}"

    direct, *replicas = (url(host) for host in [database["host"], *database["replica_hosts"]])
    variables = {"DATABASE_DIRECT_URL": direct}
    if pooled is None:
        variables |= {"DATABASE_URL": direct, "DATABASE_REPLICA_URLS": ",".join(replicas)}
    else:
        # To this machine, without TLS: also for clients that insist on it unless they are told, or don't read sslmode.
        first, *others = (
            f"postgresql://{user}:{quote(pooled, safe='')}@127.0.0.1:{POOL_PORT}/{quote(name, safe='')}?sslmode=disable"
            for name in pool_names(database)
        )
        variables |= {"DATABASE_URL": first, "DATABASE_REPLICA_URLS": ",".join(others)}
    if database["pooler"] == "none":
        variables["DATABASE_POOL_SIZE"] = str(database["pool_size"])
    return variables


def login(name: str, secret: str) -> tuple[str, str]:
    """User and password, which RDS keeps as JSON."""
    try:
        login = json.loads(secret)
        user, password = login["username"], login["password"]
    except (ValueError, KeyError, TypeError):
        user = password = None
    if not isinstance(user, str) or not isinstance(password, str):
        # Raised out here: a JSON error quotes the text that it failed on, and would be this one's context.
        raise SecretError(f"secret {name} doesn't hold username and password as JSON")
    return user, password
