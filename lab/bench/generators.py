"""Load generators: how each is called, what it prints, and how much CPU it takes itself."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from artifact import cache
from lab.paths import ROOT
from operate.load import vegeta as vegeta_program
from operate.load.vegeta import VegetaError

CONNECTIONS: Final = 32
_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class GeneratorError(Exception):
    """A generator didn't run, or printed what isn't understood."""


@dataclass(frozen=True)
class Said:
    """What a generator reports. Times in milliseconds; `cpu` in seconds, its own and that of what it started."""

    requests: int
    failed: int
    seconds: float
    p50: float
    p90: float
    p99: float
    p99_sent: float | None = None
    """Counted from when a request was sent, where `p99` counts from when it was due."""
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Generator:
    """A program that makes load: its words for an address, a rate and seconds; and how to read what it prints."""

    words: Callable[[str, int, int], Sequence[str]]
    read: Callable[[str], Said]


def wrk(url: str, seconds: int, script: Sequence[str] = ()) -> list[str]:
    """As much as `CONNECTIONS` get through; with a script beside this file, and its arguments."""
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    if script:
        words += ["--script", str(Path(__file__).with_name(script[0]))]
    return [*words, url, "--", *script[1:]]


def paced_wrk(url: str, rate: int, seconds: int) -> list[str]:
    """wrk has no rate; its script can have connections wait."""
    return wrk(url, seconds, ("pace.lua", str(rate), str(CONNECTIONS)))


def read_wrk(printed: str) -> Said:
    """wrk with `--latency`."""
    total = _find(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b", printed)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", printed)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    failed = sum(map(int, errors.groups())) if errors else 0
    return Said(
        requests=int(total[1]),
        failed=failed + (int(wrong[1]) if wrong else 0),
        seconds=_milliseconds(total[2], total[3]) / 1000,
        p50=_milliseconds(*_find(r"50%\s+([\d.]+)(us|ms|s|m)\b", printed).groups()),
        p90=_milliseconds(*_find(r"90%\s+([\d.]+)(us|ms|s|m)\b", printed).groups()),
        p99=_milliseconds(*_find(r"99%\s+([\d.]+)(us|ms|s|m)\b", printed).groups()),
    )


def hey(url: str, rate: int, seconds: int) -> list[str]:
    """hey's rate is one of each worker."""
    return ["hey", "-z", f"{seconds}s", "-c", str(CONNECTIONS), "-q", f"{rate / CONNECTIONS:g}", url]


def read_hey(printed: str) -> Said:
    """hey's summary."""
    answers = {int(status): int(count) for status, count in re.findall(r"\[(\d{3})\]\s+(\d+) responses", printed)}
    errors = sum(map(int, re.findall(r"^\s+\[(\d+)\]\s+(?!\d+ responses)", printed, re.MULTILINE)))
    return Said(
        requests=sum(answers.values()) + errors,
        failed=errors + sum(count for status, count in answers.items() if status >= 400),
        seconds=float(_find(r"Total:\s+([\d.]+) secs", printed)[1]),
        p50=1000 * float(_find(r"50%+ in ([\d.]+) secs", printed)[1]),
        p90=1000 * float(_find(r"90%+ in ([\d.]+) secs", printed)[1]),
        p99=1000 * float(_find(r"99%+ in ([\d.]+) secs", printed)[1]),
    )


def vegeta(program: Path) -> Generator:
    """Open loop: a worker more where all are waiting."""

    def words(url: str, rate: int, seconds: int) -> list[str]:
        script = 'echo "GET $1" | "$0" attack -rate="$2" -duration="$3s" | "$0" report -type=json'
        return ["bash", "-euo", "pipefail", "-c", script, str(program), url, str(rate), str(seconds)]

    return Generator(words, read_vegeta)


def read_vegeta(printed: str) -> Said:
    """vegeta's report as JSON, whose times are nanoseconds."""
    said = _json(printed)
    answers: Mapping[str, int] = said["status_codes"]
    return Said(
        requests=said["requests"],
        failed=said["requests"] - sum(count for status, count in answers.items() if status.startswith(("2", "3"))),
        seconds=said["requests"] / said["rate"],
        p50=said["latencies"]["50th"] / 1e6,
        p90=said["latencies"]["90th"] / 1e6,
        p99=said["latencies"]["99th"] / 1e6,
    )


def own(url: str, rate: int, seconds: int) -> list[str]:
    """This project's own."""
    return [sys.executable, "-m", "lab.bench.open_loop", url, str(rate), str(seconds)]


def read_own(printed: str) -> Said:
    """One line of JSON with the same names."""
    return Said(**_json(printed))


OWN: Final = Generator(own, read_own)
WRK: Final = "wrk, paced"
LOAD: Final = "lab/bench/load.py"


def known() -> dict[str, Generator]:
    """Those that this machine can run."""
    found = {WRK: Generator(paced_wrk, read_wrk), "hey": Generator(hey, read_hey), LOAD: OWN}
    program = find_vegeta()
    return found | ({"vegeta": vegeta(program)} if program else {})


def find_vegeta() -> Path | None:
    """vegeta, built on first use; None where it can't be had."""
    try:
        return vegeta_program.ensure(cache.root())
    except VegetaError:
        return None


def run(words: Sequence[str], read: Callable[[str], Said], meanwhile: Callable[[], None] = lambda: None) -> Said:
    """Run a generator to its end, and `meanwhile` once it has begun; what it says. GeneratorError."""
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        meanwhile()
        printed = process.stdout.read() if process.stdout else ""
        # Not Popen.wait: only this tells the CPU of one process, and of those that it has waited for.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise GeneratorError(f"{' '.join(words)} ended with {process.returncode}:\n{printed}")
    return replace(read(printed), cpu=usage.ru_utime + usage.ru_stime)


def _find(pattern: str, printed: str) -> re.Match[str]:
    found = re.search(pattern, printed)
    if not found:
        raise GeneratorError(f"there is no {pattern} in:\n{printed}")
    return found


def _json(printed: str) -> dict[str, Any]:
    try:
        return json.loads(printed)
    except ValueError as error:
        raise GeneratorError(f"no JSON: {printed}") from error


def _milliseconds(value: str, unit: str) -> float:
    return float(value) * _UNITS[unit]
