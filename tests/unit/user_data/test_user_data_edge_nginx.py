"""Nginx's configuration as text. tests/lab loads it into a real Nginx."""

import re
from collections.abc import Callable
from typing import Any

import jinja2
import pytest
from expressway_edge import nginx
from expressway_machine import files

from tests.paths import ROOT

TEMPLATES = ROOT / "user_data/edge/files/nginx"
DEBIAN_13 = (1, 26, 3)


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


def test_an_undefined_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        files.render(TEMPLATES / "nginx.conf.j2", nginx_version=DEBIAN_13)


def test_the_body_limit_is_the_settings(edge_machine: dict[str, Any]) -> None:
    text = nginx.render(TEMPLATES, edge_machine | {"max_body_size": "20m"}, DEBIAN_13)
    assert directives(text)["client_max_body_size"] == ["20m"]


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


def test_the_stand_in_and_the_status_page_are_for_this_machine_alone(edge_machine: dict[str, Any]) -> None:
    listens = directives(nginx.render(TEMPLATES, edge_machine, DEBIAN_13))["listen"]
    assert [each for each in listens if not each.startswith("127.0.0.1:")] == ["80 default_server backlog=4096"]


def test_a_client_cannot_forge_where_it_comes_from(edge_machine: dict[str, Any]) -> None:
    headers = directives(nginx.render(TEMPLATES, edge_machine, DEBIAN_13))["proxy_set_header"]
    assert "X-Forwarded-For $remote_addr" in headers, "overwritten, not appended to"
    assert 'Forwarded ""' in headers, "the standard's own header would get through"


def test_headers_are_added_in_one_place(edge_machine: dict[str, Any]) -> None:
    """An add_header in a location drops all those that it would inherit."""
    text = nginx.render(TEMPLATES, edge_machine, DEBIAN_13)
    proxying = text[text.index("listen 80") : text.index("listen 127.0.0.1:8081")]
    assert "add_header" not in directives(proxying), "put it into response-headers.conf"
    added = directives((TEMPLATES / "response-headers.conf").read_text())["add_header"]
    assert all(each.endswith(" always") for each in added), "errors need them too"
