"""What the API has begun to change in a running service: do it where the service runs, then tell the API.

Doing it again changes nothing, so whatever is killed half-way is done by the next round.
"""

import contextlib
import json
import time
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from lab.machines import access
from lab.machines.machine import halt
from lab.machines.services import load_balancer, postgresql, proxy, redis, redis_connection
from lab.machines.services.postgresql_settings import ALWAYS, NEVER, PENDING

from .api import Api
from .cluster import reshape
from .plan import (
    Change,
    Configuration,
    Failover,
    ParameterChange,
    Pooling,
    Promotion,
    Reconfiguration,
    Reshape,
    Restart,
    Rotation,
    TokenChange,
)
from .standby import Settings, Synchrony, Takeover

PATIENCE: Final = ("timeout", "15")
"""Begins a command of a server that may hang: nothing else is done to its machine meanwhile."""
FOLLOWING: Final = ("timeout", "30")
"""The same of one that may have to replay something, and to start anew."""
GAP_SECONDS: Final = 1.0
"""Between the new password in PostgreSQL and the secret that says so, when readers still get the old one. RDS does not
say how long that takes there, and promises no order that would do without it."""


class ChangeError(Exception):
    """A service did not take a change; the message has its own words, and nothing secret."""


def carry_out(api: Api, service: str, machine: str, change: Change, machines: Path) -> None:
    """Do it, and tell the API. Connections that are open stay open."""
    match change:
        case Rotation():
            _set_password(api, service, machine, change, machines)
        case Promotion():
            _run(machine, postgresql.psql(change.port), postgresql.PROMOTE, machines)
            api.put(f"db-instances/{service}/promoted")
        case Restart():
            _restart(api, service, machine, change, machines)
        case Configuration():
            _configure(machine, change.settings, change.port, NEVER, machines)
            if change.standby:
                _follow(machine, change.standby, change.settings, change.port, machines)
            api.put(f"db-instances/{service}/settings/{change.settings.version}")
        case Takeover():
            _take_over(api, service, change, machines)
        case Synchrony():
            _synchronize(api, service, machine, change, machines)
        case Failover() if change.cluster:
            _take_over_shard(api, service, change, machines)
        case Reshape():
            _reshape(api, service, change, machines)
        case Failover():
            _fail_over(api, service, change, machines)
        case TokenChange():
            _take_tokens(api, service, change, machines)
        case ParameterChange():
            for each in change.machines:
                _run(each, redis.command(), redis.configure(dict(change.parameters), change.memory), machines)
            api.put(f"replication-groups/{service}/parameters/{change.version}")
        case Reconfiguration():
            command, given = load_balancer.apply(change.version, json.loads(change.configuration))
            _run(machine, command, given, machines)
            api.put(f"load-balancers/{service}/configuration/{change.version}")
        case Pooling():
            _pool(api, service, machine, change, machines)


def _set_password(api: Api, database: str, machine: str, rotation: Rotation, machines: Path) -> None:
    login = _login(api, database, rotation)
    statement = postgresql.set_password(login["username"], login["password"])
    _run(machine, postgresql.psql(rotation.port), statement, machines, login["password"])
    time.sleep(GAP_SECONDS)
    api.put(f"db-instances/{database}/password/{rotation.version}")


def _login(api: Api, database: str, rotation: Rotation) -> dict[str, str]:
    if rotation.secret_arn is None:
        return api.get(f"db-instances/{database}/login")
    secret = api.aws("secretsmanager").get_secret_value(SecretId=rotation.secret_arn, VersionId=rotation.version)
    return json.loads(secret["SecretString"])


def _take_over(api: Api, database: str, change: Takeover, machines: Path) -> None:
    """The former primary first, whatever state it is in: from then on it acknowledges nothing."""
    halt(change.former, machines, grace=0)
    _run(change.machine, postgresql.psql(change.port), postgresql.PROMOTE, machines)
    _configure(change.machine, change.settings, change.port, PENDING, machines)
    api.put(f"db-instances/{database}/settings/{change.settings.version}")
    api.put(f"db-instances/{database}/primary/{change.node}")


def _restart(api: Api, database: str, machine: str, change: Restart, machines: Path) -> None:
    try:
        _configure(machine, change.settings, change.port, ALWAYS, machines)
    except ChangeError:
        # Once: more starts would end the same way, until somebody changes what it is to start with.
        api.put(f"db-instances/{database}/incompatible")
        raise
    # Its standby is told next, as of any other change.
    api.put(f"db-instances/{database}/rebooted")


def _follow(primary: str, standby: str, settings: Settings, port: int, machines: Path) -> None:
    """A standby can't have less of some things than the log asks for that it has yet to replay."""
    reached = _run(primary, postgresql.questions(port), postgresql.POSITION, machines).strip()
    command, given = postgresql.configure(dict(settings.values), port, PENDING, reached)
    _run(standby, [*FOLLOWING, *command], given, machines)


def _configure(machine: str, settings: Settings, port: int, restart: str, machines: Path) -> None:
    _run(machine, *postgresql.configure(dict(settings.values), port, restart), machines)


def _synchronize(api: Api, database: str, machine: str, change: Synchrony, machines: Path) -> None:
    """The API hears that a standby is behind before it is, and that it is synchronous after it is."""
    told = [*PATIENCE, *postgresql.psql(change.port)]
    if change.on:
        if change.standby:
            _follow(machine, change.standby, change.settings, change.port, machines)
        _run(machine, told, postgresql.WAIT_FOR_STANDBY, machines)
        api.put(f"db-instances/{database}/standby/synchronous")
        return
    api.put(f"db-instances/{database}/standby/behind")
    _run(machine, told, postgresql.WAIT_FOR_NOBODY, machines)
    if change.leaving:
        api.put(f"db-instances/{database}/standby/gone")


def _fail_over(api: Api, cache: str, failover: Failover, machines: Path) -> None:
    """The new primary first: what the old one was sent last reaches it only while that is still one."""
    for address, machine in failover.machines:
        if address == failover.address:
            _run(machine, redis.command(), redis.become(None, failover.port), machines)
    for address, machine in failover.machines:
        if address != failover.address:
            _run(machine, redis.command(), redis.become(failover.address, failover.port), machines)
    api.put(f"replication-groups/{cache}/primary/{failover.node}")


def _take_over_shard(api: Api, cache: str, failover: Failover, machines: Path) -> None:
    """The nodes hear of it from the new primary, and a former one that lives becomes its replica by itself."""
    machine = dict(failover.machines)[failover.address]
    password = api.get(f"replication-groups/{cache}/tokens")["replication"]
    with redis_connection.connect(redis_connection.socket_of(machine, machines), password) as node:
        # A second time it would refuse.
        if node.ask("ROLE")[0] == b"slave":
            node.ask("CLUSTER", "FAILOVER", "TAKEOVER")
    api.put(f"replication-groups/{cache}/primary/{failover.node}")


def _reshape(api: Api, cache: str, change: Reshape, machines: Path) -> None:
    """The next part of it; the API hears how far it is."""
    password = api.get(f"replication-groups/{cache}/tokens")["replication"]
    with contextlib.ExitStack() as open_ones:
        nodes = {
            each.machine: open_ones.enter_context(
                redis_connection.connect(redis_connection.socket_of(each.machine, machines), password)
            )
            for each in change.nodes
        }
        state = reshape(change, nodes, password)
    if state.slots:
        api.tell(f"replication-groups/{cache}/slots", state.slots)
    if state.done:
        api.put(f"replication-groups/{cache}/shape/{change.version}")


def _take_tokens(api: Api, cache: str, change: TokenChange, machines: Path) -> None:
    tokens = tuple(api.get(f"replication-groups/{cache}/tokens")["tokens"])
    for machine in change.machines:
        _run(machine, redis.command(), redis.take(tokens), machines, *tokens)
    api.put(f"replication-groups/{cache}/tokens/{change.version}")


def _pool(api: Api, service: str, machine: str, change: Pooling, machines: Path) -> None:
    """With those logins that can be read; until all are, the API hears which isn't, and it is tried again."""
    configuration, logins, unreadable = json.loads(change.configuration), dict[str, str](), list[str]()
    # A session's name has 64 characters at most.
    secrets = api.as_role(change.role, machine[-64:])("secretsmanager")
    for secret in configuration["secrets"]:
        try:
            login = json.loads(secrets.get_secret_value(SecretId=secret)["SecretString"])
            logins[str(login["username"])] = str(login["password"])
        except (BotoCoreError, ClientError, KeyError, TypeError, ValueError) as error:
            # Not the words of who can't read JSON: they are the secret's.
            why = str(error) if isinstance(error, BotoCoreError | ClientError) else "no username and password as JSON"
            unreadable.append(f"the secret {secret} of its logins can't be read: {why}")
    command, given = proxy.apply(configuration, logins)
    _run(machine, [*PATIENCE, *command], given, machines, *logins.values())
    if unreadable:
        api.tell(f"db-proxies/{service}/unreadable", {"why": unreadable[0]})
        raise ChangeError(f"{service}: {unreadable[0]}")
    api.put(f"db-proxies/{service}/configuration/{change.version}")


def _run(machine: str, command: list[str], given: str, machines: Path, *secrets: str) -> str:
    done = access.run(machine, command, machines, stdin=given)
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}".strip()
        for secret in secrets:
            said = said.replace(secret, "…")
        raise ChangeError(f"{machine}: {said}")
    return done.stdout
