"""The lab's background programs: started, found by pid and start time, ended."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from lab import daemon

PROGRAM = "print('began', flush=True); import time; time.sleep(60)"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_test_daemon.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_test_daemon"


def test_a_program_is_found_until_it_is_stopped_and_its_output_is_kept(tmp_path: Path, module: str) -> None:
    daemon.start("test", module, state=tmp_path)
    process = daemon.find("test", tmp_path)
    assert process is not None, "it runs"
    assert os.getsid(process.pid) == process.pid, "it outlives the terminal that it was started from"
    deadline = time.monotonic() + 60
    while not daemon.last_words("test", state=tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert daemon.last_words("test", state=tmp_path) == "began"
    daemon.stop("test", tmp_path)
    assert daemon.find("test", tmp_path) is None, "it is gone"
    assert not process.is_running()
    daemon.stop("test", tmp_path)  # nothing to stop is no error


def test_another_program_that_got_the_same_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    mine = {"pid": os.getpid(), "created": psutil.Process().create_time()}
    (tmp_path / "test.pid.json").write_text(json.dumps(mine))
    assert daemon.find("test", tmp_path), "this process plays the program"
    (tmp_path / "test.pid.json").write_text(json.dumps(mine | {"created": 1.0}))
    assert daemon.find("test", tmp_path) is None, "it began at another time"


def test_a_record_that_was_cut_short_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "test.pid.json").write_text('{"pid": 1')
    assert daemon.find("test", tmp_path) is None
