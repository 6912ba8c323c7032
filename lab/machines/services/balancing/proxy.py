"""HAProxy: its configuration, and the commands that change its servers while it runs. Pure.

Listeners and target groups come by a reload, which keeps what is under way. Servers come and go by commands, so that
no connection of a client ends with them; the file has them too, for the next start.

Source: https://docs.haproxy.org/3.0/management.html#9.3
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SOCKET = "/run/haproxy/lab.sock"
BODIES = "/var/lib/lab-balancer/body"
"""Begins the names of the files with the bodies of fixed responses; the port follows."""

ALGORITHMS = {"round_robin": "roundrobin", "least_outstanding_requests": "leastconn", "weighted_random": "random"}


@dataclass(frozen=True)
class Server:
    """A target of a group. One that does not take requests finishes those that it has."""

    address: str
    port: int
    takes_requests: bool


Servers = Mapping[str, Mapping[str, Server]]
"""By target group, and there by name."""


def configuration(wanted: Mapping[str, Any], servers: Servers | None = None) -> str:
    """haproxy.cfg; without `servers`, what only a reload can change."""
    idle = wanted["idle_timeout"]
    parts = [
        f"""\
global
  user haproxy
  group haproxy
  stats socket {SOCKET} mode 600 level admin
defaults
  mode http
  timeout connect 10s
  timeout client {idle}s
  timeout server {idle}s
  timeout http-keep-alive {idle}s
  option forwardfor
"""
    ]
    parts += [_frontend(int(port), action) for port, action in sorted(wanted["listeners"].items())]
    for group, settings in sorted(wanted["groups"].items()):
        parts.append(f"backend {group}\n  balance {ALGORITHMS[settings['algorithm']]}\n")
        for name, server in sorted((servers or {}).get(group, {}).items()):
            disabled = "" if server.takes_requests else " disabled"
            parts.append(f"  server {name} {server.address}:{server.port}{disabled}\n")
    return "".join(parts)


def commands(before: Servers, after: Servers) -> Iterable[str]:
    """What makes the servers of one into those of the other. A server's name is its address and port for good."""
    for group, servers in after.items():
        known = before.get(group, {})
        for name, server in servers.items():
            if name not in known:
                yield f"add server {group}/{name} {server.address}:{server.port}"
            if name not in known or known[name].takes_requests != server.takes_requests:
                yield f"set server {group}/{name} state {'ready' if server.takes_requests else 'maint'}"
        for name in known.keys() - servers.keys():
            yield f"set server {group}/{name} state maint"
            yield f"shutdown sessions server {group}/{name}"
            yield f"wait 2s srv-removable {group}/{name}"
            yield f"del server {group}/{name}"


def bodies(wanted: Mapping[str, Any]) -> Mapping[str, str]:
    """The files that the configuration names."""
    return {
        f"{BODIES}-{port}": action["body"]
        for port, action in wanted["listeners"].items()
        if action["type"] == "fixed-response" and action["body"]
    }


def _frontend(port: int, action: Mapping[str, Any]) -> str:
    lines = [f"frontend port-{port}", f"  bind :{port}"]
    lines += [f"  http-request set-header X-Forwarded-{name}" for name in ("Proto http", f"Port {port}")]
    match action["type"]:
        case "forward":
            lines.append(f"  default_backend {action['group']}")
        case "fixed-response":
            body = f" content-type {action['content_type']} file {BODIES}-{port}" if action["body"] else ""
            lines.append(f"  http-request return status {action['status']}{body}")
        case _:
            lines += _redirect(port, action)
    return "\n".join(lines) + "\n"


def _redirect(port: int, action: Mapping[str, Any]) -> Iterable[str]:
    """AWS's placeholders in HAProxy's words. A query that is empty has no question mark."""
    place, query = f"{action['protocol']}://{action['host']}:{action['port']}{action['path']}", action["query"]
    without = [] if query and query != "#{query}" else [(place, "")]
    with_it = [(f"{place}?{query}", " if { query -m len gt 0 }" if without else "")] if query else []
    for location, condition in (*with_it, *without):
        yield f"  http-request redirect code {action['status']} location '{_filled(location, port)}'{condition}"


def _filled(template: str, port: int) -> str:
    template = template.replace("%", "%%").replace("'", "%%27").replace(" ", "%%20")
    for placeholder, value in (
        ("#{protocol}", "http"),
        ("#{host}", "%[req.hdr(host),field(1,:)]"),
        ("#{port}", str(port)),
        ("#{path}", '%[path,regsub("^/","")]'),
        ("#{query}", "%[query]"),
    ):
        template = template.replace(placeholder, value)
    return template
