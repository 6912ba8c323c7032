"""The lab's background programs: started, found by pid and start time, ended."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from lab import daemon

PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("in order", flush=True)))
print("began", flush=True)
time.sleep(60)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_test_daemon.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_test_daemon"


def begun(folder: Path, module: str) -> psutil.Process:
    """The program, once it has said so."""
    daemon.start("test", module, state=folder)
    process = daemon.find("test", folder)
    assert process is not None, "it runs"
    deadline = time.monotonic() + 60
    while not daemon.last_words("test", state=folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert daemon.last_words("test", state=folder) == "began"
    return process


@pytest.mark.parametrize(("grace", "says"), [(daemon.STOP_SECONDS, "began\nin order"), (0, "began")])
def test_a_program_is_found_until_it_is_stopped_and_its_output_is_kept(
    grace: float, says: str, tmp_path: Path, module: str
) -> None:
    process = begun(tmp_path, module)
    assert os.getsid(process.pid) == process.pid, "it outlives the terminal that it was started from"
    daemon.stop("test", tmp_path, grace)
    assert daemon.last_words("test", state=tmp_path) == says
    assert daemon.find("test", tmp_path) is None, "it is gone"
    assert not process.is_running()
    daemon.stop("test", tmp_path, grace)  # nothing to stop is no error


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel doesn't weigh sessions")
def test_its_session_has_the_weight_that_it_is_started_with(tmp_path: Path, module: str) -> None:
    daemon.start("test", module, state=tmp_path, nice=7)
    process = daemon.find("test", tmp_path)
    assert process is not None
    told = Path(f"/proc/{process.pid}/autogroup").read_text()
    daemon.stop("test", tmp_path)
    assert told.split()[-2:] == ["nice", "7"], told
    assert told != Path("/proc/self/autogroup").read_text(), "and nobody else's"


def test_another_program_that_got_the_same_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    mine = {"pid": os.getpid(), "created": psutil.Process().create_time()}
    (tmp_path / "test.pid.json").write_text(json.dumps(mine))
    assert daemon.find("test", tmp_path), "this process plays the program"
    (tmp_path / "test.pid.json").write_text(json.dumps(mine | {"created": 1.0}))
    assert daemon.find("test", tmp_path) is None, "it began at another time"


def test_a_record_that_was_cut_short_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "test.pid.json").write_text('{"pid": 1')
    assert daemon.find("test", tmp_path) is None
