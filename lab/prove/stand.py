"""The lab that is put to the proof: the load on it, its command line, its machines and its API."""

import asyncio
import gc
import json
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from lab import paths, status
from lab.aws import Aws
from lab.bench.load import Load, Outcome, Plan, Requests
from lab.config import LabConfig
from lab.machines import access, observation

PLAN: Final = Plan(rate=300, writes_percent=20, fresh_percent=10)
"""The load of every scenario, unless it says another: reads and writes, most on connections that are kept."""
LEAD_SECONDS: Final = 3.0
"""Load before anything happens, and after."""
BALANCER: Final = "/run/expressway/balancer.sock"
PATIENCE: Final = 180.0
ALARMS: Final = "AlarmNotification"
"""The process of a group by which policies change its size."""
_NEVER: Final = 2**30
"""More collections of the younger generations than a load has."""
_PM2_ENVIRONMENT: Final = ("PM2_HOME=/run/expressway-app/pm2", "HOME=/var/lib/expressway-app")


class StandError(Exception):
    """The lab isn't as a scenario needs it; the message says what was waited for."""


@dataclass
class Running:
    """A load under way."""

    load: Load
    outcome: Outcome
    events: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def note(self, what: str) -> float:
        """Write down what is done now; the time, in seconds from the first request."""
        now = self.load.elapsed()
        self.events.append((now, what))
        return now


@dataclass(frozen=True)
class Asked:
    """What the command line says to scenarios that draw lots; None: as they say themselves."""

    seconds: float | None = None
    """For how long they go on."""
    seed: int | None = None


@dataclass(frozen=True)
class Stand:
    """The lab."""

    url: str
    lab: LabConfig
    outputs: dict[str, Any]
    app: Path
    """The app that was deployed first."""
    work: Path
    """A folder for releases that are made for the proof."""
    asked: Asked = field(default=Asked(), kw_only=True)

    def aws(self, service: str) -> Any:
        """A client of the lab's API."""
        return Aws(self.lab.endpoint, self.lab.region)(service)

    @asynccontextmanager
    async def load(
        self, plan: Plan = PLAN, requests: Requests | None = None, lead: float = LEAD_SECONDS
    ) -> AsyncGenerator[Running]:
        """A load around the body, and for `lead` seconds before and after it."""
        load, stopped = Load(self.url, plan, requests), asyncio.Event()
        task = asyncio.create_task(load.run(stopped))
        running = Running(load, load.outcome)
        # This process's own pauses, of up to 90 ms with many samples, would count as the server's. What is young is
        # looked through in 2 ms, and left alone it would be gigabytes in an hour.
        usual = gc.get_threshold()
        gc.set_threshold(*usual[:2], _NEVER)
        try:
            await asyncio.sleep(lead)
            if task.done():
                await task  # it ended by an error
            yield running
            await asyncio.sleep(lead)
        finally:
            gc.set_threshold(*usual)
            stopped.set()
            await task

    async def expressway(self, *words: str, seconds: float = 600) -> "Done":
        """Run the command line."""
        return await asyncio.to_thread(command, *words, seconds=seconds)

    async def scale(self, count: int) -> None:
        """Have so many app servers, all in Nginx, through the command line. StandError when that fails."""
        (await self.expressway("scale", str(count), "--json")).sure(f"scale {count}")
        await self.settled(count)

    async def inside(self, machine: str, *words: str, given: str = "") -> str:
        """Run a command in a machine, `given` on its standard input; what it printed. StandError when it fails."""
        done = await asyncio.to_thread(access.run, machine, words, stdin=given)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
            raise StandError(f"{machine}: {' '.join(words)}: {said}")
        return done.stdout

    async def pm2(self, machine: str, *words: str) -> str:
        """Have PM2 of an app server do something, as its own user."""
        runtime = "/opt/expressway/runtime/current"
        variables = ["env", f"PATH={runtime}/bin:/usr/bin:/bin", *_PM2_ENVIRONMENT]
        program = ["node", f"{runtime}/lib/node_modules/pm2/bin/pm2"]
        return await self.inside(machine, "runuser", "-u", "expressway-app", "--", *variables, *program, *words)

    @contextmanager
    def alarms_suspended(self) -> Generator[None]:
        """Nobody else changes the number of app servers while the body runs."""
        api, group = self.aws("autoscaling"), self.outputs["appGroupName"]
        (found,) = api.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
        if any(each["ProcessName"] == ALARMS for each in found["SuspendedProcesses"]):
            yield
            return
        api.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=[ALARMS])
        try:
            yield
        finally:
            api.resume_processes(AutoScalingGroupName=group, ScalingProcesses=[ALARMS])

    def machines(self, tier: str) -> list[observation.MachineStatus]:
        """The machines of a tier that run."""
        return [one for one in observation.observe() if one.tier == tier and one.pid is not None]

    async def servers(self) -> list[dict[str, Any]]:
        """The servers that Nginx has, with what it counts of each."""
        asked = ["curl", "-sf", "--unix-socket", BALANCER, "http://balancer/servers"]
        for edge in self.machines("edge"):
            answer = await asyncio.to_thread(access.run, edge.id, asked)
            if answer.returncode == 0:
                return json.loads(answer.stdout)["servers"]
        return []

    async def serving(self) -> set[str]:
        """The ids of the servers that Nginx has."""
        return {server["id"] for server in await self.servers()}

    async def settled(self, count: int = 2, gone: Sequence[str] = ()) -> None:
        """Wait until `count` app servers are ready and in Nginx, and those that are to be `gone` are.

        StandError says how each is that is there instead.
        """
        there, serving = dict[str, observation.State](), set[str]()

        async def look() -> bool:
            nonlocal there, serving
            there, serving = {one.id: one.state for one in self.machines("app")}, await self.serving()
            ready = {machine for machine, state in there.items() if state is observation.State.READY}
            return len(ready) == count and ready == there.keys() == serving and not ready & set(gone)

        try:
            await self.until(look, f"{count} app servers in Nginx, and none else")
        except StandError as error:
            raise StandError(f"{error}; there are {_told(there, serving)}") from None

    async def until(self, true: Callable[[], Any], what: str, seconds: float = PATIENCE, pause: float = 0.25) -> float:
        """Wait until an awaitable check is true; how long that took. StandError after `seconds`."""
        began = time.monotonic()
        while not await true():
            if time.monotonic() - began > seconds:
                raise StandError(f"waited {seconds:.0f} s for {what}")
            await asyncio.sleep(pause)
        return time.monotonic() - began


def _told(there: Mapping[str, observation.State], serving: Collection[str]) -> str:
    names = sorted({*there, *serving})
    told = (f"{each} {there.get(each, 'gone')}{' in Nginx' if each in serving else ''}" for each in names)
    return ", ".join(told) or "none"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str
    seconds: float

    def sure(self, what: str) -> "Done":
        """The same. StandError with the end of what it said, where `what` failed."""
        if self.status:
            raise StandError(f"{what} ended with {self.status}: {self.err.strip()[-500:]}")
        return self

    def json(self) -> Any:
        """What it printed for programs. StandError when it is none."""
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise StandError(f"no JSON: {self.out}{self.err}") from error


def command(*words: str, seconds: float = 600) -> Done:
    """Run the command line to its end."""
    began = time.monotonic()
    run = subprocess.run(words_of(*words), capture_output=True, text=True, check=False, timeout=seconds)
    return Done(run.returncode, run.stdout, run.stderr, time.monotonic() - began)


def words_of(*words: str) -> list[str]:
    """The command line's words for a program."""
    return [str(paths.ROOT / "expressway"), *words]


@contextmanager
def lab(app: Path, settings: Sequence[str], *, here: bool, core_per_vcpu: float | None = None) -> Generator[None]:
    """A lab of its own for as long as the body runs, with `settings` (KEY=VALUE); or, `here`, the one that is up.

    `core_per_vcpu`: what its machines have of a core for each vCPU, each by itself; by default all share the cores.
    """
    if here:
        yield
        return
    if status.works():
        raise StandError(
            "a lab is up here, and what is done to it here would break its machines. Take it down: make down"
        )
    words = [word for each in settings for word in ("-c", each)]
    if core_per_vcpu is not None:
        words += ["--core-per-vcpu", str(core_per_vcpu)]
    done = command("lab", "up", "--app", str(app), *words, seconds=900)
    if done.status:
        raise StandError(f"the lab did not come up:\n{done.err}")
    try:
        yield
    finally:
        command("lab", "down")


def find(app: Path, work: Path, asked: Asked = Asked()) -> Stand:
    """The lab that is up. StandError when there is none."""
    from lab.config import read

    record, lab = status.read(), read()
    if record is None or lab is None or not status.works():
        raise StandError("no lab is up here. Try: make up")
    return Stand(record.url, lab, dict(record.outputs), app, work, asked=asked)


def control(lab: LabConfig, method: str, path: str, body: Any = None) -> Any:
    """What the lab's own control surface answers to a call."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, f"{lab.endpoint}/lab/v1/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()
