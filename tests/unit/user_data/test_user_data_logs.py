"""What machines tell CloudWatch Logs, and what happens when it can't be told."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from expressway_logs import access, journal, shipper
from expressway_logs.file import File
from expressway_logs.journal import Journal, parse
from expressway_logs.mask import Mask, secrets
from expressway_logs.model import LONGEST_LINE, MOST_BYTES, OVERHEAD, Line, batches, fitting
from expressway_logs.shipper import Positions, Shipper, rejected
from expressway_machine.calls import LOGS, Calls
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

DAY = 24 * 3600 * 1000


@given(st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(0, 300_000)), max_size=40))
def test_a_call_never_holds_more_than_cloudwatch_takes_and_no_line_is_lost(found: list[tuple[int, int]]) -> None:
    lines = [Line("app", at, "é" * (length // 2)) for at, length in found]
    calls = list(batches(lines))
    assert sorted((line.at, line.text) for call in calls for line in call) == sorted((e.at, e.text) for e in lines)
    for call in calls:
        assert sum(len(line.text.encode()) + OVERHEAD for line in call) <= MOST_BYTES
        assert [line.at for line in call] == sorted(line.at for line in call), "CloudWatch refuses another order"
        assert call[-1].at - call[0].at <= DAY


def test_a_call_has_ten_thousand_lines_at_most() -> None:
    assert [len(call) for call in batches([Line("app", 1, "x")] * 20_001)] == [10_000, 10_000, 1]


def test_a_line_that_is_too_long_is_cut_between_two_characters() -> None:
    cut = fitting("é" * LONGEST_LINE)
    assert len(cut.encode()) <= LONGEST_LINE
    assert cut.endswith("é [cut]")
    assert fitting("short") == "short"


ENVIRONMENT = {
    "DATABASE_URL": "postgresql://expressway:p%40ss-w0rd@db.example:5432/app?sslmode=verify-full",
    "REDIS_URL": "rediss://:t0ken-of-redis@cache.example:6379",
    "API_KEY": 'sk_"live"_0123456789',
    "LOG_LEVEL": "information",
}


def test_values_of_secrets_are_hidden_in_every_form_and_plain_ones_are_not(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    file.write_text(json.dumps(ENVIRONMENT))
    mask = Mask(file, ["API_KEY"])
    mask.look()
    for secret in ('sk_"live"_0123456789', "p@ss-w0rd", "p%40ss-w0rd", "t0ken-of-redis"):
        hidden = mask(f"it is {secret}, in {json.dumps({'a': secret})}")
        assert hidden == 'it is ***, in {"a": "***"}'
    assert mask("the level is information") == "the level is information"


def test_a_secret_that_changes_is_known_at_once_and_the_one_before_stays_hidden(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    file.write_text(json.dumps({"API_KEY": "first-secret"}))
    mask = Mask(file, ["API_KEY"])
    mask.look()
    file.write_text(json.dumps({"API_KEY": "second-secret"}))
    os.utime(file, (1, 1))
    mask.look()
    assert mask("first-secret second-secret") == "*** ***"


def test_lines_of_a_key_are_hidden_one_by_one_and_short_values_are_left_alone() -> None:
    found = secrets({"KEY": "-----BEGIN KEY-----\nMIIEvgIBADAN\n", "PIN": "on"}, ["KEY", "PIN"])
    assert found == {"-----BEGIN KEY-----", "MIIEvgIBADAN"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("connect postgres://app:hunter2@db/x failed", "connect postgres://app:***@db/x failed"),
        ("redis://:hunter2@cache", "redis://:***@cache"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ('{"authorization":"Basic YWJj","a":1}', '{"authorization":"Basic ***","a":1}'),
        ("{ authorization: 'Bearer abc' }", "{ authorization: 'Bearer ***' }"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key AKIAIOSF*** used"),
        (f"aws_secret_access_key = {'k' * 40}", "aws_secret_access_key = ***"),
        ('{"uri":"/in?token=abc&x=1"}', '{"uri":"/in?token=***&x=1"}'),
        ('{"password":"hunter2","user":"me"}', '{"password":"***","user":"me"}'),
        (r'{"body":"{\"password\":\"hunter2\"}"}', r'{"body":"{\"password\":\"***\"}"}'),
        ("GET http://example/a:b 200", "GET http://example/a:b 200"),
        ("the secret is out", "the secret is out"),
        ('{"at":"12:30:45","url":"https://example/x?page=2"}', '{"at":"12:30:45","url":"https://example/x?page=2"}'),
    ],
)
def test_what_looks_like_a_secret_is_hidden_and_nothing_else(said: str, told: str) -> None:
    assert Mask()(said) == told
    if said.startswith("{") and '"' in said:
        json.loads(Mask()(said))


def entry(message: Any, unit: str, **further: Any) -> dict[str, Any]:
    return {"MESSAGE": message, "_SYSTEMD_UNIT": unit, "__REALTIME_TIMESTAMP": "1764000000123456", **further}


@pytest.mark.parametrize(
    ("given_entry", "told"),
    [
        (entry('{"level":"error"}', "expressway-app.service"), ("app", '{"level":"error"}')),
        (entry("configured", "cloud-final.service"), ("boot", "configured")),
        (entry("started", "init.scope", SYSLOG_IDENTIFIER="systemd"), ("system", "systemd: started")),
        (entry([104, 195, 164], "expressway-app.service"), ("app", "hä")),
        (entry("noise", "x.service", PRIORITY="7"), None),
        (entry("debugged", "expressway-app.service", PRIORITY="7"), ("app", "debugged")),
        (entry(None, "expressway-app.service"), None),
        (entry(" ", "expressway-app.service"), None),
    ],
)
def test_a_journal_line_is_of_the_app_the_boot_or_the_system(
    given_entry: dict[str, Any], told: tuple[str, str] | None
) -> None:
    line = parse(given_entry)
    assert (line and (line.kind, line.text)) == told
    assert line is None or line.at == 1_764_000_000_123


# Stands in for journalctl: an entry for each number from the one after the cursor on, and then silence.
JOURNALCTL = """
import json, sys, time
last = next((int(each.split("=")[1]) for each in sys.argv if each.startswith("--after-cursor=")), 0)
for number in range(last + 1, {until}):
    if number in {gone}: continue
    print(json.dumps({{"__CURSOR": str(number), "__REALTIME_TIMESTAMP": str(number * 1000), "__SEQNUM": str(number),
        "__SEQNUM_ID": "a", "_SYSTEMD_UNIT": "expressway-app.service", "MESSAGE": f"{{number}} " + "x" * {size}}}))
sys.stdout.flush()
{after}
"""


RECENT = [
    sys.executable,
    "-c",
    "import json, time; print(json.dumps({'__CURSOR': '1', '__REALTIME_TIMESTAMP': str(int(time.time() * 1e6)),"
    "'_SYSTEMD_UNIT': 'expressway-app.service', 'MESSAGE': 'last words'}), flush=True); open('said', 'w'); "
    "time.sleep(60)",
]


def journalctl(until: int, gone: tuple[int, ...] = (), size: int = 10, after: str = "time.sleep(60)") -> list[str]:
    return [sys.executable, "-c", JOURNALCTL.format(until=until, gone=gone, size=size, after=after)]


@pytest.fixture
def journals() -> Iterator[Callable[..., Journal]]:
    made: list[Journal] = []

    def make(position: dict[str, Any] | None = None, **given: Any) -> Journal:
        made.append(Journal(position, journalctl(**given)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def numbers(lines: list[Line]) -> list[int]:
    return [int(line.text.split()[0]) for line in lines]


def taken(source: Journal | File, count: int, most: int = 1 << 20, wait: float = 0.2) -> list[int]:
    found: list[int] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += numbers(source.take(most, time.monotonic() + wait))
    return found


def test_the_journal_is_read_on_from_where_it_was_told(journals: Callable[..., Journal]) -> None:
    first = journals(until=6)
    assert taken(first, 5) == [1, 2, 3, 4, 5]
    assert taken(journals(first.position, until=9), 3) == [6, 7, 8]


def test_a_journalctl_that_ends_is_begun_again_where_it_was(journals: Callable[..., Journal]) -> None:
    source = journals(until=4, after="sys.exit(1)")
    found = [number for _ in range(4) for number in numbers(source.take(1 << 20, time.monotonic() + 5))]
    assert found == [1, 2, 3], "nothing is told twice"


def test_a_journalctl_that_has_much_of_the_journal_mapped_makes_room_for_another(
    journals: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_FOLLOWED", 256 * 1024)
    begun: list[Any] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **more: begun.append(given) or popen(*given, **more))
    source = journals(until=3001, size=1000)
    assert taken(source, 3000, most=100_000) == list(range(1, 3001)), "none is lost, and none told twice"
    assert len(begun) > 3
    assert source.dropped == 0


def test_a_line_that_is_longer_than_a_journalctl_tells_is_told_all_the_same(
    journals: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_FOLLOWED", 64 * 1024)
    halves = "sys.stdout.write = lambda text, write=sys.stdout.write: "
    halves += "write(text[:150_000]) and (sys.stdout.flush() or time.sleep(0.5)) or write(text[150_000:])"
    source = journals(until=2, size=300_000)
    source._command = [*source._command[:2], f"import sys, time; {halves}\n{source._command[2]}"]  # pyright: ignore[reportPrivateUsage]
    assert taken(source, 1, wait=0.1) == [1], "one that is begun anew in its middle begins with it again"


def test_a_place_that_journalctl_never_finds_is_forgotten(
    journals: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAUSE", 0)
    source = journals({"cursor": "9"}, until=4, after="sys.exit(1)")
    assert taken(source, 3) == [1, 2, 3]


def test_lines_that_the_journal_has_let_go_of_are_counted(journals: Callable[..., Journal]) -> None:
    source = journals(until=10, gone=(4, 5, 6))
    assert taken(source, 6) == [1, 2, 3, 7, 8, 9]
    assert source.dropped == 3


def test_who_reads_little_makes_journalctl_wait_and_loses_nothing(journals: Callable[..., Journal]) -> None:
    source = journals(until=4001, size=1000)
    first = source.take(10_000, time.monotonic() + 20)
    assert len(first) < 1000, "about as many bytes as were asked for, of 4 MB"
    assert numbers(first) + taken(source, 4000 - len(first)) == list(range(1, 4001))


def numbered(text: str, _now: float) -> Line:
    return Line("access", int(text), text)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Callable[..., File]]:
    made: list[File] = []

    def make(position: dict[str, Any] | None = None, **given: Any) -> File:
        made.append(File(tmp_path / "access.log", numbered, position, **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


def write(path: Path, *values: int) -> None:
    with path.open("a") as stream:
        stream.writelines(f"{each}\n" for each in values)


def test_a_file_is_followed_across_rotations_and_restarts(tmp_path: Path, files: Callable[..., File]) -> None:
    path = tmp_path / "access.log"
    source = files()
    assert source.take(1000, 0) == [], "it isn't there yet"
    write(path, 1, 2)
    assert numbers(source.take(1000, 0)) == [1, 2]
    write(path, 3)
    path.rename(tmp_path / "access.log.1")
    write(path, 4)
    assert numbers(source.take(1000, 0)) == [3, 4]
    write(path, 5)
    position = json.loads(json.dumps(source.position))
    path.rename(tmp_path / "access.log.1")
    write(path, 6)
    assert numbers(files(position).take(1000, 0)) == [5, 6]


def test_a_file_that_was_rotated_twice_while_it_was_read_is_read_to_its_end(
    tmp_path: Path, files: Callable[..., File]
) -> None:
    path = tmp_path / "access.log"
    write(path, 1)
    source = files()
    source.take(1000, 0)
    write(path, 2)
    path.rename(tmp_path / "access.log.1")
    write(path, 3)
    (tmp_path / "access.log.1").rename(tmp_path / "access.log.2")
    path.rename(tmp_path / "access.log.1")
    write(path, 4)
    assert numbers(source.take(1000, 0)) == [2, 3, 4]


def test_half_a_line_waits_for_its_rest(tmp_path: Path, files: Callable[..., File]) -> None:
    path = tmp_path / "access.log"
    path.write_text("1\n2")
    source = files()
    assert numbers(source.take(1000, 0)) == [1]
    with path.open("a") as stream:
        stream.write("3\n")
    assert numbers(source.take(1000, 0)) == [23]


def test_who_is_too_far_behind_a_file_goes_on_nearer_to_its_end_and_counts_what_it_passed_over(
    tmp_path: Path, files: Callable[..., File]
) -> None:
    path = tmp_path / "access.log"
    write(path, *range(10_000, 20_000))
    source = files(kept=600)
    found = taken(source, 90)
    assert found[-1] == 19_999
    assert len(found) + source.dropped == 10_000
    assert 90 <= len(found) <= 100


def test_all_requests_or_those_in_trouble_are_told() -> None:
    def line(status: int, seconds: float) -> str:
        return json.dumps({"msec": 1764000000.5, "status": status, "request_time": seconds})

    told = access.requests("errors")
    wanted = [(200, 0.999), (200, 1.0), (404, 0.1), (499, 0.1), (502, 0.1)]
    assert [bool(told(line(*each), 0)) for each in wanted] == [False, True, False, False, True]
    every = access.requests("all")(line(200, 0.1), 0)
    assert every
    assert (every.at, every.text) == (1_764_000_000_500, line(200, 0.1)), "the JSON stays as it is"


def test_a_line_of_nginx_errors_has_its_own_time() -> None:
    line = access.errors("2026/11/26 09:00:00 [error] 12#12: no live upstreams", 0)
    assert line
    assert (line.kind, line.at) == ("system", 1_795_683_600_000)


class Lines:
    """A source that has lines, and counts how often it was asked."""

    name = "lines"

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)
        self.position: dict[str, Any] = {}
        self.dropped = 0

    def take(self, most: int, until: float) -> list[Line]:
        found, self.lines = self.lines[:10], self.lines[10:]
        self.position["at"] = self.position.get("at", 0) + len(found)
        return found

    def close(self) -> None:
        pass


def client(endpoint: str | None = None, timeout: float = 5) -> Any:
    config = Config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client("logs", region_name="us-east-1", endpoint_url=endpoint, config=config, **keys)


def made(tmp_path: Path, source: Any, call: shipper.Call) -> Shipper:
    return Shipper("shop", [source], Positions(tmp_path / "logs.json"), Mask(), call, lambda: "i-1")


@pytest.fixture
def cloudwatch_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where moto's CloudWatch Logs is."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    client(endpoint).create_log_group(logGroupName="shop")
    yield endpoint
    client(endpoint).delete_log_group(logGroupName="shop")
    server.stop()


def calls(timeout: float = 5) -> shipper.Call:
    """The collector's own, as far as its environment leads it."""
    return partial(Calls("us-east-1", timeout, timeout), LOGS)


def test_each_kind_has_a_stream_that_is_made_when_it_is_first_needed(tmp_path: Path, cloudwatch_logs: str) -> None:
    logs = client(cloudwatch_logs)
    now = int(time.time() * 1000)
    source = Lines(Line("app", now, "password=hunter2"), Line("boot", now, "b"), Line("app", now - 5, "first"))
    ships = made(tmp_path, source, calls())
    ships.turn(0)
    events = logs.get_log_events(logGroupName="shop", logStreamName="i-1/app", startFromHead=True)["events"]
    assert [each["message"] for each in events] == ["first", "password=***"]
    assert logs.get_log_events(logGroupName="shop", logStreamName="i-1/boot")["events"][0]["message"] == "b"
    assert (ships.sent, ships.dropped) == (3, 0)
    assert Positions(tmp_path / "logs.json").read() == {"lines": {"at": 3}}
    source.lines = [Line("app", now, "more")]
    ships.turn(0)
    assert ships.sent == 4


class Refusing:
    """CloudWatch Logs that fails as often as it is told to."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.told: list[str] = []

    def __call__(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        assert operation == "PutLogEvents"
        if self.errors:
            raise self.errors.pop(0)
        self.told += [each["message"] for each in given["logEvents"]]
        return {}


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PutLogEvents")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "FIRST_PAUSE", 0.01)


def test_a_stream_that_somebody_else_has_made_meanwhile_will_do(tmp_path: Path) -> None:
    said = {
        "PutLogEvents": iter([client_error("ResourceNotFoundException"), None]),
        "CreateLogStream": iter([client_error("ResourceAlreadyExistsException")]),
    }
    called: list[str] = []

    def call(operation: str, _given: dict[str, Any]) -> dict[str, Any]:
        called.append(operation)
        if error := next(said[operation]):
            raise error
        return {}

    ships = made(tmp_path, Lines(Line("app", 1, "kept")), call)
    ships.turn(0)
    assert (called, ships.sent) == (["PutLogEvents", "CreateLogStream", "PutLogEvents"], 1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://logs"),
        client_error("AccessDeniedException"),
        client_error("ThrottlingException"),
        OSError("away"),
    ],
)
def test_what_could_not_be_told_is_told_later_with_two_lines_in_the_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    there = Refusing(error, error, error)
    ships = made(tmp_path, Lines(Line("app", 1, "kept")), there)
    ships.turn(0)
    assert (there.told, ships.sent, ships.dropped) == (["kept"], 1, 0)
    begins, ends = capsys.readouterr().out.splitlines()
    assert begins.startswith("expressway: CloudWatch Logs can't be told (shop), the journal and the files keep it: ")
    assert ends == "expressway: CloudWatch Logs is told again; lost meanwhile: 0 lines"


def test_lines_that_it_will_never_take_are_counted_and_hold_nothing_up(tmp_path: Path) -> None:
    there = Refusing(client_error("InvalidParameterException"))
    source = Lines(*(Line("app", 1, f"{each}") for each in range(11)))
    ships = made(tmp_path, source, there)
    ships.turn(0)
    ships.turn(0)
    assert (there.told, ships.dropped) == (["10"], 10)


def test_lines_that_are_too_old_or_too_new_are_counted() -> None:
    assert rejected({}, 10) == 0
    assert rejected({"tooOldLogEventEndIndex": 3, "tooNewLogEventStartIndex": 8}, 10) == 5


def test_a_restart_while_it_is_away_tells_the_same_lines_again(tmp_path: Path) -> None:
    there = Refusing(*[OSError("away")] * 1000)
    ships = made(tmp_path, Lines(Line("app", 1, "kept")), there)
    ships.start()
    deadline = time.monotonic() + 10
    while len(there.errors) == 1000 and time.monotonic() < deadline:
        time.sleep(0.01)
    ships.stop(5)
    assert Positions(tmp_path / "logs.json").read() == {}, "nothing was told, so nothing is passed over"


@pytest.fixture(params=["hangs", "refuses"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a CloudWatch Logs would be that takes connections and says nothing, or takes none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        if request.param == "refuses":
            server.close()
        yield address


def test_one_that_hangs_or_refuses_costs_a_bounded_memory_and_stops_nobody(
    tmp_path: Path, away: str, journals: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(shipper, "GATHER", 0.2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", away)
    path = tmp_path / "access.log"
    file = File(path, lambda text, _now: Line("access", 1, text), None)
    sources = [journals(until=60_000, size=1000), file]  # 60 MB in the journal
    ships = Shipper("shop", sources, Positions(tmp_path / "logs.json"), Mask(), calls(0.2), lambda: "i-1")
    others = threading.active_count()
    tracemalloc.start()
    ships.start()
    try:
        took: list[float] = []
        with path.open("w") as stream:
            for _ in range(40):  # and 40 MB in the file, written by somebody who never waits
                began = time.monotonic()
                stream.write(f"{'y' * 999}\n" * 1000)
                stream.flush()
                took.append(time.monotonic() - began)
                time.sleep(0.05)
        assert median(took) < 1, "but for where the host itself stood still"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        stopping = time.monotonic()
        ships.stop(2)
    assert time.monotonic() - stopping < 20, "who ends the service doesn't wait for it either"
    assert most < 24 * 1024 * 1024, f"{most / 1e6:.0f} MB of the 100 MB that were logged"
    assert ships.sent == 0
    assert threading.active_count() - others < 20


SERVICE = """
import sys
from pathlib import Path
from expressway_logs import journal, service as logs, shipper
from expressway_machine import config, metadata
from expressway_metrics import service
journal.Journal.__init__.__defaults__ = ({journalctl!r},)
shipper.GATHER = 5  # so that it is stopped before it has told anything
logs.PATIENCE = 60
metadata.instance_id = lambda: "i-1"
config.load = lambda: {{"tier": "app", "region": "us-east-1", "metrics": None, "logs": {{"group": "shop"}},
    "app": {{"secrets": {{}}}}}}
service.run(None)
"""


def test_the_service_tells_its_last_lines_when_it_is_stopped_also_without_metrics(
    tmp_path: Path, cloudwatch_logs: str
) -> None:
    told = {
        **os.environ,
        "PYTHONPATH": str(Path(shipper.__file__).parent.parent),
        "STATE_DIRECTORY": str(tmp_path),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
    }
    text = SERVICE.format(journalctl=RECENT)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(told["NOTIFY_SOCKET"])
        notified.settimeout(60)
        with subprocess.Popen([sys.executable, "-c", text], env=told, cwd=tmp_path) as running:
            assert notified.recv(100) == b"READY=1"
            deadline = time.monotonic() + 60
            while not (tmp_path / "said").exists():
                assert time.monotonic() < deadline, "its journalctl says nothing"
                time.sleep(0.05)
            assert not (tmp_path / "logs.json").exists()
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0
    found = client(cloudwatch_logs).filter_log_events(logGroupName="shop")["events"]
    assert [(each["logStreamName"], each["message"]) for each in found] == [("i-1/app", "last words")]
    assert json.loads((tmp_path / "logs.json").read_text()) == {"journal": {"cursor": "1"}}
