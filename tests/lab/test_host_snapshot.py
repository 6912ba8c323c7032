"""The snapshot by which "nothing is left" is judged: blind to others, and to nothing of the lab's."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from lab import paths
from lab.machines import control_groups
from lab.network import addresses
from lab.network.security_groups import TABLE
from tests.lab.host_neighbour import noisy_neighbour
from tests.lab.host_snapshot import Watch

pytestmark = pytest.mark.lab


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch(tmp_path, watched=("/etc", "/tmp"))  # a walk over everything takes seconds
    watch.begin(monkeypatch)
    return watch


def test_what_other_programs_do_meanwhile_is_not_the_labs(watch: Watch) -> None:
    before = watch.take()
    with noisy_neighbour():
        assert before.added(watch.take()) == {}


@contextlib.contextmanager
def undone(*commands: Sequence[str]) -> Generator[None]:
    try:
        yield
    finally:
        for command in commands:
            subprocess.run(command, check=False, capture_output=True)


@contextlib.contextmanager
def process() -> Generator[None]:
    """A daemon of the lab's: its parent has ended, and only what it inherited tells whose it is."""
    started = subprocess.run(
        ["sh", "-c", "setsid sleep 600 > /dev/null 2>&1 & echo $!"], capture_output=True, text=True, check=True
    )
    with undone(["kill", "-KILL", started.stdout.strip()]):
        yield


@contextlib.contextmanager
def child_without_the_mark() -> Generator[None]:
    """What a lab's process starts is the lab's, whatever its environment."""
    program = "env --ignore-environment /usr/bin/sleep 600 & echo ready; wait"
    with subprocess.Popen(["sh", "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        try:
            yield
        finally:
            os.killpg(parent.pid, 9)


@contextlib.contextmanager
def namespace_without_a_process() -> Generator[None]:
    """A network that a mount of the lab's keeps alive."""
    made = not paths.STATE.exists()
    paths.STATE.mkdir(exist_ok=True)
    pin = paths.STATE / "planted"
    pin.touch()
    subprocess.run(["unshare", f"--net={pin}", "true"], check=True)
    with undone(["umount", str(pin)], ["rm", str(pin)], *([["rmdir", str(paths.STATE)]] if made else [])):
        yield


@contextlib.contextmanager
def process_inside_a_machine() -> Generator[None]:
    """It has no mark: a machine's own init starts its programs. Its mounts tell whose it is."""
    made = not paths.STATE.exists()
    paths.STATE.mkdir(exist_ok=True)
    program = f"mount -t tmpfs planted {paths.STATE}; echo ready; exec sleep 600"
    command = ["env", "--ignore-environment", "/usr/bin/unshare", "--mount", "/bin/sh", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as inside:
        assert inside.stdout is not None
        inside.stdout.readline()
        with undone(["kill", "-KILL", str(inside.pid)], *([["rmdir", str(paths.STATE)]] if made else [])):
            yield


@contextlib.contextmanager
def link() -> Generator[None]:
    name = f"{addresses.INTERFACE_PREFIX}planted"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", "nn-peer"], check=True)
    with undone(["ip", "link", "delete", name]):
        yield


@contextlib.contextmanager
def address() -> Generator[None]:
    given = f"{addresses.PUBLIC[250]}/32"
    subprocess.run(["ip", "address", "add", given, "dev", "lo"], check=True)
    with undone(["ip", "address", "delete", given, "dev", "lo"]):
        yield


@contextlib.contextmanager
def route() -> Generator[None]:
    target = f"{addresses.PUBLIC[251]}/32"
    subprocess.run(["ip", "route", "add", target, "dev", "lo"], check=True)
    with undone(["ip", "route", "delete", target]):
        yield


@contextlib.contextmanager
def table() -> Generator[None]:
    name = f"{TABLE}_planted"
    subprocess.run(["nft", "add", "table", "inet", name], check=True)
    with undone(["nft", "delete", "table", "inet", name]):
        yield


@contextlib.contextmanager
def rule_in_another_table() -> Generator[None]:
    rule = f'table inet planted {{ chain c {{ iifname "{addresses.INTERFACE_PREFIX}0" accept; }}; }}'
    subprocess.run(["nft", "-f", "-"], input=rule, text=True, check=True)
    with undone(["nft", "delete", "table", "inet", "planted"]):
        yield


@contextlib.contextmanager
def control_group() -> Generator[None]:
    group = control_groups.create("i-planted")[0]
    try:
        yield
    finally:
        control_groups.remove("i-planted")
        assert not group.exists()


def file(path: str) -> Callable[[], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def planted() -> Generator[None]:
        Path(path).touch()
        with undone(["rm", path]):
            yield

    return planted


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (process, "processes"),
        (child_without_the_mark, "processes"),
        (process_inside_a_machine, "processes"),
        (process_inside_a_machine, "namespaces"),
        (namespace_without_a_process, "namespaces"),
        (namespace_without_a_process, "mounts"),
        (link, "links"),
        (address, "addresses"),
        (route, "routes"),
        (table, "rules"),
        (rule_in_another_table, "rules"),
        (control_group, "control_groups"),
        (file("/tmp/expressway-planted"), "files"),
        (file("/etc/dnsmasq-planted.conf"), "files"),
    ],
)
def test_what_a_lab_leaves_is_seen_beside_a_noisy_neighbour(
    watch: Watch, plant: Callable[[], contextlib.AbstractContextManager[None]], kind: str
) -> None:
    before = watch.take()
    with noisy_neighbour(), plant():
        assert kind in before.added(watch.take()), f"it does not see {plant.__name__}"
    assert before.added(watch.take()) == {}, "the test itself left something"


def test_a_temporary_file_of_any_name_is_seen(watch: Watch) -> None:
    before = watch.take()
    made = subprocess.run(["mktemp"], capture_output=True, text=True, check=True).stdout.strip()
    assert before.added(watch.take()) == {"files": [made]}, "the lab's programs keep them in a place of their own"
