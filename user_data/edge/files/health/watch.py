"""One pass after the other: look, decide, act, publish."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import files

from . import observe, rules

T = TypeVar("T")
Claim = Callable[[], str]
"""Takes the address for this machine, or raises OSError."""


@dataclass
class Watch:
    """Holds what lasts between passes."""

    api: observe.Api
    instance_id: str
    claim: Claim
    state: Path
    """Where each pass is published. A report is remembered here, so that a watch begun anew makes no second one."""
    checks: Mapping[str, Callable[[], bool]]
    """Whether a service of this machine gives a sign, by the names that `rules.broken` knows."""
    clock: Callable[[], float] = time.monotonic
    reported: str | None = None
    _began: float = field(init=False)
    _last_sign: dict[str, float] = field(init=False)
    _problem: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._last_sign = dict.fromkeys(self.checks, self._began)
        try:
            self.reported = json.loads(self.state.read_text())["reported"]
        except (OSError, ValueError, KeyError, TypeError):
            self.reported = None

    def run_pass(self) -> None:
        """Look at this machine and at the address. What goes wrong is logged, published, and tried again."""
        signs = {name: check() for name, check in self.checks.items()}
        now = self.clock()
        self._last_sign |= {name: now for name, sign in signs.items() if sign}
        silent = {name: now - at for name, at in self._last_sign.items()}
        problems: list[str] = []
        # Apart from each other: an address that can't be had must not keep a broken machine in place.
        holder = _try(lambda: self._see_to_address(fit=signs["nginx"]), problems)
        _try(lambda: self._see_to_health(rules.broken(now - self._began, silent)), problems)
        problem = "; ".join(problems) or None
        self._log(problem)
        self._publish({"silent_seconds": silent, "address_holder": holder, "reported": self.reported, "error": problem})

    def _see_to_address(self, *, fit: bool) -> str | None:
        """Take the address if that is this machine's to do; who holds it then."""
        holder = self.api.holder()
        if holder == self.instance_id or not fit:
            return holder
        members = self.api.members()
        stranger = holder is not None and holder not in {each.instance_id for each in members}
        runs = stranger and self.api.runs(str(holder))
        if not rules.takes_address(self.instance_id, holder, members, holder_runs=runs):
            return holder
        print(f"the address is with {holder or 'nobody'}: taking it", flush=True)
        print(f"{self.claim()} is here", flush=True)
        return self.instance_id

    def _see_to_health(self, reason: str | None) -> None:
        """Report this machine once, while its group counts on it."""
        if reason is None or self.reported is not None:
            return
        if not any(each.instance_id == self.instance_id and each.serves for each in self.api.members()):
            return
        self.api.report()
        self.reported = reason
        print(f"{reason}: reported as unhealthy, to be replaced", flush=True)

    def _log(self, problem: str | None) -> None:
        """Log a problem when it comes, changes or goes; not in each pass that it lasts."""
        if problem != self._problem:
            print(problem or "all is well again", flush=True)
        self._problem = problem

    def _publish(self, seen: dict[str, Any]) -> None:
        files.write(self.state, json.dumps({"updated_at": time.time(), **seen}, indent=2) + "\n")


def _try(step: Callable[[], T], problems: list[str]) -> T | None:
    """What a step comes to; None, and a line in `problems`, where the API doesn't let it."""
    try:
        return step()
    except (BotoCoreError, ClientError, OSError, LookupError) as error:
        problems.append(f"{type(error).__name__}: {error}")
        return None
