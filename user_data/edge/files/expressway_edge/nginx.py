"""Nginx's configuration, from machine.json and the templates beside this package."""

import re
import subprocess
from pathlib import Path

from certificate import store
from expressway_machine import config, files, host
from reconciler import upstream

ETC = Path("/etc/nginx")
SERVERS = Path("/var/lib/expressway-edge/servers.json")
"""Where the balancer keeps its list of servers; the folder is its workers'."""
_SNIPPETS = ("header-defaults.conf", "response-headers.conf")


def version() -> tuple[int, ...]:
    """The installed Nginx's version, such as (1, 26, 3). Some directives are newer than Debian's."""
    shown = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    found = re.search(r"nginx/([\d.]+)", shown)
    if not found:
        raise ValueError(f"nginx -v said {shown!r}")
    return tuple(int(part) for part in found[1].split("."))


def render(templates: Path, machine: config.Machine, nginx_version: tuple[int, ...], etc: Path = ETC) -> str:
    """nginx.conf, as it lies in `etc`."""
    certificate = store.ROOT / store.CURRENT / store.SITE if machine["certificate"] else None
    return files.render(
        templates / "nginx.conf.j2",
        max_body_size=machine["max_body_size"],
        certificate=certificate,
        trusted_proxies=machine["trusted_proxies"],
        nginx_version=nginx_version,
        lua=etc / "expressway",
        servers=SERVERS,
        socket=upstream.SOCKET,
    )


def install(templates: Path, machine: config.Machine, etc: Path = ETC) -> bool:
    """Put the configuration in place, after Nginx itself has tested it. Whether it changed.

    subprocess.CalledProcessError when it doesn't pass; nginx.conf is then as before.
    """
    changed = host.install_files(templates, _SNIPPETS, etc / "expressway")
    lua = templates.parent / "balancer"
    changed |= host.install_files(lua, sorted(each.name for each in lua.glob("*.lua")), etc / "expressway/balancer")
    # Where the test, too, opens the socket; systemd makes it before each start.
    upstream.SOCKET.parent.mkdir(mode=0o700, exist_ok=True)
    text = render(templates, machine, version(), etc)
    candidate = etc / "nginx.conf.candidate"
    files.write(candidate, text)
    try:
        host.run("nginx", "-t", "-q", "-c", str(candidate))
    finally:
        candidate.unlink()
    return files.write(etc / "nginx.conf", text) or changed
