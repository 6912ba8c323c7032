"""The lab's addresses and interface names: what machines see of AWS, and what this host adds to make it so."""

import hashlib
from ipaddress import IPv4Address, IPv4Network

METADATA = IPv4Address("169.254.169.254")
"""The instance metadata service as machines see it, port 80. AWS's own address."""

DNS = IPv4Address("169.254.169.253")
"""The resolver as machines see it, port 53. AWS's own address ("AmazonProvidedDNS")."""

API = IPv4Address("169.254.171.1")
"""Every AWS API, port 443, under AWS's host names."""

METADATA_SERVER = IPv4Address("169.254.171.254")
"""Where the metadata service listens on this host: packets to `METADATA` are rewritten on the way from a machine. Were
AWS's address this host's own, then on a cloud's virtual machine that cloud's real service would be hidden."""

DNS_SERVER = IPv4Address("169.254.171.253")
"""Where the resolver listens on this host, for the same reason."""

GATEWAY = IPv4Address("169.254.1.1")
"""What a machine uses as its router: this host, at the other end of the machine's link."""

PUBLIC = IPv4Network("198.51.100.0/24")
"""Where public addresses come from (RFC 5737, so that they are nobody's)."""

HOST = IPv4Address("198.51.100.1")
"""This host as machines see it: a client somewhere on the internet. Never given to a machine."""

LINK_LOCAL = IPv4Network("169.254.0.0/16")

SERVERS = (METADATA_SERVER, DNS_SERVER, API)
"""The addresses of this host at which it plays AWS."""

INTERFACE_PREFIX = "xw-"


def interface(machine_id: str) -> str:
    """The host's end of a machine's link: `xw-` and 8 hex digits, as Linux allows 15 characters only."""
    return INTERFACE_PREFIX + hashlib.sha256(machine_id.encode()).hexdigest()[:8]
