"""A run that `--json` wrote, read again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operate.load.model import Bottleneck, Reading, Run, Second, Sizes, Statement, Step


class SavedRunError(Exception):
    """It can't be read; one line with the file and what is wrong."""


def read(path: Path) -> Run:
    """The run in the file."""
    try:
        return of(json.loads(path.read_text()))
    except OSError as error:
        raise SavedRunError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SavedRunError(
            f"{path}: this is no run of expressway load --json ({type(error).__name__}: {error})"
        ) from error


def of(told: Mapping[str, Any]) -> Run:
    """The run that `as_json` has told. KeyError, TypeError or ValueError where it is none."""
    sizes = told.get("sizes")
    return Run(
        target=str(told["target"]),
        stack=told["stack"],
        mix=tuple(told["mix"]),
        generator=str(told["generator"]),
        steps=tuple(_step(each) for each in told["steps"]),
        knee_rps=told["knee_rps"],
        bottleneck=Bottleneck(
            told["bottleneck"]["tier"],
            told["bottleneck"]["resource"],
            tuple(told["bottleneck"]["evidence"]),
            tuple(told["bottleneck"]["next"]),
        ),
        timeline=tuple(Second(**each) for each in told["timeline"]),
        interrupted=bool(told["interrupted"]),
        sizes=_sizes(sizes) if sizes else None,
    )


def _sizes(told: Mapping[str, Any]) -> Sizes:
    # In a run of before Aurora was read there is none.
    capacity = told.get("capacity")
    given: dict[str, Any] = {**told, "capacity": tuple(capacity) if capacity else None}
    return Sizes(**given)


def _step(told: Mapping[str, Any]) -> Step:
    lists: dict[str, Any] = {
        "histogram": {float(bound): int(count) for bound, count in told["histogram"].items()},
        "readings": tuple(Reading(**each) for each in told["readings"]),
        "statements": tuple(Statement(**each) for each in told["statements"]),
    }
    given: dict[str, Any] = {**told, **lists}
    return Step(**given)
