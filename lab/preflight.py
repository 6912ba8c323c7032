"""Whether this machine can be the lab: what is looked at before `lab up`, all of it reported at once."""

import contextlib
import json
import os
import platform
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

import psutil

from lab import paths
from lab.network import addresses, conflicts, security_groups
from lab.network.command import CommandError, ip, run
from lab.network.model import Network

HOST_PACKAGES: Final = paths.ROOT / "lab" / "host-packages.txt"
"""The Debian packages that the lab runs on, and a file of each; scripts/setup installs what is missing."""

GIGABYTE: Final = 1_000_000_000
MEMORY: Final = 3 * GIGABYTE
"""What the whole lab takes with two app servers, in bytes."""
REGISTRY_SECONDS: Final = 5.0
LOOPBACK: Final = IPv4Address("127.0.0.1")


@dataclass(frozen=True)
class Problem:
    """Something that stands in the lab's way."""

    what: str
    why: str
    remedy: str
    fatal: bool = True
    """False for a warning: the lab can be tried all the same."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}. {self.remedy}."


@dataclass(frozen=True)
class Needs:
    """What this lab asks of the machine."""

    vpc: IPv4Network
    """The VPC's addresses, from the settings."""
    api_port: int
    """The API's port on 127.0.0.1."""
    registries: tuple[str, ...] = ()
    """URLs that must answer, such as an apt mirror's Release file; none when everything is cached."""
    disk: tuple[tuple[Path, int], ...] = ()
    """Directories (which need not exist yet), and the free bytes that each one's file system must have."""
    memory: int = MEMORY
    """Available bytes below which there is a warning."""
    state: Path = paths.STATE


Check = Callable[[Needs], Problem | None]


def problems(needs: Needs) -> list[Problem]:
    """Everything that stands in the way, fatal or not; empty when the lab can start. Changes nothing on this machine.

    What only root can see is not looked at without root.
    """
    found = [check(needs) for check in BASICS]
    if not any(found):
        found += [check(needs) for check in AS_ROOT]
    found += [check(needs) for check in ANYWAY]
    return [problem for problem in found if problem is not None]


def linux(_: Needs) -> Problem | None:
    """Namespaces, nftables and nspawn are Linux's."""
    if platform.system() == "Linux":
        return None
    return Problem(
        f"This is {platform.system()}",
        "the lab boots Linux machines in namespaces of the host's own kernel",
        "Run it in a Linux virtual machine",
    )


def root(_: Needs) -> Problem | None:
    """Machines, links and rules take root."""
    if os.geteuid() == 0:
        return None
    return Problem("Not root", "the lab makes machines, network links and firewall rules", "Run it with sudo")


def tools(_: Needs) -> Problem | None:
    """Programs and keys that are not installed, wherever this distribution puts its programs."""
    wanted = (line.split() for line in HOST_PACKAGES.read_text().splitlines())
    missing = {
        Path(file).name: package
        for package, file in wanted
        if not Path(file).exists() and shutil.which(Path(file).name, path=_path()) is None
    }
    if not missing:
        return None
    packages = " ".join(sorted(set(missing.values())))
    return Problem(
        f"Not installed: {', '.join(missing)}", "the lab needs them on its host", f"Try: apt-get install {packages}"
    )


def machines(needs: Needs) -> Problem | None:
    """Tries what a machine's start takes: new namespaces, and an overlay on the state directory's file system."""
    with tempfile.TemporaryDirectory(prefix=".expressway-preflight-", dir=_existing(needs.state)) as made:
        for name in ("lower", "upper", "work", "merged"):
            (Path(made) / name).mkdir()
        overlay = f"lowerdir={made}/lower,upperdir={made}/upper,workdir={made}/work"
        mount = ["mount", "-t", "overlay", "overlay", "-o", overlay, f"{made}/merged"]
        try:
            # The mount is in a namespace that ends with this command.
            run(["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", *mount])
        except CommandError as error:
            return Problem(
                "Machines can't be made here",
                f"a trial of namespaces and an overlay mount failed ({error})",
                "Inside a container, run it privileged and with a real file system (not overlay) at "
                f"{needs.state}; otherwise use a virtual machine",
            )
    return None


def filters(_: Needs) -> Problem | None:
    """Has the kernel check, without applying it, a ruleset with everything that the lab's has."""
    try:
        run(["nft", "--check", "-f", "-"], security_groups.ruleset(Network((), frozenset(), frozenset())))
    except CommandError as error:
        return Problem(
            "nftables doesn't work here",
            f"the kernel refuses the lab's rules ({str(error).splitlines()[0]})",
            "It takes the kernel's nf_tables with the inet family, connection tracking and NAT: load the modules "
            "nf_tables, nft_ct, nft_chain_nat and nft_masq, or use a distribution's own kernel",
        )
    return None


def firewall(_: Needs) -> Problem | None:
    """Another table that drops what machines send: every table is asked, and one drop is enough."""
    with contextlib.suppress(CommandError):
        chains = conflicts.blocking_chains(json.loads(run(["nft", "-j", "list", "ruleset"]))["nftables"])
        if chains:
            prefix = addresses.INTERFACE_PREFIX
            return Problem(
                f"A firewall is in the way ({'; '.join(chains)})",
                "it drops packets between the lab's machines, and the lab changes no rules but its own",
                f"Let the interfaces {prefix}* pass there. With Docker: iptables -I DOCKER-USER -i {prefix}+ -j ACCEPT "
                f"and iptables -I DOCKER-USER -o {prefix}+ -j ACCEPT. Other firewalls have a way to trust an interface",
            )
    return None


def network(needs: Needs) -> Problem | None:
    """Networks of this host that have the VPC's addresses or the lab's public ones."""
    interfaces, routes = ip("-4", "address", "show"), ip("-4", "route", "show")
    vpc = conflicts.overlaps(needs.vpc, interfaces, routes)
    public = conflicts.overlaps(addresses.PUBLIC, interfaces, routes)
    if not vpc and not public:
        return None
    wanted = " and ".join([str(needs.vpc)] * bool(vpc) + [str(addresses.PUBLIC)] * bool(public))
    free = conflicts.free_network(interfaces, routes)
    remedies = [f"Set expressway:network.cidr to another range, for example {free}"] * bool(vpc)
    remedies += [f"The lab's public addresses are always {addresses.PUBLIC}: disconnect that network"] * bool(public)
    return Problem(
        f"{wanted} is in use: {', '.join(dict.fromkeys(vpc + public))}",
        "the lab's machines would hide that network from this host",
        "; ".join(remedies),
    )


def own_addresses(_: Needs) -> Problem | None:
    """The lab's link-local addresses, if this host has them already from elsewhere."""
    taken = conflicts.taken_addresses(ip("-4", "address", "show"))
    if not taken:
        return None
    return Problem(
        f"The lab's addresses are in use: {', '.join(taken)}",
        "its machines find AWS's services there",
        "Remove them from the interface, or run the lab in a virtual machine",
    )


def ports(needs: Needs) -> Problem | None:
    """Programs that listen where the lab must, on that very address or on all of them."""
    wanted = {
        (LOOPBACK, needs.api_port): "the API",
        (addresses.API, 443): "the API under AWS's names",
        (addresses.METADATA_SERVER, 80): "the metadata service",
        (addresses.DNS_SERVER, 53): "the resolver",
    }
    held: list[str] = []
    for address, port, holder in _listeners():
        for (own, own_port), purpose in wanted.items():
            if port == own_port and address in (str(own), "0.0.0.0", "::"):  # noqa: S104 - found, not bound
                held.append(f"{address} port {port} ({holder}), wanted for {purpose}")
    if not held:
        return None
    return Problem(
        f"In use: {'; '.join(dict.fromkeys(held))}",
        "the lab must listen there, and can't while a program has the port on that address or on all addresses",
        "Stop it for as long as the lab is up, have it listen on particular addresses, or choose another API port",
    )


def disk(needs: Needs) -> Problem | None:
    """File systems without enough room."""
    short = [
        f"{directory} has {free / GIGABYTE:.1f} GB free of the {size / GIGABYTE:.1f} GB needed"
        for directory, size in needs.disk
        if (free := shutil.disk_usage(_existing(directory)).free) < size
    ]
    if not short:
        return None
    return Problem(
        "Not enough disk space",
        "; ".join(short),
        "Free some, or let EXPRESSWAY_CACHE name a directory on a larger file system",
    )


def memory(needs: Needs) -> Problem | None:
    """A warning when memory is scarce."""
    available = psutil.virtual_memory().available
    if available >= needs.memory:
        return None
    return Problem(
        f"Only {available / GIGABYTE:.1f} GB of memory is available",
        f"the whole lab takes about {needs.memory / GIGABYTE:.1f} GB, and machines may be killed for want of it",
        "Close other programs, or lower expressway:app.minSize",
        fatal=False,
    )


def registries(needs: Needs) -> Problem | None:
    """Package registries that don't answer."""
    with ThreadPoolExecutor(max(1, len(needs.registries))) as pool:
        failures = [failure for failure in pool.map(_unreachable, needs.registries) if failure]
    if not failures:
        return None
    return Problem(
        "A package registry is out of reach",
        "; ".join(failures),
        "Check this machine's network, name resolution and proxy; with all images cached the lab starts without it",
    )


BASICS: Final[tuple[Check, ...]] = (linux, root, tools)
AS_ROOT: Final[tuple[Check, ...]] = (machines, filters, firewall, network, own_addresses)
ANYWAY: Final[tuple[Check, ...]] = (ports, disk, memory, registries)


def _unreachable(url: str) -> str | None:
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the caller's own mirrors
        urllib.request.urlopen(request, timeout=REGISTRY_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        with error:
            return f"{url} answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return f"{url}: {getattr(error, 'reason', error)}"
    return None


def _listeners() -> Iterator[tuple[str, int, str]]:
    """Address, port and program of each socket that waits for somebody."""
    with contextlib.suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("inet"):
            if connection.laddr and not connection.raddr and connection.status in ("LISTEN", "NONE"):
                yield connection.laddr.ip, connection.laddr.port, _program(connection.pid)


def _program(pid: int | None) -> str:
    with contextlib.suppress(psutil.Error):
        if pid:
            return f"{psutil.Process(pid).name()}, process {pid}"
    return "another user's program" if os.geteuid() else "the kernel or another namespace"


def _existing(directory: Path) -> Path:
    """The directory, or what it will be made in."""
    return directory if directory.is_dir() else _existing(directory.parent)


def _path() -> str:
    """PATH, and where programs of root are, which a user's PATH lacks on Debian."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
