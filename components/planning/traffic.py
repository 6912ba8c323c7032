"""Ports, hosts, paths and bodies: what ends in Nginx's configuration, in URLs and in requests."""

from .rule import Each, Rule, matching, number

APP_PORT = number(1024, 65535, "Choose a number in that range; lower ones are root's, and the app isn't root.")
"""Where the app listens on its machine."""

PORT = number(1, 65535)
"""Where something listens that isn't ours to start."""

POSTGRESQL_PORT = 5432
"""Where PostgreSQL listens unless told otherwise."""

HTTP_PATH = matching(
    # No blanks, quotes, semicolons or variables: a path goes into Nginx's configuration and into requests.
    r"/[A-Za-z0-9._~!&()*+,=:@%/?-]*",
    "it must be an absolute URL path",
    "Start it with a slash: /healthz.",
)

BODY_SIZE = matching(
    # Nginx counts to 2^63 bytes, and doesn't start with more.
    r"[1-9][0-9]{0,8}[kKmMgG]?",
    "it must be a size in Nginx's notation, of at most nine digits",
    "Like 512k or 1m.",
)

HOST = matching(
    r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?",
    "it must be a DNS name or an IPv4 address, without a port",
    "Write it like db.example.com.",
)

HOSTS = Each(HOST)
READER_HOST = Rule(str, lambda value: not value or HOST.holds(value), f"{HOST.must}, or empty", HOST.remedy)
