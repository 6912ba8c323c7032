"""Deploys: a release, or a change of the infrastructure, put on every machine while requests go on, or taken back.

record.py is the lock; goal.py, rolling.py, in_place.py and judgement.py decide, and do no I/O; transaction.py acts.
"""

from .record import BusyError, LostError, Record, read
from .transaction import (
    BAKE_SECONDS,
    Failure,
    Mode,
    Options,
    Outcome,
    Progress,
    RefusedError,
    StuckError,
    deploy,
)

__all__ = [
    "BAKE_SECONDS",
    "BusyError",
    "Failure",
    "LostError",
    "Mode",
    "Options",
    "Outcome",
    "Progress",
    "Record",
    "RefusedError",
    "StuckError",
    "deploy",
    "read",
]
