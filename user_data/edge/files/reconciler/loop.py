"""One pass after the other: observe, plan, act, publish."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import files

from . import observe, upstream
from .model import Memory, Observation, Server
from .plan import plan


class Reconciler:
    """Holds what lasts between passes."""

    def __init__(self, group: observe.Group, balancer: upstream.Balancer, port: int, path: str, state: Path) -> None:
        """`port` and `path` are where the servers listen and say whether they are ready; `state` is published there."""
        self._group = group
        self._balancer = balancer
        self._port = port
        self._path = path
        self._state = state
        self._pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="probe")
        self._memory = Memory()
        self._last_answer: float | None = None
        self._changes = 0
        self._servers: tuple[Server, ...] = ()
        self._error: str | None = None

    def run_pass(self) -> None:
        """Make Nginx agree with the group. What goes wrong is logged, published, and tried again in the next pass."""
        problems: list[str] = []
        observation = self._observe(problems)
        members = observation.members if observation else ()
        probes = observe.probe_all(members, self._port, self._path, self._pool)
        try:
            # Asked in each pass: Nginx may have been restarted, or told by somebody else.
            state = self._balancer.read()
            self._servers = tuple(sorted(Server(each.id, each.address) for each in state.servers))
            decided = plan(observation, self._servers, probes, self._memory, time.monotonic())
            if decided.servers != self._servers:
                self._balancer.apply(
                    [upstream.Entry(each.instance_id, each.address, self._port) for each in decided.servers]
                )
                self._servers = decided.servers
                self._changes += 1
        except upstream.ApplyError as error:
            problems.append(str(error))
        else:
            self._memory = decided.memory
            for line in decided.log:
                print(line, flush=True)
            for each in decided.completions:
                self._complete(each.instance_id, each.hook, problems)
        self._report("; ".join(problems) or None)
        self._publish()

    def _observe(self, problems: list[str]) -> Observation | None:
        try:
            observation = self._group.observe()
        except (BotoCoreError, ClientError, observe.NoAnswerError) as error:
            problems.append(f"no good answer from the API, the servers stay as they are: {error}")
            return None
        self._last_answer = time.time()
        return observation

    def _complete(self, instance_id: str, hook: str, problems: list[str]) -> None:
        try:
            self._group.complete(instance_id, hook)
        except (BotoCoreError, ClientError) as error:
            problems.append(f"{instance_id}: hook {hook} not completed: {error}")
        else:
            print(f"{instance_id}: hook {hook} completed", flush=True)

    def _report(self, error: str | None) -> None:
        """Log a problem when it comes, changes or goes; not in each pass that it lasts."""
        if error != self._error:
            print(error or "all is well again", flush=True)
        self._error = error

    def _publish(self) -> None:
        now = time.time()
        state = {
            "updated_at": now,
            "last_answer_at": self._last_answer,
            "last_answer_age_seconds": None if self._last_answer is None else now - self._last_answer,
            "upstreams": [asdict(each) for each in self._servers],
            "changes": self._changes,
            "error": self._error,
        }
        files.write(self._state, json.dumps(state, indent=2) + "\n")
