"""Nginx's configuration as text. tests/machines loads it into a real Nginx."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
from certificate import store
from expressway_edge import nginx
from expressway_machine import files
from reconciler import upstream

from tests.paths import ROOT

TEMPLATES = ROOT / "user_data/edge/files/nginx"
DEBIAN_13 = (1, 26, 3)
HTTPS = {"certificate": "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/tls-AbCdEf"}
PROXIED = {"trusted_proxies": ["203.0.113.0/24", "198.51.100.7/32"]}


def directives(text: str) -> dict[str, list[str]]:
    """Values by directive, comments left out."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^\s*(\w+)\s+([^;#{]+);", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)?", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return int(number) * {"ms": 1, "s": 1000, "m": 60_000}[unit or "s"]


def test_the_configuration_is_what_was_agreed(edge_machine: dict[str, Any], golden: Callable[[str, str], None]) -> None:
    text = nginx.render(TEMPLATES, edge_machine, DEBIAN_13)
    assert text == nginx.render(TEMPLATES, dict(reversed(edge_machine.items())), DEBIAN_13), "not the same bytes"
    golden("nginx.conf", text)


def test_the_configuration_with_https_behind_proxies_is_what_was_agreed(
    edge_machine: dict[str, Any], golden: Callable[[str, str], None]
) -> None:
    golden("nginx.https.conf", nginx.render(TEMPLATES, edge_machine | HTTPS | PROXIED, DEBIAN_13))


def test_an_undefined_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        files.render(TEMPLATES / "nginx.conf.j2", nginx_version=DEBIAN_13)


def test_the_body_limit_is_the_settings(edge_machine: dict[str, Any]) -> None:
    text = nginx.render(TEMPLATES, edge_machine | {"max_body_size": "20m"}, DEBIAN_13)
    assert directives(text)["client_max_body_size"] == ["20m", "1m"], "the clients', and the list's of servers"


@pytest.mark.parametrize(
    ("version", "there"), [((1, 26, 3), False), ((1, 27, 3), False), ((1, 27, 4), True), ((1, 30, 0), True)]
)
def test_a_directive_is_used_only_where_nginx_has_it(
    version: tuple[int, ...], there: bool, edge_machine: dict[str, Any]
) -> None:
    text = nginx.render(TEMPLATES, edge_machine, version)
    assert ("keepalive_min_timeout" in directives(text)) is there


def test_a_connection_is_kept_longer_by_whoever_is_asked_than_by_who_asks(edge_machine: dict[str, Any]) -> None:
    """Else a server closes a connection just when Nginx writes a POST to it, which can't be repeated: a 502."""
    upstream = re.search(r"upstream app \{(.*?)\n    \}", nginx.render(TEMPLATES, edge_machine, DEBIAN_13), re.DOTALL)
    assert upstream, "no upstream"
    asks = milliseconds(directives(upstream[1])["keepalive_timeout"][0])
    kit = "\n".join(
        each.read_text() for each in sorted((ROOT / "app/kit").rglob("*.js")) if "node_modules" not in each.parts
    )
    keeps, headers = (_javascript_number(kit, name) for name in ("keepAliveTimeout", "headersTimeout"))
    assert (asks, keeps, headers) == (60_000, 75_000, 80_000), "Nginx < Node's keep-alive < Node's headers"
    assert asks < keeps < headers


def _javascript_number(source: str, name: str) -> float:
    """The number that is assigned to a property, directly or through a constant."""
    found = re.search(rf"\b{name}\s*[:=]\s*([\w.]+)", source)
    assert found, f"app/kit doesn't set {name}"
    value = found[1].replace("_", "")
    if value.isdigit():
        return float(value)
    constant = re.search(rf"\b{re.escape(found[1].split('.')[-1])}\s*[:=]\s*([\d_]+)", source)
    assert constant, f"app/kit sets {name} to {found[1]}, which isn't a number there"
    return float(constant[1].replace("_", ""))


def test_every_worker_may_have_the_files_for_its_connections(edge_machine: dict[str, Any]) -> None:
    found = directives(nginx.render(TEMPLATES, edge_machine, DEBIAN_13))
    files_allowed, connections = int(found["worker_rlimit_nofile"][0]), int(found["worker_connections"][0])
    assert files_allowed >= 2 * connections, "a proxied request takes two"
    unit = (TEMPLATES.parent / "units/nginx.service.conf").read_text()
    assert f"LimitNOFILE={files_allowed}" in unit, "systemd's limit is the lower one otherwise"


def test_the_stand_in_the_status_page_and_the_list_are_for_this_machine_alone(edge_machine: dict[str, Any]) -> None:
    listens = directives(nginx.render(TEMPLATES, edge_machine, DEBIAN_13))["listen"]
    local = ("127.0.0.1:", "unix:")
    assert [each for each in listens if not each.startswith(local)] == ["80 default_server backlog=4096"]


def test_the_socket_is_where_systemd_makes_a_folder_for_root_alone() -> None:
    unit = (TEMPLATES.parent / "units/nginx.service.conf").read_text()
    assert f"RuntimeDirectory={upstream.SOCKET.parent.name}\n" in unit
    assert "RuntimeDirectoryMode=0700" in unit, "Nginx itself lets everybody write to a socket"
    assert f"rm -f {upstream.SOCKET}\n" in unit, "one that a killed Nginx left keeps the next from starting"
    assert f"-o www-data -g www-data -m 0755 {nginx.SERVERS.parent}\n" in unit, "the workers keep the list there"


def test_a_client_cannot_forge_where_it_comes_from(edge_machine: dict[str, Any]) -> None:
    headers = directives(nginx.render(TEMPLATES, edge_machine, DEBIAN_13))["proxy_set_header"]
    assert "X-Forwarded-For $remote_addr" in headers, "overwritten, not appended to"
    assert 'Forwarded ""' in headers, "the standard's own header would get through"


def test_headers_are_added_in_one_place(edge_machine: dict[str, Any]) -> None:
    """An add_header in a location drops all those that it would inherit."""
    text = nginx.render(TEMPLATES, edge_machine, DEBIAN_13)
    proxying = text[text.index("listen 80") : text.index("listen unix:")]
    assert "add_header" not in directives(proxying), "put it into response-headers.conf"
    added = directives((TEMPLATES / "response-headers.conf").read_text())["add_header"]
    assert all(each.endswith(" always") for each in added), "errors need them too"


def test_https_is_what_browsers_and_auditors_expect(edge_machine: dict[str, Any]) -> None:
    found = directives(nginx.render(TEMPLATES, edge_machine | HTTPS, DEBIAN_13))
    assert found["ssl_protocols"] == ["TLSv1.2 TLSv1.3"]
    ciphers = found["ssl_ciphers"][0].split(":")
    assert all(each.startswith("ECDHE-") for each in ciphers), "forward secrecy"
    assert all("GCM" in each or "POLY1305" in each for each in ciphers), "authenticated encryption"
    assert found["ssl_session_cache"], "tickets' keys are changed only where there is a shared cache"


def test_http_2_is_written_as_each_version_wants_it(edge_machine: dict[str, Any]) -> None:
    new, old = (directives(nginx.render(TEMPLATES, edge_machine | HTTPS, each)) for each in (DEBIAN_13, (1, 22, 1)))
    assert new["http2"] == ["on"]
    assert "443 ssl default_server backlog=4096" in new["listen"]
    assert "http2" not in old
    assert "443 ssl http2 default_server backlog=4096" in old["listen"]


def test_nothing_of_https_or_of_proxies_is_there_where_none_is_set(edge_machine: dict[str, Any]) -> None:
    text = nginx.render(TEMPLATES, edge_machine, DEBIAN_13)
    for word in ("443", "ssl", "http2", "realip", "real_ip", "308", "client_scheme", "root "):
        assert word not in text


def test_a_client_is_sent_to_https_by_what_it_asked_with_and_not_by_what_its_proxy_did(
    edge_machine: dict[str, Any],
) -> None:
    """Else a proxy that asks in the clear, for a client that did not, would be sent round in a circle."""
    alone = nginx.render(TEMPLATES, edge_machine | HTTPS, DEBIAN_13)
    behind = nginx.render(TEMPLATES, edge_machine | HTTPS | PROXIED, DEBIAN_13)
    for text, variable in ((alone, "$scheme"), (behind, "$client_scheme")):
        assert f"if ({variable} = http)" in text
        assert f"proxy_set_header X-Forwarded-Proto {variable};" in text


def test_only_the_named_proxies_are_believed(edge_machine: dict[str, Any]) -> None:
    text = nginx.render(TEMPLATES, edge_machine | PROXIED, DEBIAN_13)
    found = directives(text)
    assert found["set_real_ip_from"] == PROXIED["trusted_proxies"]
    assert found["real_ip_recursive"] == ["on"], "a client's own forged entries come before the proxy's"
    geo = re.search(r"geo \$realip_remote_addr \$trusted \{(.*?)\}", text, re.DOTALL)
    assert geo, "asked by who is connected; $remote_addr is what somebody says"
    assert re.findall(r"(\S+) 1;", geo[1]) == PROXIED["trusted_proxies"]
    assert "default 0;" in geo[1]


def test_nothing_is_served_from_where_the_key_is(edge_machine: dict[str, Any]) -> None:
    text = nginx.render(TEMPLATES, edge_machine | HTTPS, DEBIAN_13)
    root = directives(text)["root"]
    assert [Path(each).name for each in root] == [store.SITE], "an empty folder"
    site = text[text.index("listen 443") : text.index("listen unix:")]
    locations = re.findall(r"location [^{]*\{([^}]*)\}", site)
    assert locations
    assert all("proxy_pass" in each for each in locations), "one without would serve files"
