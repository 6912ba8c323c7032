"""The app's environment: what the stack told the machine, and secrets fetched by name with the machine's role."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import config

from . import apm, external, paths

POOL_PORT = 6432
"""PgBouncer's, on this machine alone."""
PROXY_PORT = 5432
"""Of each RDS Proxy of PostgreSQL's."""


class SecretError(Exception):
    """A secret can't be read, or doesn't hold what it should. Its value is never in the message."""


def build(
    machine: config.Machine,
    release_id: str,
    instance_id: str,
    secrets: Mapping[str, str],
    pooled: str | None = None,
    *,
    through_proxy: bool = False,
) -> dict[str, str]:
    """The app's variables. `secrets` maps each name or ARN in `machine` to its value; APM's may be missing.

    `pooled` is the app's password for this machine's PgBouncer, which DATABASE_URL then leads to; `through_proxy`, it
    leads to the database's RDS Proxy. Without either, as for a release's command, to the database itself.

    A team's own variables win over NODE_ENV, HOST and the addresses, so that an app can be pointed elsewhere; not over
    what says who and where this process is. Its NODE_OPTIONS follow those that measure and watch the app.
    """
    app = machine["app"]
    # HOST: many apps listen on it, and on this machine alone without it.
    variables = {"NODE_ENV": "production", "HOST": "0.0.0.0", "NODE_EXTRA_CA_CERTS": str(paths.CA_BUNDLE)}  # noqa: S104
    variables["EXPRESSWAY_ENVIRONMENT"] = str(paths.CURRENT)
    if database := machine["database"]:
        variables |= _database(database, secrets, pooled, through_proxy)
    if cache := machine["cache"]:
        variables["REDIS_URL"] = cache_url(cache, secrets)
        if cache["cluster"] and "REDIS_URL" not in {*app["environment"], *app["secrets"]}:
            variables["REDIS_CLUSTER"] = "true"
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


def cache_url(cache: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    """The cache's address, with its token."""
    return f"rediss://:{quote(secrets[cache['secret']], safe='')}@{cache['host']}:{cache['port']}"


def needed_secrets(machine: config.Machine) -> list[str]:
    """The names and ARNs of the secrets without which the app can't start, each once."""
    services = [*shards(machine["database"]), machine["cache"]]
    sources = [service["secret"] for service in services if service]
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
    for database in shards(machine["database"]):
        if database["secret"] == name:
            located(database, value)
    return value


def fetch_known(client: Any, machine: config.Machine, name: str) -> str:
    """The same; of the app's own role at a database, once PostgreSQL knows the password."""
    if not any(each["secret"] == name and each.get("master_secret") for each in shards(machine["database"])):
        return fetch_secret(client, machine, name)
    from . import role  # PostgreSQL's client is some MB of memory, which most need not have

    return role.fetch(client, machine, name)


def as_environment_file(variables: Mapping[str, str]) -> str:
    """The text of a systemd EnvironmentFile. ValueError for a value that no environment can hold."""
    lines: list[str] = []
    for name, value in sorted(variables.items()):
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL character")
        escaped = "".join(f"\\{each}" if each in '"\\`$' else each for each in value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def proxied(machine: config.Machine) -> bool:
    """Whether the app reaches its database through an RDS Proxy."""
    database = machine["database"]
    return bool(database) and database["pooler"] == "rds-proxy"


def shards(database: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The database, and the others that have a part of the data each. Their order is what tells them apart."""
    return [database, *database.get("shards", [])] if database else []


def located(database: Mapping[str, Any], secret: str) -> tuple[Mapping[str, Any], tuple[str, str]]:
    """The database with host and name, and who logs in: all of them in the secret of an external one. SecretError."""
    if not database.get("url_secret"):
        return database, login(database["secret"], secret)
    try:
        address = external.read(secret, database["port"])
    except external.AddressError as error:
        raise SecretError(f"secret {database['secret']}: {error}") from None
    return external.placed(database, address), (address["user"], address["password"])


def all_located(
    database: Mapping[str, Any], secrets: Mapping[str, str]
) -> tuple[Mapping[str, Any], list[tuple[str, str]]]:
    """The same of a database with its shards."""
    found = [located(each, secrets[each["secret"]]) for each in shards(database)]
    return found[0][0], [who for _, who in found]


def tls(database: Mapping[str, Any]) -> dict[str, str]:
    """libpq's sslmode for it; where that verifies, sslrootcert, the authorities that may vouch for it.

    RDS's alone vouch for the stack's own. A mode that verifies nothing must have no authorities: libpq would ask them.
    """
    if not database.get("url_secret"):
        return {"sslmode": "verify-full", "sslrootcert": str(paths.RDS_CA)}
    mode = database["sslmode"]
    return {"sslmode": mode, **({"sslrootcert": str(paths.CA_BUNDLE)} if mode.startswith("verify") else {})}


def pool_names(database: Mapping[str, Any]) -> list[list[str]]:
    """What PgBouncer calls each shard, after it its replicas, and last what leads to any of its readers.

    A shard has the number that the kit gives it.
    """
    # Others have no place in its file, though their real names have.
    name = database["name"] if re.fullmatch(r"[A-Za-z0-9_.-]+", database["name"]) else "database"
    found: list[list[str]] = []
    for place, shard in enumerate(shards(database)):
        own = f"{name}-shard-{place}" if place else name
        replicas = [f"{own}-replica-{number}" for number in range(1, len(shard["replica_hosts"]) + 1)]
        found.append([own, *replicas, *([f"{own}-reader"] if shard.get("reader_host") else [])])
    return found


def hosts(database: Mapping[str, Any]) -> list[str]:
    """The names of a shard, its replicas, and what leads to any of its readers, in the order of `pool_names`."""
    reader = database.get("reader_host")
    return [database["host"], *database["replica_hosts"], *([reader] if reader else [])]


def _database(
    database: Mapping[str, Any], secrets: Mapping[str, str], pooled: str | None, through_proxy: bool
) -> dict[str, str]:
    database, logins = all_located(database, secrets)
    direct = [_direct(shard, *each) for shard, each in zip(shards(database), logins, strict=True)]
    told = direct
    if pooled is not None:
        names = zip(logins, pool_names(database), strict=True)
        told = [[_through_pool(user, pooled, name) for name in each] for (user, _), each in names]
    if through_proxy:
        told = [_through_proxy(shard, *each) for shard, each in zip(shards(database), logins, strict=True)]
    variables = {
        "DATABASE_DIRECT_URL": direct[0][0],
        "DATABASE_URL": told[0][0],
        "DATABASE_REPLICA_URLS": "",
    }
    if len(told) > 1:
        variables["DATABASE_SHARD_URLS"] = ",".join(primary for primary, *_ in told)
    for place, (shard, (_, *others)) in enumerate(zip(shards(database), told, strict=True)):
        # A reader's name leads to another one each time, so that nobody can say how far behind it is.
        reader = others.pop() if shard.get("reader_host") else None
        if not place:
            variables["DATABASE_REPLICA_URLS"] = ",".join(others)
        if others and len(told) > 1:
            variables[f"DATABASE_SHARD_{place}_REPLICA_URLS"] = ",".join(others)
        if reader:
            variables[f"DATABASE_SHARD_{place}_READER_URL" if place else "DATABASE_READER_URL"] = reader
    if database["pooler"] != "pgbouncer":
        variables["DATABASE_POOL_SIZE"] = str(database["pool_size"])
    return variables


def _direct(database: Mapping[str, Any], user: str, password: str) -> list[str]:
    """The addresses of a shard, its replicas and its readers themselves."""
    where = database["port"], database["name"], tls(database)
    return [_address(user, password, host, *where) for host in hosts(database)]


def _through_proxy(database: Mapping[str, Any], user: str, password: str) -> list[str]:
    """The same, of the database and its readers by their RDS Proxy. No proxy can stand before a replica."""
    proxies = {database["host"]: database["proxy_host"], database.get("reader_host"): database["proxy_reader_host"]}
    # A proxy's certificate is of ACM's, whose authorities are in every system's list, and not of RDS's.
    where = PROXY_PORT, database["name"], {"sslmode": "verify-full", "sslrootcert": str(paths.SYSTEM_CA)}
    return [
        _address(user, password, proxy, *where) if proxy else direct
        for direct, host in zip(_direct(database, user, password), hosts(database), strict=True)
        for proxy in [proxies.get(host)]
    ]


def _address(user: str, password: str, host: str, port: int, name: str, tls: Mapping[str, str]) -> str:
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    encrypted = "&".join(f"{key}={value}" for key, value in tls.items())
    return f"postgresql://{who}@{host}:{port}/{quote(name, safe='')}?{encrypted}"


def _through_pool(user: str, password: str, name: str) -> str:
    # To this machine, without TLS: also for clients that insist on it unless they are told, or don't read sslmode.
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"postgresql://{who}@127.0.0.1:{POOL_PORT}/{quote(name, safe='')}?sslmode=disable"


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
