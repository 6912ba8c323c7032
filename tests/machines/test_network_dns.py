"""The lab's resolver, asked for real: on a loopback address of its own, with a resolver of the test's as upstream."""

import os
import select
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lab.network import addresses, dns
from tests.dns_client import NO_ERROR, NO_SUCH_NAME, PTR, A, resolve
from tests.machines.network_namespaces import own_network

pytestmark = pytest.mark.lab

RESOLVER, UPSTREAM = IPv4Address("127.0.0.99"), IPv4Address("127.0.0.98")
ELSEWHERE = "192.0.2.200"
DATABASE = "shop.cabc123.us-east-1.rds.amazonaws.com"


def ask(name: str, kind: int = A, tcp: bool = False) -> tuple[int, list[str]]:
    """What the resolver says."""
    return resolve(name, RESOLVER, kind, tcp)


@pytest.fixture(autouse=True, scope="module")
def network() -> Generator[None]:
    with own_network():
        yield


@pytest.fixture
def upstream() -> Generator[list[bytes]]:
    """This host's resolver, as it were: gives one address for every name, and remembers what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((str(UPSTREAM), 53))
        server.settimeout(0.1)
        ended = threading.Event()

        def answer() -> None:
            while not ended.is_set():
                try:
                    query, client = server.recvfrom(512)
                except TimeoutError:
                    continue
                question = query[12 : query.index(b"\0", 12) + 5]
                asked.append(question)
                record = b"\xc0\x0c" + struct.pack("!2HIH", A, 1, 60, 4) + socket.inet_aton(ELSEWHERE)
                server.sendto(query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + question + record, client)

        thread = threading.Thread(target=answer)
        thread.start()
        yield asked
        ended.set()
        thread.join()


@pytest.fixture
def state() -> Generator[Path]:
    """A state directory that the resolver's own user can pass through, as the lab's is."""
    directory = Path(tempfile.mkdtemp(prefix="expressway-test-", dir="/var/lib"))
    directory.chmod(0o755)
    yield directory
    dns.stop(directory)
    shutil.rmtree(directory)


@pytest.fixture
def ensure(state: Path, upstream: list[bytes]) -> Callable[[str], None]:
    resolv_conf = state / "resolv.conf"
    resolv_conf.write_text(f"nameserver {UPSTREAM}\n")
    resolv_conf.chmod(0o644)
    return lambda wanted: dns.ensure(state, wanted, address=RESOLVER, resolv_conf=resolv_conf)


def test_names_resolve_as_on_aws_and_none_of_aws_leaves_this_machine(
    ensure: Callable[[str], None], upstream: list[bytes]
) -> None:
    ensure(f"10.98.1.5 ip-10-98-1-5.ec2.internal {DATABASE}\n")
    api = (NO_ERROR, [str(addresses.API)])
    assert ask("ssm.us-east-1.amazonaws.com") == api, "an API"
    assert ask("my-bucket.s3.us-east-1.amazonaws.com", tcp=True) == api, "a bucket, asked by TCP"
    assert ask("truststore.pki.rds.amazonaws.com") == api, "RDS's certificates"
    assert ask(DATABASE) == (NO_ERROR, ["10.98.1.5"]), "an endpoint is its machine, not the API"
    assert ask("gone.cabc123.us-east-1.rds.amazonaws.com") == (NO_SUCH_NAME, []), "a database that isn't there"
    assert ask("ip-10-98-1-5.ec2.internal") == (NO_ERROR, ["10.98.1.5"]), "a machine"
    assert ask("5.1.98.10.in-addr.arpa", PTR) == (NO_ERROR, ["ip-10-98-1-5.ec2.internal"]), "and back"
    assert ask("6.1.98.10.in-addr.arpa", PTR) == (NO_SUCH_NAME, []), "no machine"
    assert upstream == [], "none of these was asked upstream"
    assert ask("deb.debian.org") == (NO_ERROR, [ELSEWHERE]), "everything else is this host's resolver's"


def test_a_change_of_records_counts_within_a_second(ensure: Callable[[str], None]) -> None:
    def took(wanted: str, expected: list[str]) -> float:
        changed = time.monotonic()
        ensure(wanted)
        while ask(DATABASE)[1] != expected:
            assert time.monotonic() - changed < 60, f"{DATABASE} becomes {expected}"
            time.sleep(0.02)
        return time.monotonic() - changed

    ensure(f"10.98.1.5 {DATABASE}\n")
    assert ask(DATABASE)[1] == ["10.98.1.5"], "the first address"
    changes = [(f"10.98.1.6 {DATABASE}\n", ["10.98.1.6"]), ("", [])]
    rounds = [[took(*change) for change in changes] for _ in range(3)]
    # A busy host may be late once; a resolver that looks for changes now and then is always.
    quickest = [min(each) for each in zip(*rounds, strict=True)]
    assert max(quickest) < 1, f"an address that changes, and a name that goes: {rounds}"


def test_it_listens_on_its_own_address_only(ensure: Callable[[str], None], state: Path) -> None:
    ensure("")
    pid = int((state / "dns" / "dnsmasq.pid").read_text())
    inodes = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    listening: set[str] = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes:
                listening.add(fields[1])
    little_endian = RESOLVER.packed[::-1].hex().upper()
    assert listening == {f"{little_endian}:0035"}, "port 53 of one address, and no DHCP"


def test_it_is_started_once_and_again_when_it_died(ensure: Callable[[str], None], state: Path) -> None:
    ensure("")
    first = (state / "dns" / "dnsmasq.pid").read_text()
    ensure("")
    assert (state / "dns" / "dnsmasq.pid").read_text() == first, "a second look starts no second one"
    handle = os.pidfd_open(int(first))
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)
    assert not dns.running(state), "killed"
    ensure("")
    assert dns.running(state), "it is back"
    assert ask("sts.amazonaws.com") == (NO_ERROR, [str(addresses.API)]), "and answers"
    dns.stop(state)
    assert not dns.running(state), "stopped"
    dns.stop(state)


def test_an_address_that_is_taken_is_an_error_that_says_so(ensure: Callable[[str], None]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((str(RESOLVER), 53))
        with pytest.raises(dns.DnsError, match="Address already in use"):
            ensure("")
