"""The lab's resolver: dnsmasq on one address of this host, where AWS's resolver is for machines, and on no other.

AWS's host names are the lab's API, the endpoint names of databases and caches are their machines, and machines have
AWS's internal names. Everything else goes to this host's own resolvers (/etc/resolv.conf, followed when it changes).
dnsmasq watches the directory of records itself, so that a change counts as soon as the file is there.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path

from lab.network import addresses, names
from lab.network.model import Machine

STOP_SECONDS = 5.0
"""How long it may take to stop before it is killed."""

CONFIGURATION = """\
# No AWS name leaves this machine, and none of a service's endpoint that doesn't exist (yet) has an address.
address=/amazonaws.com/{api}
address=/api.aws/{api}
local=/rds.amazonaws.com/
local=/cache.amazonaws.com/
local=/elb.amazonaws.com/
address=/pki.rds.amazonaws.com/{api}
local=/ec2.internal/
local=/compute.internal/
bogus-priv
domain-needed
no-hosts
hostsdir={records}
resolv-file={resolv_conf}
listen-address={address}
bind-interfaces
pid-file={pid}
log-facility={log}
"""


class DnsError(Exception):
    """The resolver doesn't start; the message has its own."""


def records(
    machines: Iterable[Machine], endpoints: Mapping[str, Collection[IPv4Address]], region: str = names.OLDEST_REGION
) -> str:
    """The names of machines and of service endpoints, in the format of /etc/hosts, ordered by address. Pure.

    A machine's first name is its internal one: the reverse lookup gives that. A public DNS name gives the private
    address, as it does inside a VPC.
    """
    found: dict[IPv4Address, list[str]] = {}
    for machine in machines:
        own = found.setdefault(machine.address, [])
        own.append(names.internal(machine.address, region))
        if machine.public_address is not None:
            own.append(names.public(machine.public_address, region))
    for name in sorted(endpoints):
        for address in endpoints[name]:
            found.setdefault(address, []).append(name)
    return "".join(f"{address} {' '.join(found[address])}\n" for address in sorted(found))


def ensure(
    state: Path,
    wanted: str,
    *,
    address: IPv4Address = addresses.DNS_SERVER,
    resolv_conf: Path = Path("/etc/resolv.conf"),
) -> None:
    """Answer by these records from now on, starting the resolver if it isn't running.

    It runs as a daemon as the user that the package made for it, which must be able to pass through `state`.
    Raises DnsError.
    """
    directory = _directory(state)
    hosts = directory / "records" / "lab"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    if not hosts.exists() or hosts.read_text() != wanted:
        # dnsmasq looks at no file whose name begins with a dot, and sees the rename at once.
        unfinished = hosts.with_name(".lab")
        unfinished.write_text(wanted)
        unfinished.chmod(0o644)
        unfinished.rename(hosts)
    if _pid(state) is None:
        _start(state, address, resolv_conf)


def stop(state: Path) -> None:
    """Stop the resolver, if it runs, and wait until its sockets are closed."""
    pid = _pid(state)
    if pid is None:
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for request in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, request)
            if select.select([handle], [], [], STOP_SECONDS)[0]:
                return
    finally:
        os.close(handle)


def running(state: Path) -> bool:
    """Whether this lab's resolver is up."""
    return _pid(state) is not None


def _start(state: Path, address: IPv4Address, resolv_conf: Path) -> None:
    directory = _directory(state)
    log = state / "log" / "dns.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    (directory / "dnsmasq.conf").write_text(
        CONFIGURATION.format(
            api=addresses.API,
            address=address,
            records=directory / "records",
            resolv_conf=resolv_conf,
            pid=directory / "dnsmasq.pid",
            log=log,
        )
    )
    # It returns when the daemon has its socket, or has failed to get it.
    try:
        done = subprocess.run(["dnsmasq", _configuration(state)], capture_output=True, text=True, check=False, cwd="/")
    except FileNotFoundError as error:
        raise DnsError("dnsmasq is not installed (Debian's package is dnsmasq-base)") from error
    if done.returncode != 0:
        raise DnsError(f"{done.stderr.strip()} (its log: {log})")


def _pid(state: Path) -> int | None:
    """The daemon's process, if it runs: known by its command line, so also when its files were deleted.

    One in another network namespace is another lab's: it answers nobody here.
    """
    command = f"dnsmasq\0{_configuration(state)}\0".encode()
    here = Path("/proc/thread-self/ns/net").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes() == command and (process / "ns" / "net").readlink() == here:
                return int(process.name)
    return None


def _configuration(state: Path) -> str:
    return f"--conf-file={_directory(state) / 'dnsmasq.conf'}"


def _directory(state: Path) -> Path:
    return state / "dns"
