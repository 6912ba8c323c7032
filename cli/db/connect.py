"""psql on the stack's database, by the way that there is to it."""

import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.console import fail, refuse
from cli.targets import Target

if TYPE_CHECKING:
    from operate.database.connect import Login


def psql(target: Target, login: "Login", words: Sequence[str]) -> int:
    """Run it on this process's own terminal and streams; its exit status."""
    if shutil.which("psql") is None:
        refuse("psql is not on PATH: install PostgreSQL's client (Debian: apt install postgresql-client)")
    with _way(target, login) as (before, variables):
        process = subprocess.Popen([*before, "psql", *words], env={**os.environ, **variables})
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # psql's own: it ends a query


@contextmanager
def _way(target: Target, login: "Login") -> Generator[tuple[list[str], dict[str, str]]]:
    """What goes before the command, and what it finds in its environment, where no other user sees it."""
    if target.in_lab:
        yield _in_lab(login)
        return
    from operate.forwarding import LOCAL, ForwardingError, forwarded

    try:
        with forwarded(target.stack, login.host, login.port) as port:
            yield [], login.environment(LOCAL, port)
    except ForwardingError as error:
        fail(str(error))


def _in_lab(login: "Login") -> tuple[list[str], dict[str, str]]:
    """From an app server's place in the network, as others aren't let in."""
    from lab import status
    from lab.machines import access
    from lab.machines.observation import leader
    from operate.database.instance import DatabaseError

    if os.geteuid() != 0:
        fail("the lab's machines are root's: run this as root")
    for machine in (each["id"] for each in status.machines() if each["tier"] == "app"):
        if (pid := leader(machine)) is None:
            continue
        asked = access.run(machine, ["getent", "ahostsv4", login.host])
        if asked.returncode == 0:
            address = asked.stdout.split()[0]
            return ["nsenter", f"--target={pid}", "--net", "--"], login.environment(address, login.port)
    raise DatabaseError(f"no app server of the lab finds {login.host}: ./expressway lab status says how they are")
