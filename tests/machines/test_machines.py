"""Machines: they boot by their own cloud-init, outlive who started them, and leave nothing."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lab.machines import control_groups, image, machine
from lab.machines.recipe import BASE
from lab.machines.services import postgresql, redis
from lab.network import addresses, links
from tests.machines.machine_host import BOOT_SECONDS, MachineHost, machine_host
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

PASSWORD = 'it\'s "quoted" $here'


def quiet(_: str) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineHost]:
    images = image.ensure([BASE, postgresql.IMAGE, redis.IMAGE], quiet)
    with machine_host(tmp_path_factory.mktemp("host"), images) as made:
        yield made


@pytest.fixture(scope="module")
def pair(host: MachineHost) -> tuple[str, str]:
    """Two machines that were started at once."""
    host.start("i-one", "10.99.0.11")
    host.start("i-two", "10.99.0.12")
    for name in ("i-one", "i-two"):
        status = host.booted(name)
        assert status.state is machine.State.READY, machine.boot_failure(name, host.machines)
    return "i-one", "i-two"


def test_two_machines_started_at_once_both_run_their_user_data(host: MachineHost, pair: tuple[str, str]) -> None:
    for name in pair:
        host.output(name, "test", "-e", "/root/booted")
        seconds = host.status(name).boot_seconds
        assert seconds is not None, f"{name} finished, and its boot was not measured"
        assert 0 < seconds < BOOT_SECONDS, f"a boot of {seconds} s is not what was seen"


def test_cloud_init_takes_its_identity_from_ec2s_data_source(host: MachineHost, pair: tuple[str, str]) -> None:
    one, _ = pair
    assert host.output(one, "cloud-init", "query", "cloud_id") == "aws", "it knows that it is on EC2"
    assert host.output(one, "cloud-init", "query", "instance_id") == "i-one", "its id"
    warnings = host.output(one, "sh", "-c", "grep -E 'WARNING|ERROR' /var/log/cloud-init.log || true")
    assert warnings == "", "a warning must mean something"


def test_no_unit_of_the_machine_failed(host: MachineHost, pair: tuple[str, str]) -> None:
    assert host.output(pair[0], "systemctl", "list-units", "--failed", "--plain", "--no-legend") == "", "failed units"


def test_metadata_needs_a_session_token_of_the_machine_itself(host: MachineHost, pair: tuple[str, str]) -> None:
    one, two = pair
    service = "http://169.254.169.254/latest"
    status = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}")
    assert host.output(one, *status, f"{service}/meta-data/") == "401", "IMDSv1 is refused"
    put = ("curl", "-s", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60", f"{service}/api/token")
    token = f"X-aws-ec2-metadata-token: {host.output(one, *put)}"
    assert host.output(one, "curl", "-s", "-H", token, f"{service}/meta-data/instance-id") == "i-one", "IMDSv2"
    assert host.output(two, *status, "-H", token, f"{service}/meta-data/") == "401", "another's token is refused"


def test_machines_reach_each_other(host: MachineHost, pair: tuple[str, str]) -> None:
    one, _ = pair
    answer = "import socket; s = socket.create_server(('', 8080)); s.accept()[0].sendall(b'hello')"
    host.output(one, "systemd-run", "--quiet", "--unit=answer", "python3", "-c", answer)
    ask = "import socket, time\nfor _ in range(50):\n try:\n  print(socket.create_connection(('10.99.0.11', 8080), 5)"
    ask += ".recv(9).decode()); break\n except ConnectionRefusedError: time.sleep(0.1)"
    assert host.output("i-two", "python3", "-c", ask) == "hello", "a TCP connection from one to the other"


def test_each_machine_has_its_own_control_group(pair: tuple[str, str]) -> None:
    one, two = (control_groups.processes(name) for name in pair)
    assert len(one) > 3, f"systemd and its services are in the group: {one}"
    assert not one & two, "no process is in both"
    assert machine.resident_bytes(pair[0]) > 2**20, "systemd alone takes more"


def test_a_machine_has_no_more_of_the_hosts_cpus_than_it_may(host: MachineHost) -> None:
    """Also with several processes at once; and it can read itself how much that is."""
    host.start("i-slow", "10.99.0.14", cpus=0.2)
    assert host.booted("i-slow").state is machine.State.READY, machine.boot_failure("i-slow", host.machines)
    control_groups.limit("i-slow", 0.2)
    spin = "import time\nend = time.monotonic() + 3\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    both = f"for _ in 1 2; do python3 -c '{spin}' & done; wait"
    told = host.output("i-slow", "systemd-run", "--quiet", "--pipe", "--wait", "bash", "-c", both).split()
    assert len(told) == 2
    assert sum(map(float, told)) < 3 * 0.2 * 1.2, f"{told} seconds of CPU in 3 s"
    limits = "cat /sys/fs/cgroup/cpu.max 2> /dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_{quota,period}_us"
    assert host.output("i-slow", "bash", "-c", limits).split() == ["4000", "20000"]
    host.stop("i-slow")


def test_the_labs_authority_is_trusted_beside_the_systems(host: MachineHost, pair: tuple[str, str]) -> None:
    bundle = "import ssl; c = ssl.create_default_context(cafile='/etc/ssl/certs/ca-certificates.crt').get_ca_certs();"
    assert int(host.output(pair[0], "python3", "-c", f"{bundle} print(len(c))")) > 100, "the system's own stay"
    certificate, _ = host.certificate("trusted.lab.test")
    (host.machines / "i-one" / "upper" / "root" / "leaf.pem").write_text(certificate)
    assert "OK" in host.output(pair[0], "openssl", "verify", "/root/leaf.pem"), "by OpenSSL's directory"
    file = ("-CAfile", "/etc/ssl/certs/ca-certificates.crt", "-no-CApath", "-no-CAstore")
    assert "OK" in host.output(pair[0], "openssl", "verify", *file, "/root/leaf.pem"), "by the bundle"


@pytest.mark.parametrize(("script", "expected"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)])
def test_the_exit_status_of_a_command_inside_is_handed_on(
    host: MachineHost, pair: tuple[str, str], script: str, expected: int
) -> None:
    assert machine.shell(pair[0], ["sh", "-c", script], host.machines) == expected, script


def test_a_command_inside_sees_nothing_of_the_callers_environment(
    host: MachineHost, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-host")
    inside = host.output(pair[0], "env")
    assert "of-the-host" not in inside, inside
    assert "HOME=/root" in inside, inside


def test_entering_a_machine_that_does_not_run_says_so(host: MachineHost) -> None:
    with pytest.raises(machine.MachineError, match="i-none does not run"):
        machine.shell("i-none", ["true"], host.machines)


def test_a_machine_is_not_started_twice(host: MachineHost, pair: tuple[str, str]) -> None:
    with pytest.raises(machine.MachineError, match="already there"):
        machine.start(host.spec(pair[0], "10.99.0.11"), host.machines)


def test_user_data_that_fails_shows_as_a_failed_machine_with_its_own_last_words(host: MachineHost) -> None:
    failing = b"#cloud-config\nruncmd: [[sh, -c, 'echo it broke here; exit 3']]\n"
    host.start("i-failing", "10.99.0.13", user_data=failing)
    status = host.booted("i-failing")
    assert status.state is machine.State.FAILED, status
    assert any("scripts-user" in problem for problem in status.problems), status.problems
    assert "it broke here" in machine.boot_failure("i-failing", host.machines), "the program's output"
    assert "it broke here" in machine.logs("i-failing", host.machines), "the console has it too"
    host.stop("i-failing")


def test_a_machine_outlives_the_process_that_started_it_and_is_stopped_by_another(host: MachineHost) -> None:
    spec = host.spec("i-orphan", "10.99.0.14")
    script = (
        "import os, signal; from pathlib import Path; from lab.machines import machine\n"
        f"machine.start(machine.MachineSpec({spec.id!r}, 'app', {spec.address!r}, {spec.hostname!r},"
        f" tuple(map(Path, {[str(layer) for layer in spec.layers]}))), Path({str(host.machines)!r}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL, "the starter was killed right after its start"
    assert host.status("i-orphan").state is machine.State.BOOTING, "the machine runs on"
    host.stop("i-orphan")
    assert control_groups.processes("i-orphan") == set(), "nothing of it runs"


def test_a_machine_whose_nspawn_is_killed_is_dead_and_can_be_started_again(host: MachineHost) -> None:
    before = nspawn_files()
    host.start("i-killed", "10.99.0.15")
    pid = host.status("i-killed").pid
    assert pid is not None, "it runs"
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while control_groups.processes("i-killed") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert control_groups.processes("i-killed") == set(), "its processes die with it"
    assert host.status("i-killed").state is machine.State.DEAD, "its directory is still there"
    assert nspawn_files() == before, "systemd-nspawn's lock dies with it"
    host.stop("i-killed")
    host.start("i-killed", "10.99.0.15")
    assert host.booted("i-killed").state is machine.State.READY, machine.boot_failure("i-killed", host.machines)
    host.stop("i-killed")


def test_a_machine_that_ends_says_how_and_is_started_again_on_its_own_disk(host: MachineHost) -> None:
    spec = host.spec("i-again", "10.99.0.16")
    boots = b"#cloud-config\nbootcmd: ['echo boot >> /root/boots']\nruncmd: ['echo run >> /root/runs']\n"
    host.start(spec.id, spec.address, user_data=boots)
    assert host.booted(spec.id).state is machine.State.READY, machine.boot_failure(spec.id, host.machines)
    host.output(spec.id, "sh", "-c", "echo kept > /root/kept")
    identity = host.output(spec.id, "cat", "/etc/machine-id")
    ways = [
        (("systemctl", "reboot"), machine.State.REBOOTING),
        (("systemctl", "poweroff"), machine.State.SHUT_DOWN),
        (("systemctl", "reboot", "--force", "--force"), machine.State.REBOOTING),
    ]
    for command, state in ways:
        machine.run(spec.id, command, host.machines)
        ended(host, spec.id)
        assert host.status(spec.id).state is state, f"{command}: {host.status(spec.id)}"
        machine.resume(spec, host.machines)
        assert links.ensure(addresses.interface(spec.id), IPv4Address(spec.address)), "its link is back"
        assert host.booted(spec.id).state is machine.State.READY, machine.boot_failure(spec.id, host.machines)
    machine.halt(spec.id, host.machines)
    assert host.status(spec.id).state is machine.State.OFF, "turned off from outside, it did not end by itself"
    assert control_groups.processes(spec.id) == set(), "nothing of it runs"
    machine.resume(dataclasses.replace(spec, reboots=3), host.machines)
    links.ensure(addresses.interface(spec.id), IPv4Address(spec.address))
    status = host.booted(spec.id)
    assert (status.state, status.reboots) == (machine.State.READY, 3), status
    assert host.output(spec.id, "cat", "/root/kept") == "kept", "its disk is its own"
    assert host.output(spec.id, "cat", "/etc/machine-id") == identity
    assert host.output(spec.id, "cat", "/root/runs") == "run", "user data is run once in an instance's life"
    assert host.output(spec.id, "cat", "/root/boots").split() == ["boot"] * 5, "and this of it at each boot"
    with pytest.raises(machine.MachineError, match="not off"):
        machine.resume(spec, host.machines)
    host.stop(spec.id)
    assert not (host.machines / spec.id).exists(), "its disk goes with it"


def ended(host: MachineHost, name: str) -> None:
    """Wait until the machine has no process any more."""
    deadline = time.monotonic() + 60
    while host.status(name).pid is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def nspawn_files() -> set[Path]:
    return set(Path("/run/systemd/nspawn").rglob("*"))


def test_an_orderly_stop_lets_services_finish(host: MachineHost, pair: tuple[str, str]) -> None:
    _, two = pair
    trap = "trap 'sleep 0.5; echo done > /root/last-word; exit' TERM"
    host.output(
        two,
        "systemd-run",
        "--quiet",
        "--unit=worker",
        "sh",
        "-c",
        f"{trap}; touch /run/trapped; while :; do sleep 0.1; done",
    )
    host.output(two, "timeout", "30", "sh", "-c", "until [ -e /run/trapped ]; do sleep 0.05; done")
    word = host.machines / two / "upper" / "root" / "last-word"
    machine.halt(two, host.machines)
    assert word.read_text() == "done\n", "the service was told and waited for"
    machine.stop(two, host.machines)
    assert not word.exists(), "then the machine was removed"


def test_the_database_speaks_tls_only_and_its_master_user_is_no_superuser(host: MachineHost) -> None:
    certificate, key = host.certificate("db.lab.test")
    server = postgresql.PostgresqlServer(
        certificate, key, username="master", password=PASSWORD, replication="stream", database="app"
    )
    host.start("i-database", "10.99.0.21", "postgresql", postgresql.user_data(server))
    host.start("i-client", "10.99.0.22", "postgresql")
    for name in ("i-database", "i-client"):
        assert host.booted(name).state is machine.State.READY, machine.boot_failure(name, host.machines)

    def psql(statement: str, password: str = PASSWORD, mode: str = "verify-full") -> subprocess.CompletedProcess[str]:
        target = "host=db.lab.test hostaddr=10.99.0.21 user=master dbname=app connect_timeout=5"
        trust = f"sslmode={mode} sslrootcert=/etc/ssl/certs/ca-certificates.crt"
        command = ["env", f"PGPASSWORD={password}", "psql", f"{target} {trust}", "-Atc", statement]
        return machine.run("i-client", command, host.machines)

    made = psql("create table t(a int); insert into t values (42); select a from t")
    assert made.stdout.endswith("42\n"), made
    rights = psql("select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user")
    assert rights.stdout == "f|t|t\n", rights
    assert "no encryption" in psql("select 1", mode="disable").stderr, "without TLS it is refused"
    assert "password authentication failed" in psql("select 1", password="wrong").stderr, "so is a wrong password"
    assert psql("select 1", mode="verify-ca").returncode == 0, "the authority is the system's trust"
    secret = machine.run("i-database", ["grep", "-rlF", PASSWORD, "/run/lab", "/etc", "/var/log"], host.machines)
    assert secret.stdout == "", "the password is in no file that anybody reads later"
    host.stop("i-client")
    host.stop("i-database")


def test_the_cache_speaks_tls_only_wants_its_token_and_fails_over(host: MachineHost) -> None:
    certificate, key = host.certificate("cache.lab.test")
    token, later = "a-token!of#sixteen$", "another-of-sixteen"
    primary = redis.RedisServer(certificate, key, (token,), "the-nodes-own-password")
    nodes = {"i-cache": "10.99.0.31", "i-replica": "10.99.0.33"}
    host.start("i-cache", nodes["i-cache"], "redis", redis.user_data(primary))
    replica = dataclasses.replace(primary, primary=nodes["i-cache"])
    host.start("i-replica", nodes["i-replica"], "redis", redis.user_data(replica))
    host.start("i-client", "10.99.0.32")
    for name in (*nodes, "i-client"):
        assert host.booted(name).state is machine.State.READY, machine.boot_failure(name, host.machines)

    def ask(*commands: str, tls: bool = True, node: str = "i-cache") -> list[str]:
        script = (
            "import socket, ssl, sys, time\n"
            f"s = socket.create_connection(('{nodes[node]}', 6379), 5)\n"
            + ("s = ssl.create_default_context().wrap_socket(s, server_hostname='cache.lab.test')\n" if tls else "")
            + "f = s.makefile('rw', newline='\\r\\n')\n"
            "for command in sys.argv[1:]: print(command, file=f, flush=True); print(f.readline().strip())\n"
        )
        return machine.run("i-client", ["python3", "-c", script, *commands], host.machines).stdout.splitlines()

    def tell(node: str, commands: str) -> None:
        done = machine.run(node, redis.command(), host.machines, stdin=commands)
        assert done.returncode == 0, done

    assert ask("PING") == ["-NOAUTH Authentication required."], "without the token"
    assert ask(f"AUTH {token}", "SET a 1", "INCR a") == ["+OK", "+OK", ":2"], "with it"
    assert ask(f"AUTH {token}", "CONFIG GET dir")[1].startswith("-ERR unknown command"), "what ElastiCache withholds"
    assert ask(f"AUTH {token}", "REPLICAOF NO ONE")[1].startswith("-NOPERM"), "no client makes a primary"
    assert ask("PING", tls=False) != ["-NOAUTH Authentication required."], "there is no plain port"

    deadline = time.monotonic() + 20
    while ask(f"AUTH {token}", "GET a", node="i-replica")[1] != "$1" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ask(f"AUTH {token}", "GET a", "SET b 1", node="i-replica")[1] == "$1", "a replica has what the primary has"

    tell("i-replica", redis.become(None, 6379))
    tell("i-cache", redis.become(nodes["i-replica"], 6379))
    assert ask(f"AUTH {token}", "SET a 5", node="i-replica") == ["+OK", "+OK"]
    assert ask(f"AUTH {token}", "SET a 6")[1].startswith("-READONLY"), "the old primary is a replica now"

    tell("i-replica", redis.take((token, later)))
    for good in (token, later):
        assert ask(f"AUTH {good}", "PING", node="i-replica") == ["+OK", "+PONG"], "both, until all clients have the new"
    tell("i-replica", redis.take((later,)))
    assert ask(f"AUTH {token}", node="i-replica")[0].startswith("-WRONGPASS")
    assert machine.run("i-cache", redis.command(), host.machines, stdin="NONSENSE\n").returncode != 0, "a refusal shows"
    for name in ("i-client", *nodes):
        host.stop(name)


def test_teardown_leaves_nothing_even_of_starts_that_were_cut_short(host: MachineHost, pair: tuple[str, str]) -> None:
    assert pair[0] in {status.id for status in machine.observe(host.machines)}, "there is something to take down"
    (host.machines / ".starting-cut-short").mkdir()
    machine.teardown_all(host.machines)
    assert not host.machines.exists(), list(host.directory.iterdir())
    assert control_groups.processes(pair[0]) == set(), "no process"
    assert str(host.machines) not in Path("/proc/self/mountinfo").read_text(), "no mount"
    links = json.loads(subprocess.run(["ip", "-json", "link"], check=True, capture_output=True).stdout)
    assert [link["ifname"] for link in links] == ["lo"], "no link"
    groups = [mount / control_groups.PARENT / name for mount in _hierarchies() for name in pair]
    assert not any(group.exists() for group in groups), "no control group"
    machine.teardown_all(host.machines)


def _hierarchies() -> list[Path]:
    return control_groups.hierarchies(Path("/proc/mounts").read_text())
