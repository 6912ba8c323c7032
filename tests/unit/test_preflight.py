"""What is looked at before `lab up`, on machines where it is wrong."""

import http.server
import os
import shutil
import socket
import threading
from collections.abc import Generator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import psutil
import pytest

from lab import preflight
from lab.preflight import Needs, Problem

GIGABYTE = preflight.GIGABYTE


@pytest.fixture(autouse=True)
def _beside_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests hold while a lab is up on this machine: they look at addresses that it does not use."""
    for number, name in enumerate(("API", "METADATA_SERVER", "DNS_SERVER"), start=1):
        monkeypatch.setattr(preflight.addresses, name, IPv4Address(f"169.254.172.{number}"))


@pytest.fixture
def needs(tmp_path: Path) -> Needs:
    return Needs(vpc=IPv4Network("10.98.0.0/16"), api_port=free_port(), state=tmp_path / "state", memory=0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certain(problem: Problem | None) -> Problem:
    assert problem is not None, "there is a problem"
    return problem


def test_a_problem_reads_as_one_paragraph() -> None:
    text = str(Problem("Not root", "the lab makes machines", "Run it with sudo"))
    assert text == "Not root: the lab makes machines. Run it with sudo.", "what, why, and what to do"


def test_another_system_than_linux_is_said(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.linux(needs) is None, "these tests run on Linux"
    monkeypatch.setattr(preflight.platform, "system", lambda: "Darwin")
    assert "Darwin" in certain(preflight.linux(needs)).what, "named"


def test_what_is_not_installed_is_all_named_with_its_packages(
    needs: Needs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ip", "elsewhere/openssl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    file = tmp_path / "host-packages.txt"
    wanted = {"iproute2": "ip", "openssl": "openssl", "nftables": "nft", "a-keyring": "keyring.gpg"}
    file.write_text("".join(f"{package} {tmp_path / name}\n" for package, name in wanted.items()))
    monkeypatch.setattr(preflight, "HOST_PACKAGES", file)
    monkeypatch.setattr(preflight, "_path", lambda: str(tmp_path / "elsewhere"))
    problem = certain(preflight.tools(needs))
    assert problem.what == "Not installed: nft, keyring.gpg", "both at once; openssl is another distribution's"
    assert problem.remedy.endswith("apt-get install a-keyring nftables"), "by package"


def test_each_program_that_the_lab_runs_is_in_the_list_of_packages(needs: Needs) -> None:
    listed = {line.split()[1].rpartition("/")[2] for line in preflight.HOST_PACKAGES.read_text().splitlines()}
    assert {"ip", "nft", "unshare", "systemd-nspawn", "mmdebstrap", "dnsmasq", "openssl"} <= listed


def test_without_root_what_takes_root_is_not_tried_but_the_rest_is(
    needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not_run(_: Needs) -> Problem | None:
        raise AssertionError("a check that takes root was run without it")

    monkeypatch.setattr(preflight.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(preflight, "tools", lambda _: None)
    monkeypatch.setattr(preflight, "AS_ROOT", (must_not_run,))
    found = preflight.problems(replace(needs, disk=((Path("/nonexistent/cache"), 10**18),)))
    assert [problem.what for problem in found] == ["Not root", "Not enough disk space"], "both at once"


def test_a_port_in_use_names_who_has_it(needs: Needs) -> None:
    assert preflight.ports(needs) is None, "the port is free"
    with socket.create_server(("127.0.0.1", needs.api_port)):
        problem = certain(preflight.ports(needs))
    assert f"127.0.0.1 port {needs.api_port}" in problem.what, "which port"
    assert f"process {os.getpid()}" in problem.what, "and by whom"


def test_a_program_that_listens_on_all_addresses_is_in_the_way_too(needs: Needs) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - that is what is tested
    with socket.create_server((everywhere, needs.api_port)):
        assert everywhere in certain(preflight.ports(needs)).what, "though the lab's address is another"


def test_a_connection_on_the_same_port_is_not_in_the_way(needs: Needs) -> None:
    with socket.create_server(("127.0.0.2", needs.api_port)) as server, socket.socket() as client:
        client.bind(("127.0.0.1", needs.api_port))
        client.connect(server.getsockname())
        assert preflight.ports(needs) is None, "it listens to nobody"


def test_disk_space_is_measured_where_the_directory_will_be(needs: Needs, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    later = tmp_path / "not" / "yet"
    assert preflight.disk(replace(needs, disk=((later, free // 2),))) is None, "there is room for half of what is free"
    problem = certain(preflight.disk(replace(needs, disk=((later, free * 2), (tmp_path, free * 3)))))
    assert problem.why.count("needed") == 2, "both directories are named"
    assert not later.exists(), "and nothing was made"


def test_little_memory_is_a_warning(needs: Needs) -> None:
    available = psutil.virtual_memory().available
    assert preflight.memory(replace(needs, memory=available // 2)) is None, "there is enough"
    assert not certain(preflight.memory(replace(needs, memory=available * 2))).fatal, "it can be tried"


class Mirror(http.server.BaseHTTPRequestHandler):
    """Has a Release file, and nothing else."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/Release" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server has
        pass


@pytest.fixture
def mirror() -> Generator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_registries_that_do_not_answer_are_all_named(
    needs: Needs, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preflight.registries(replace(needs, registries=(f"{mirror}/Release",))) is None, "this one answers"
    assert preflight.registries(needs) is None, "none is needed"
    closed = f"http://127.0.0.1:{free_port()}/Release"
    problem = certain(preflight.registries(replace(needs, registries=(f"{mirror}/gone", closed))))
    assert f"{mirror}/gone answers 404" in problem.why, "a file that isn't there"
    assert f"{closed}: " in problem.why, "a server that isn't there"
