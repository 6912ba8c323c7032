"""Who listens on a port, from the kernel's own tables."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN = "0A"


def addresses(port: int, tables: tuple[Path, ...] = TABLES) -> list[IPv4Address | IPv6Address]:
    """The addresses on which somebody listens for connections to `port`."""
    found: list[IPv4Address | IPv6Address] = []
    for table in tables:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for line in lines:
            _, local, _, state = line.split()[:4]
            address, _, number = local.partition(":")
            if state == _LISTEN and int(number, 16) == port:
                found.append(_address(address))
    return found


def only_local(port: int, tables: tuple[Path, ...] = TABLES) -> list[IPv4Address | IPv6Address]:
    """The addresses, where somebody listens on `port` and nothing outside this machine reaches any of them."""
    found = addresses(port, tables)
    return found if all(_is_local(each) for each in found) else []


def mend(local: list[IPv4Address | IPv6Address], port: int) -> str:
    """What is wrong with an app that listens on `local` alone, and what to do."""
    where = " and ".join(f"[{each}]:{port}" if each.version == 6 else f"{each}:{port}" for each in local)
    return (
        f"the app listens on {where} only; nothing outside the machine reaches it. "
        "Listen on process.env.HOST (0.0.0.0), or on no address at all"
    )


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _address(text: str) -> IPv4Address | IPv6Address:
    """From the kernel's notation: 32-bit words, each in this machine's byte order."""
    words = [int(text[start : start + 8], 16).to_bytes(4, "little") for start in range(0, len(text), 8)]
    packed = b"".join(words)
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
