"""The reconciler at work: questions to the API, probes and passes, each at its own pace in one event loop.

Whatever may take long (the API, Nginx, the bucket) is asked in threads, so that none of it holds up a probe or a pass.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError
from expressway_machine import files

from . import belief, departures, edges, plan, replacements, report, retry
from .belief import Belief
from .calls import Calls
from .events import Events
from .model import MISSING, UNKNOWN, Answer, Hook, Member, Server, Traffic
from .probes import Probes, Target
from .rates import NAMESPACE, Rates

PASS_SECONDS = 1.0
"""Between passes in which nothing happened; what happens begins one at once."""
FRESH_ANSWER_SECONDS = 10.0
"""Nothing is reported as unhealthy on an older answer of the API."""
LEAST_BETWEEN_ANSWERS = 0.3
"""Seconds; events come in swarms."""
KEEPS_DRAINED = report.FRESH_FOR
NEXT_DRAIN = 60.0
"""Seconds after a drain in which another one is likely: longer than a deploy compares its first machine."""


class Balancer(Protocol):
    """Nginx."""

    def read(self) -> Traffic:
        """What it has. OSError when it doesn't say."""
        ...

    def apply(self, servers: Sequence[Server]) -> None:
        """Have it use this list. OSError when it doesn't."""
        ...


class Api(Protocol):
    """AWS, as far as it knows the groups; see groups.py."""

    def observe(self) -> Answer: ...
    def ended(self, instance_ids: Sequence[str]) -> frozenset[str]: ...
    def complete(self, member: Member, hook: Hook) -> None: ...
    def beat(self, member: Member, hook: Hook) -> None: ...
    def give_up(self, instance_id: str) -> None: ...


class Bucket(Protocol):
    """The edges' reports; see bucket.py."""

    def write(self, report: dict[str, Any]) -> None: ...
    def read(self, instance_id: str) -> Any: ...


@dataclass
class _Clock:
    """When things last happened, in seconds of the event loop's clock."""

    answered: float | None = None
    answered_at: float | None = None
    """The same in seconds since the epoch, for people."""
    reported: float | None = None
    first_seen: dict[str, float] = field(default_factory=dict[str, float])
    last_drained: float | None = None


class Reconciler:
    """Holds what lasts between passes."""

    def __init__(
        self,
        api: Api,
        balancer: Balancer,
        bucket: Bucket,
        instance_id: str,
        paths: Mapping[int, str],
        state: Path,
        calls: Calls | None = None,
        events: Events | None = None,
        rates: Rates | None = None,
    ) -> None:
        """`instance_id` is this machine's. `paths` say where to probe, by port.

        How things are is told at `state`, where the one before this one has done so.
        """
        self._api, self._balancer, self._bucket = api, balancer, bucket
        self._id, self._paths, self._state = instance_id, paths, state
        self._calls = calls or Calls()
        self._events, self._rates = events, rates
        self._belief: Belief | None = None
        self._departures = departures.Memory()
        self._replacements = replacements.at_first((), _served(state))
        self._edges: dict[str, Any] = {}
        self._clock = _Clock()
        self._outline: tuple[tuple[str, str], ...] = ()
        self._problems: dict[str, str] = {}
        self._failed: dict[tuple[str, str], str] = {}
        """What couldn't be done about a machine, until it can."""
        self._said: str | None = None
        self._busy: set[tuple[str, str]] = set()
        self._all_asked = False
        self._told: dict[tuple[str, str], float] = {}
        """When Auto Scaling was told; not again before an answer that is newer."""
        self._background: set[asyncio.Task[None]] = set()
        # Threads of its own for each: an API that hangs must not keep Nginx from being told.
        self._nginx_thread = ThreadPoolExecutor(1, thread_name_prefix="nginx")
        self._api_thread = ThreadPoolExecutor(1, thread_name_prefix="api")
        self._other_threads = ThreadPoolExecutor(8, thread_name_prefix="other")

    async def run(self, passed: Callable[[], None]) -> None:
        """Work until cancelled. `passed` is called after each pass, first when the list is as good as it can be."""
        self.begin()
        asking = asyncio.create_task(self._keep_asking())
        try:
            ready = False
            while True:
                self._something.clear()
                done = await self.run_pass()
                ready = ready or (done and self._all_asked and bool(self._clock.answered or self._problems))
                if ready:
                    passed()
                await _either(self._something, PASS_SECONDS if ready else 0.1)
                if asking.done():
                    asking.result()
        finally:
            asking.cancel()

    def begin(self) -> None:
        """Be ready for `ask` and `run_pass`, in the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._something, self._look = asyncio.Event(), asyncio.Event()
        self._probes = Probes(self._something.set)

    def wake(self) -> None:
        """Ask the API now. From any thread."""
        self._loop.call_soon_threadsafe(self._look.set)

    # --- the API

    async def _keep_asking(self) -> None:
        failures, throttled = 0, False
        while True:
            self._look.clear()
            error = await self.ask()
            failures, throttled = (failures + 1, _code(error) in retry.THROTTLED) if error else (0, False)
            self._something.set()
            began = self._loop.time()
            await _either(self._look, retry.pause(failures, throttled, urgent=self._expects_drains()))
            await asyncio.sleep(max(0, began + LEAST_BETWEEN_ANSWERS - self._loop.time()))

    def _expects_drains(self) -> bool:
        """Whether a machine is drained, or one was a moment ago: a deploy in place takes one after the other."""
        if self._belief is not None and any(each.drain for each in self._belief.members):
            return True
        last = self._clock.last_drained
        return last is not None and self._loop.time() - last < NEXT_DRAIN

    async def ask(self) -> Exception | None:
        """Ask once, and believe a good answer; what was wrong with another."""
        try:
            answer = await self._in(self._api_thread, self._api.observe)
            gone = await self._ended(answer)
        except Exception as error:  # an answer may be garbage in any way: the belief stays as it is
            self._problems["api"] = f"no good answer from the API, nothing is believed anew: {_text(error)}"
            return error
        self._problems.pop("api", None)
        self._believe(answer, gone)
        return None

    async def _ended(self, answer: Answer) -> frozenset[str]:
        """Asks EC2 about machines that are suddenly not in their group; nothing where nobody is."""
        known = self._belief.members if self._belief else ()
        there = {each.instance_id for each in answer.members}
        gone = [each.instance_id for each in known if each.instance_id not in there and each.state in belief.PRESENT]
        return await self._in(self._api_thread, lambda: self._api.ended(gone)) if gone else frozenset()

    def _believe(self, answer: Answer, ended: frozenset[str]) -> None:
        now = self._loop.time()
        self._clock.answered, self._clock.answered_at = now, time.time()
        self._belief = belief.after(self._belief or Belief(), answer, ended, now)
        if self._belief.missing:
            self._problems["doubt"] = (
                f"the API says nothing any more of {', '.join(self._belief.missing)}; "
                "they are kept for as long as they answer"
            )
        else:
            self._problems.pop("doubt", None)

    # --- one pass

    async def run_pass(self) -> bool:
        """Make Nginx agree with what is believed, and go on from there. Whether Nginx could be asked."""
        try:
            traffic = await self._in(self._nginx_thread, self._balancer.read)
        except (OSError, ValueError) as error:
            self._problems["nginx"] = f"nginx doesn't say what it has: {_text(error)}"
            self._publish(None, (), [])
            return False
        if self._belief is None:
            self._belief = belief.at_first(traffic.servers, self._paths)
            self._replacements = replacements.at_first(traffic.servers, self._replacements.served)
        self._probes.ask(_targets(self._belief, traffic.servers))
        # As of this decision: who answers while Nginx is told is in the next one.
        self._all_asked = self._probes.all_asked()
        health = self._probes.health
        decided = plan.plan(self._belief, traffic.servers, health)
        servers = await self._apply(traffic.servers, decided)
        now = self._loop.time()
        held = self._held_by_others(now)
        leaving = departures.decide(self._belief, servers, traffic, health, held, self._departures, now)
        self._departures = leaving.memory
        for step in leaving.completions:
            self._tell("completed", self._api.complete, step)
        for step in leaving.heartbeats:
            self._tell("is waited for", self._api.beat, step)
        self._give_up(now)
        there = {self._id, *self._belief.edges, *(each.instance_id for each in self._belief.members)}
        self._failed = {what: why for what, why in self._failed.items() if what[0] in there}
        self._told = {what: at for what, at in self._told.items() if what[0] in there}
        parts = report.members(self._belief, servers, traffic, health, decided.reasons, leaving.out)
        self._report(parts, now)
        self._publish(traffic, servers, parts)
        self._measure(traffic)
        return True

    async def _apply(self, current: tuple[Server, ...], decided: plan.Plan) -> tuple[Server, ...]:
        if current == decided.servers:
            self._problems.pop("nginx", None)
            return current
        try:
            await self._in(self._nginx_thread, lambda: self._balancer.apply(decided.servers))
        except (OSError, ValueError) as error:
            self._problems["nginx"] = f"nginx didn't take the list: {_text(error)}"
            return current
        self._problems.pop("nginx", None)
        for line in plan.changes(current, decided):
            print(line, flush=True)
        return decided.servers

    def _tell(self, what: str, call: Callable[[Member, Hook], None], step: departures.Step) -> None:
        """Tell Auto Scaling in the background, and look at what comes of it."""
        told = (step.member.instance_id, f"hook {step.hook.name} {what}")
        if self._clock.answered is None or self._told.get(told, 0.0) > self._clock.answered:
            return

        def tell() -> None:
            call(step.member, step.hook)
            print(": ".join(told), flush=True)
            self._told[told] = self._loop.time()
            self.wake()

        self._start(told, tell)

    def _give_up(self, now: float) -> None:
        if self._belief is None or self._clock.answered is None or now - self._clock.answered > FRESH_ANSWER_SECONDS:
            return
        worst, self._replacements = replacements.decide(self._belief, self._probes.health, self._replacements, now)
        if worst is None:
            return
        found = self._probes.health[worst]

        def give_up() -> None:
            self._api.give_up(worst)
            print(f"{worst}: reported as unhealthy, to be replaced: {found.detail}", flush=True)

        self._start((worst, "unhealthy"), give_up)

    # --- the other edges

    def _held_by_others(self, now: float) -> frozenset[str]:
        """The machines that wait for their end, and that another edge may still use."""
        members = self._belief.members if self._belief else ()
        leaving = {
            each.instance_id: self._departures.leaving_since.get(each.instance_id, now)
            for each in members
            if each.state == "Terminating:Wait" and each.waits_for
        }
        others = set(self._belief.edges) if self._belief and leaving else set[str]()
        for each in others:
            self._start((each, "report"), lambda each=each: self._read_edge(each))
        self._edges = {each: self._edges[each] for each in others if each in self._edges}
        if others - self._edges.keys():
            return frozenset(leaving)
        past = time.time() - now
        return frozenset(each for each, since in leaving.items() if edges.may_use(each, since + past, self._edges))

    def _read_edge(self, instance_id: str) -> None:
        found = self._bucket.read(instance_id)
        self._loop.call_soon_threadsafe(self._edges.__setitem__, instance_id, found)

    # --- telling

    def _report(self, parts: list[dict[str, Any]], now: float) -> None:
        clock = self._clock
        members = self._belief.members if self._belief else ()
        clock.first_seen = {each.instance_id: clock.first_seen.get(each.instance_id, now) for each in members}
        if any(each.drain for each in members):
            clock.last_drained = now
        young = any(now - since < report.FRESH_FOR for since in clock.first_seen.values())
        fresh = young or (clock.last_drained is not None and now - clock.last_drained < KEEPS_DRAINED)
        outline = report.outline(parts)
        since_last = None if clock.reported is None else now - clock.reported
        if not report.due(since_last, outline != self._outline, fresh):
            return
        message = {
            "id": self._id,
            "tier": "edge",
            "at": time.time(),
            "list_age": None if clock.answered is None else round(now - clock.answered, 1),
            "error": self._error(),
            "members": parts,
        }
        if self._start((self._id, "report"), lambda: self._bucket.write(message)):
            clock.reported, self._outline = now, outline

    def _measure(self, traffic: Traffic) -> None:
        """Tell CloudWatch in the background. What can't be told is lost: the next period has its own."""
        if self._rates is None or self._belief is None:
            return
        rates, groups = self._rates, {each.instance_id: each.group for each in self._belief.members}
        if data := rates.look(traffic, groups, time.time()):
            self._start((self._id, "metric"), lambda: rates.tell(Namespace=NAMESPACE, MetricData=data))

    def _publish(self, traffic: Traffic | None, servers: Sequence[Server], parts: list[dict[str, Any]]) -> None:
        error = self._error()
        # Logged when it comes, changes or goes; not in each pass that it lasts.
        if error != self._said:
            print(error or "all is well again", flush=True)
        self._said = error
        now, answered = time.time(), self._clock.answered_at
        members = {each.instance_id: each for each in self._belief.members} if self._belief else {}
        state = {
            "updated_at": now,
            "last_answer_at": answered,
            "last_answer_age_seconds": None if answered is None else round(now - answered, 1),
            "wanted": self._belief.wanted if self._belief else None,
            "upstreams": [asdict(each) for each in servers],
            "members": [part | self._seen(part["id"], members.get(part["id"])) for part in parts],
            # Read by the one that comes after this one.
            "served": sorted(replacements.served(self._replacements, self._probes.health)),
            "other_edges": list(self._belief.edges) if self._belief else [],
            "nginx": traffic is not None,
            "calls_a_minute": self._calls.a_minute(),
            "events_received": self._events.received if self._events else None,
            "error": error,
        }
        files.write(self._state, json.dumps(state, indent=2) + "\n")

    def _seen(self, instance_id: str, member: Member | None) -> dict[str, Any]:
        """What is of use on this machine alone."""
        found = self._probes.health.get(instance_id)
        return {
            "lifecycle": member.state if member else None,
            "address": member.address if member else None,
            "probe": found.detail if found else None,
            "failed_probes": found.failures if found else 0,
        }

    def _error(self) -> str | None:
        problems = [*self._problems.values(), *self._failed.values(), self._events and self._events.error]
        return "; ".join(each for each in problems if each) or None

    # --- threads

    def _start(self, what: tuple[str, str], call: Callable[[], None]) -> bool:
        """Do it in the background, unless it is being done. A failure is a problem until the same succeeds."""
        if what in self._busy:
            return False
        self._busy.add(what)

        async def work() -> None:
            try:
                await self._in(self._other_threads, call)
                self._failed.pop(what, None)
            except Exception as error:  # tried again in a later pass
                self._failed[what] = f"{': '.join(what)}: {_text(error)}"
            finally:
                self._busy.discard(what)

        task = asyncio.create_task(work())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return True

    async def _in(self, threads: Executor, call: Callable[[], Any]) -> Any:
        return await self._loop.run_in_executor(threads, call)


def _served(state: Path) -> frozenset[str]:
    """Who had been well, as the reconciler before this one has told; nobody where it hasn't, or it can't be read."""
    try:
        return frozenset(map(str, json.loads(state.read_text())["served"]))
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()


def _targets(believed: Belief, servers: Sequence[Server]) -> dict[str, Target]:
    """Whom to probe: who may have requests, and whoever has them now."""
    in_nginx = {each.instance_id for each in servers}
    wanted = {
        each.instance_id: Target(each.address, each.port, each.path, joining=each.state.startswith("Pending:"))
        for each in believed.members
        if each.address
        and (
            each.instance_id in in_nginx
            or each.state in ("Pending:Wait", "Pending:Proceed", "InService", UNKNOWN, MISSING)
        )
    }
    paths = {each.port: each.path for each in believed.members}
    strangers = {
        each.instance_id: Target(each.address, each.port, paths.get(each.port, "/"))
        for each in servers
        if each.instance_id not in wanted
    }
    return wanted | strangers


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
