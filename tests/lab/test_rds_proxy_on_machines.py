"""The stack with `database.pooler: rds-proxy`: requests go by the proxy's machine, whatever happens behind it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests

from lab.config import read
from lab.machines.services import postgresql
from tests.lab.stack import Stack, expressway, up

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

PAUSE = 0.1
"""Seconds between two writes of one client."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    expressway("lab", "down")
    yield up("--config", "expressway:database.pooler=rds-proxy", "--config", "expressway:database.multiAz=true")
    expressway("lab", "down")


@dataclass
class Writers:
    """Clients that write all the time; what the writes ended with, and which of them were acknowledged."""

    stack: Stack
    statuses: list[int | str] = field(default_factory=list[int | str])
    acknowledged: set[str] = field(default_factory=set[str])
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def __enter__(self) -> "Writers":
        self._threads = [threading.Thread(target=self._write, args=(each,)) for each in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _write(self, client: int) -> None:
        number = 0
        with requests.Session() as session:
            session.trust_env = False
            while not self._stopped.wait(PAUSE):
                number += 1
                name = f"proxy-{id(self)}-{client}-{number}"
                try:
                    status: int | str = session.post(
                        f"{self.stack.url}/items", json={"name": name}, timeout=30
                    ).status_code
                except requests.RequestException as error:
                    status = type(error).__name__
                self.statuses.append(status)
                if status == 201:
                    self.acknowledged.add(name)

    @property
    def failed(self) -> list[int | str]:
        return [each for each in self.statuses if each != 201]


def primary(stack: Stack) -> str:
    """The machine that takes writes."""
    for each in stack.machines("database"):
        done = stack.shell(each["id"], *postgresql.questions(5432), "--command=select pg_is_in_recovery()")
        if done.stdout.strip() == "f":
            return each["id"]
    raise AssertionError("no machine takes writes")


def ask(stack: Stack, statement: str) -> list[str]:
    """Of the app's database, by the superuser."""
    done = stack.shell(primary(stack), *postgresql.questions(5432), "--dbname=app", f"--command={statement}")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def allowed() -> int:
    """Connections that the proxy may have."""
    lab = read()
    assert lab
    (proxy,) = requests.get(f"{lab.endpoint}/lab/v1/db-proxies", timeout=10).json()
    return int(proxy["configuration"]["connections"])


def test_the_app_is_answered_through_the_proxy_which_has_its_share_of_the_connections(stack: Stack) -> None:
    (proxy,) = stack.machines("proxy")
    with Writers(stack) as writers:
        time.sleep(3)
        found = ask(
            stack, "select client_addr, count(*) from pg_stat_activity where client_addr is not null group by 1"
        )
    counts = dict(line.split("|") for line in found)
    assert writers.failed == []
    assert 0 < int(counts[proxy["address"]]) <= allowed()
    names = {each["name"] for each in stack.get("/items").json()}
    assert names & writers.acknowledged


def test_clients_without_tls_are_refused(stack: Stack) -> None:
    program = """
import json, psycopg2
url = json.load(open("/run/expressway/environment.json"))["DATABASE_URL"]
psycopg2.connect(url).close()
print("verified")
psycopg2.connect(url.replace("sslmode=verify-full", "sslmode=disable"))
"""
    done = stack.shell(stack.machines("app")[0]["id"], "/usr/bin/python3", "-c", program)
    assert done.stdout == "verified\n"
    assert "SSL required" in done.stderr


def test_a_failover_loses_no_acknowledged_write_and_nothing_is_started_anew(stack: Stack) -> None:
    (proxy,) = stack.machines("proxy")

    def running() -> str:
        return stack.shell(proxy["id"], "systemctl", "show", "--property=MainPID", "pgbouncer").stdout

    before, process = primary(stack), running()
    with Writers(stack) as writers:
        time.sleep(2)
        done = expressway("db", "failover")
        assert done.returncode == 0, done.stderr
        told = len(writers.statuses)
        time.sleep(5)
    assert primary(stack) != before
    assert writers.statuses[told + 20 :], "writes have resumed"
    assert set(writers.statuses[told + 20 :]) == {201}
    assert running() == process
    assert writers.acknowledged <= set(ask(stack, "select name from items"))
