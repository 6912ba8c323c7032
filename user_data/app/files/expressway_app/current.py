"""The app's environment as it is now: the secrets' values, and the files that hand them to the app.

expressway-app.service runs `main` as root before each start; the daemon that follows the secrets (follow.py) runs
`refresh` while the app is up. All files are on a tmpfs and nobody else's: nothing secret is in an argument, a log or a
file on disk. Killed at any point and run again, both end in the same state.
"""

import contextlib
import fcntl
import hashlib
import json
import sys
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expressway_machine import config, files, metadata
from expressway_machine.aws import Clients

from . import environment, paths, pool
from .environment import SecretError

SECRET = 0o600
FOR_THE_APP = 0o640
DIRECT = "DATABASE_DIRECT_URL"
"""Past PgBouncer or RDS Proxy, with the database's own password."""
MEASURED = ("DATABASE_URL", "REDIS_URL", "REDIS_CLUSTER")
"""The variables that say which services the collector looks at, with the passwords that the app has."""


@dataclass(frozen=True)
class Refreshed:
    """What a look at the secrets led to."""

    variables: dict[str, str]
    """The environment of a worker that starts now."""
    unreadable: tuple[str, ...] = ()
    """Which secrets could not be read, and why; each has its last good value in `variables`, if it ever had one."""
    changed: tuple[str, ...] = ()
    """The names of variables that are not what the app could read before."""

    quiet: tuple[str, ...] = ()
    """The names of variables for which no worker is reloaded: who uses one reads it anew when it connects."""

    @property
    def digest(self) -> str:
        """Tells two environments apart, and neither from anything else."""
        told = {name: value for name, value in self.variables.items() if name not in self.quiet}
        return hashlib.sha256(environment.as_environment_file(told).encode()).hexdigest()


def refresh(machine: config.Machine, client: Any, instance_id: str, *, starting: bool = False) -> Refreshed:
    """Read the secrets and hand the app their values. SecretError when one that it needs never could be read.

    A version that can't be read changes nothing: its secret keeps the last value that could. `starting`: all workers
    are about to start with this environment.
    """
    paths.ENVIRONMENT.parent.mkdir(mode=0o755, exist_ok=True)
    with _locked():
        known, unreadable = known_secrets(), list[str]()
        _fetch(machine, client, environment.wanted_secrets(machine), known, unreadable)
        # `current` was made by install: its target's name is the release.
        release_id = paths.RELEASES.joinpath("current").readlink().name
        pooled = pool.passwords() if pool.used(machine) else None
        proxied, local = environment.proxied(machine), pooled.app if pooled else None
        variables = environment.build(machine, release_id, instance_id, known, local, through_proxy=proxied)
        before = _read(paths.CURRENT)
        changed = tuple(name for name in sorted(variables) if variables[name] != before.get(name))
        refreshed = Refreshed(variables, tuple(unreadable), changed, _quiet(machine))
        files.write(paths.SECRETS, json.dumps(known), SECRET)
        files.write(paths.ENVIRONMENT, environment.as_environment_file(variables), SECRET)
        files.write(paths.CURRENT, json.dumps(variables, indent=1), FOR_THE_APP, group=paths.USER)
        if pooled and not starting:
            pool.follow(pool.write(machine, known))
        if machine["metrics"]:
            services = {name: variables[name] for name in MEASURED if name in variables}
            if (pooled or proxied) and not {"DATABASE_URL"} & _own(machine):
                # The database is measured past the pool, and the pool by itself.
                services |= {"DATABASE_URL": variables[DIRECT]}
                services |= {"POOL_URL": pool.statistics_url(pooled)} if pooled else {}
            files.write(paths.SERVICES, json.dumps(services, indent=1), FOR_THE_APP, group=paths.SERVICES_GROUP)
        if starting:
            workers_run_with(refreshed.digest)
            files.write(paths.STARTED, digest_of(paths.ECOSYSTEM), SECRET)
    return refreshed


def write_pool(machine: config.Machine, client: Any) -> str:
    """Write what a PgBouncer reads that is about to start; its digest. SecretError without a database's password."""
    paths.ENVIRONMENT.parent.mkdir(mode=0o755, exist_ok=True)
    with _locked():
        known, unreadable = known_secrets(), list[str]()
        names = dict.fromkeys(shard["secret"] for shard in environment.shards(machine["database"]))
        _fetch(machine, client, names, known, unreadable)
        files.write(paths.SECRETS, json.dumps(known), SECRET)
        return pool.write(machine, known)


def _fetch(
    machine: config.Machine, client: Any, names: Iterable[str], known: dict[str, str], unreadable: list[str]
) -> None:
    """Put the secrets' values into `known`; of one that can't be read, the last good one stays."""
    needed = environment.needed_secrets(machine)
    for name in names:
        try:
            known[name] = environment.fetch_known(client, machine, name)
        except SecretError as error:
            if name not in known and name in needed:
                raise
            unreadable.append(str(error))


def _own(machine: config.Machine) -> set[str]:
    """The variables that are the team's own."""
    return machine["app"]["environment"].keys() | machine["app"]["secrets"].keys()


def _quiet(machine: config.Machine) -> tuple[str, ...]:
    """Without PgBouncer, DATABASE_URL has the same password."""
    return tuple({DIRECT} - _own(machine))


def workers_run_with(digest: str) -> None:
    """Remember that every worker has the environment of `digest`."""
    files.write(paths.WORKERS, digest, SECRET)


def workers_have() -> str:
    """The digest of the environment that every worker has; empty when they differ, or nobody knows."""
    with contextlib.suppress(OSError):
        return paths.WORKERS.read_text()
    return ""


def pm2_runs(ecosystem: str) -> bool:
    """Whether PM2 was started with this ecosystem file; only a restart of the service gives it another."""
    with contextlib.suppress(OSError):
        return paths.STARTED.read_text() == hashlib.sha256(ecosystem.encode()).hexdigest()
    return False


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; empty when there is none."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def known_secrets() -> dict[str, str]:
    """The last good value of each secret, by its name."""
    return {name: value for name, value in _read(paths.SECRETS).items() if isinstance(value, str)}


def _read(path: Any) -> Mapping[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    return {}


@contextlib.contextmanager
def _locked() -> Generator[None]:
    with paths.LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Write the environment of a service that is about to start; the exit status."""
    try:
        machine = config.load()
        client = Clients(machine["region"]).get("secretsmanager")
        refreshed = refresh(machine, client, metadata.instance_id(), starting=True)
    except (OSError, ValueError, SecretError) as error:
        print(f"expressway: the app's environment: {error}", file=sys.stderr)
        return 1
    for problem in refreshed.unreadable:
        print(f"expressway: the app starts with what is known, in spite of {problem}", file=sys.stderr)
    return 0


def prepare_pool() -> int:
    """Write the configuration of a PgBouncer that is about to start; the exit status."""
    try:
        machine = config.load()
        pool.loaded(write_pool(machine, Clients(machine["region"]).get("secretsmanager")))
    except (OSError, ValueError, SecretError) as error:
        print(f"expressway: PgBouncer's configuration: {error}", file=sys.stderr)
        return 1
    return 0
