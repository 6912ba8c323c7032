"""A load in steps, from light to saturation: what is sent when, and what was measured, also until it is cut short."""

import math
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from operate.load import measuring, planning, vegeta, verdict
from operate.load.attack import MAX_WORKERS, TIMEOUT_SECONDS, Attack
from operate.load.deployed import rescaled
from operate.load.measuring import Timed, Timeline
from operate.load.mix import Mix
from operate.load.model import Reading, Run, Sizes, Statement, Step
from operate.load.users import Users
from operate.profile.model import Profile
from operate.profile.request import Taken

PROBE_WORKERS: Final = (4, 16, 64, 256)
"""So many ask one request after the other, to see about how much is answered at all."""
PROBE_REQUESTS: Final = 50_000
"""More than a probe of a second gets through."""
PROBE_GAIN: Final = 1.25
"""As long as more of them get so many times more answers."""
LIGHT: Final = 0.25
"""The first step is so much of that."""
LEAD_SECONDS: Final = 2.0
"""A step's rate is held for so long before it counts, at least."""
LONGEST_LEAD: Final = 8.0
TAIL_SECONDS: Final = 0.5
"""And after it, so that what is answered last isn't answered by an idle stack."""
SHORTEST: Final = 1.0
"""Of a step that is interrupted, fewer seconds are no measurement."""
PROFILE_STRETCH: Final = 4.0
"""While a profile is taken the rate is held for so many seconds again and again, as nobody knows when it ends."""
SETTLE_LOOKS: Final = 8
"""After a step that was too much: so many at most, of a second of requests each, until answers are quick again."""


class Sampler(Protocol):
    """Whoever knows what the tiers did."""

    def between(self, began: float, ended: float) -> tuple[Reading, ...]:
        """Between two times, in seconds since the epoch."""
        ...


@dataclass(frozen=True)
class Options:
    """How a run goes."""

    step: float = 10.0
    """Seconds for which each rate is held and counted."""
    ramp: float = 3.0
    """Seconds in which the rate rises to a step's, in stages of a second."""
    within: float = 180.0
    """No step begins that can't end in so many seconds from the start."""
    start: int | None = None
    """The first rate, requests a second. None: a quarter of what a probe gets through."""
    highest: int | None = None
    """No rate is higher."""
    only: int | None = None
    """This rate, and no other."""
    period: float = 0.0
    """Steps begin at a multiple of it by the clock, as the machines' metrics do; 0: whenever."""
    factor: float = 1.6
    """Each next step's rate is so much higher, until one is too much."""
    again: bool = False
    """Whether a rate that is too much by the time of its answers alone is tried once more, and that try counts."""


@dataclass(frozen=True)
class Now:
    """What is going on."""

    doing: str
    rate: int = 0
    answered: float = 0.0
    """Right answers in the last second."""
    failed: int = 0
    in_flight: int = 0
    left: float = 0.0
    """Seconds until the step is over."""


class Profiler(Protocol):
    """Whoever takes a profile of the app while a rate is held."""

    @property
    def taken(self) -> Taken | None:
        """The profile, once there is one."""
        ...

    @property
    def running(self) -> bool:
        """Whether it is still awaited."""
        ...

    def start(self) -> None:
        """Begin; not waited for."""
        ...

    def stop(self) -> None:
        """Wait for it no longer."""
        ...


class StatementReader(Protocol):
    """Whoever knows which statements took the database's time."""

    def between(self, began: float, ended: float) -> tuple[Statement, ...]:
        """Between two times, in seconds since the epoch; the slowest first."""
        ...


Listener = Callable[[Sequence[Step], Now], None]


@dataclass
class Load:
    """A run against one address."""

    program: Path
    """vegeta."""
    url: str
    mix: Mix
    options: Options = field(default_factory=Options)
    insecure: bool = False
    """Whether any certificate will do."""
    stack: str | None = None
    listener: Listener = lambda _steps, _now: None

    def __post_init__(self) -> None:
        """Nothing was sent yet."""
        self.steps: list[Step] = []
        self._partial: list[Step] = []
        self._timeline = Timeline()
        self._users = Users(self.mix, self.url, insecure=self.insecure)
        self._began = time.time()

    def run(
        self,
        sampler: Sampler | None = None,
        statements: StatementReader | None = None,
        profiler: Profiler | None = None,
        sizes: Callable[[], Sizes | None] = lambda: None,
    ) -> Run:
        """To the end, or until Ctrl-C. Without a `sampler` nothing is known of the tiers. LoginError; AttackError.

        `sizes` says what the stack runs on.
        """
        self._began, interrupted = time.time(), False
        before: Sizes | None = None
        profile: Profile | None = None
        try:
            before = sizes()
            self._steps()
            profile = self._profile(profiler) if profiler else None
        except KeyboardInterrupt:
            interrupted = True
        self.listener(self.steps, Now("asking what each tier did"))
        knee = planning.knee(self.steps)
        whole = [self._read(each, sampler, statements) for each in self.steps]
        after = sizes()
        bottleneck = verdict.judge(whole, knee, after)
        if moved := rescaled(before, after):
            bottleneck = replace(bottleneck, evidence=(*bottleneck.evidence, moved))
        return Run(
            target=self.url,
            stack=self.stack,
            mix=self.mix.described(),
            generator=f"vegeta {version(self.program)}",
            steps=(*whole, *(self._read(each, sampler, statements) for each in self._partial)),
            knee_rps=knee,
            bottleneck=bottleneck,
            timeline=self._timeline.seconds(),
            interrupted=interrupted,
            profile=profile,
            sizes=after,
        )

    def _read(self, step: Step, sampler: Sampler | None, statements: StatementReader | None) -> Step:
        began, ended = step.began, step.began + step.seconds
        return replace(
            step,
            readings=(*step.readings, *(sampler.between(began, ended) if sampler else ())),
            statements=statements.between(began, ended) if statements else (),
        )

    def _steps(self) -> None:
        options = self.options
        plan = planning.Plan(
            options.only or options.start or self._probe(),
            factor=options.factor,
            highest=options.only or options.highest,
        )
        while (rate := planning.next_rate(self.steps, plan)) is not None and self._in_time():
            self._users.log_in(self._users.needed(rate))
            self._step(rate)
            if options.only:
                return
            if not planning.kept_up(self.steps[-1], self.steps):
                self._settle()
                if options.again and planning.only_slow(self.steps[-1], self.steps) and self._in_time():
                    self._once_more(rate)

    def _once_more(self, rate: int) -> None:
        self._step(rate)
        slow = self.steps.pop(-2)
        self.steps[-1] = replace(self.steps[-1], slow_before=slow.p95)
        if not planning.kept_up(self.steps[-1], self.steps):
            self._settle()

    def _in_time(self) -> bool:
        taken = self._beginning(time.time()) + self.options.step - self._began
        return not self.steps or taken <= self.options.within

    def _beginning(self, now: float) -> float:
        """When a step that is prepared from now on begins to count."""
        soonest = now + int(self.options.ramp) + self._lead()
        period = self.options.period
        return math.ceil(soonest / period) * period if period else soonest

    def _lead(self) -> float:
        """Long enough for the slow answers of what is due before the step to come in it."""
        slow = max((each.p95 for each in self.steps if planning.kept_up(each, self.steps)), default=0.0)
        return min(LONGEST_LEAD, max(LEAD_SECONDS, 2 * slow / 1000))

    def _step(self, rate: int) -> None:
        users, stages = self._users.needed(rate), int(self.options.ramp)
        lead, length = self._lead(), self.options.step
        rising = [max(1, round(rate * (number + 1) / (stages + 1))) for number in range(stages)]
        seconds = lead + length + TAIL_SECONDS
        # Drawn before the time comes: it takes CPU.
        targets = [list(self._users.ask(_most(each, 1), users)) for each in rising]
        main = list(self._users.ask(_most(rate, seconds), users))
        began = self._beginning(time.time())
        attacks: list[Attack] = []
        try:
            for number, each in enumerate(rising):
                self._until(began - lead - stages + number, Now("rising", rate))
                attacks.append(self._attack(targets[number], each, 1))
            self._until(began - lead, Now("rising", rate))
            attack = self._attack(main, rate, seconds)
            attacks.append(attack)
            attack.wait(lambda: self.listener(self.steps, _now(attack, began + length)))
        except KeyboardInterrupt:
            for each in attacks:
                each.stop()
            known = self._collect(attacks)
            held = min(length, time.time() - began)
            if len(attacks) > stages and held >= SHORTEST:
                self._partial.append(self._measured(rate, began, float(int(held)), known, attacks[-1]))
            raise
        except BaseException:
            for each in attacks:
                each.stop(0.1)
            raise
        for each in attacks:
            each.wait()
        self.steps.append(self._measured(rate, began, length, self._collect(attacks), attack))

    def _measured(self, rate: int, began: float, seconds: float, known: Sequence[Timed], attack: Attack) -> Step:
        step = measuring.step(float(rate), began, seconds, known)
        cores = os.cpu_count() or 1
        own = measuring.generator(known, began, seconds, attack.cpu / attack.seconds, cores, MAX_WORKERS)
        return replace(step, readings=tuple(own))

    def _attack(self, targets: Sequence[bytes], rate: int, seconds: float, workers: int | None = None) -> Attack:
        return Attack(self.program, targets, rate, seconds, workers=workers, insecure=self.insecure)

    def _collect(self, attacks: Sequence[Attack]) -> list[Timed]:
        known = [request for each in attacks for request in measuring.timed(each.sent, each.rate)]
        self._timeline.add(known)
        return known

    def _brief(self, targets: Sequence[bytes], rate: int, doing: str, workers: int | None = None) -> list[Timed]:
        """A second that is no step."""
        attack = self._attack(targets, rate, 1, workers)
        try:
            attack.wait(lambda: self.listener(self.steps, Now(doing, rate)))
        except BaseException:
            attack.stop(0.5)
            self._collect([attack])
            raise
        return self._collect([attack])

    def _probe(self) -> int:
        """A rate that is light."""
        self._users.log_in(self._users.needed(1))
        best = 0.0
        targets = list(self._users.ask(PROBE_REQUESTS, self._users.needed(1)))
        for workers in PROBE_WORKERS:
            known = self._brief(targets, 0, f"probing with {workers} at a time", workers)
            answered = [each for each in known if not each.failure]
            began = min((each.sent for each in known), default=0.0)
            ended = max((each.ended for each in answered), default=began)
            rate = len(answered) / max(1.0, ended - began)
            if rate < best * PROBE_GAIN:
                break
            best = rate
        return max(1, round(best * LIGHT))

    def _profile(self, profiler: Profiler) -> Profile | None:
        """Hold the knee's rate once more for a profile, or the lightest step's where none was kept up with.

        After the steps, so that what it takes is in none of their figures; nor are these requests.
        """
        if not self.steps:
            return None
        rate = round(planning.knee(self.steps) or min(each.offered_rps for each in self.steps))
        targets = list(self._users.ask(_most(rate, PROFILE_STRETCH), self._users.needed(rate)))
        profiler.start()
        try:
            while profiler.running:
                attack = self._attack(targets, rate, PROFILE_STRETCH)
                try:
                    attack.wait(lambda: self.listener(self.steps, Now("taking a profile", rate)))
                except BaseException:
                    attack.stop(0.5)
                    raise
        finally:
            profiler.stop()
        return replace(profiler.taken.profile, offered_rps=float(rate)) if profiler.taken else None

    def _settle(self) -> None:
        """Wait until the stack has got over a step that was too much."""
        first = min(self.steps, key=lambda each: each.offered_rps)
        enough = max(100.0, 3 * first.p95)
        for _ in range(SETTLE_LOOKS):
            # Where answers take long, a look does, too: there may be no time left for another step.
            if not self._in_time():
                return
            known = self._brief(list(self._users.ask(_most(5, 1), self._users.needed(1))), 5, "letting it settle")
            times = sorted(1000 * (each.ended - each.due) for each in known)
            well = bool(first.failures) or not any(each.failure for each in known)
            if well and measuring.quantile(times, 0.95) <= enough:
                return

    def _until(self, moment: float, now: Now) -> None:
        while (left := moment - time.time()) > 0:
            self.listener(self.steps, now)
            time.sleep(min(left, 0.25))


def version(program: Path) -> str:
    """vegeta's; one that Go built here doesn't know its own."""
    if program.name != "vegeta":
        return vegeta.VERSION
    said = subprocess.run([str(program), "-version"], capture_output=True, text=True, check=False).stdout
    told = next((line.split(":", 1)[1].strip() for line in said.splitlines() if line.startswith("Version:")), "")
    return told or "of unknown version"


def _most(rate: int, seconds: float) -> int:
    """At least what is sent."""
    return math.ceil(rate * seconds) + rate // 10 + 10


def _now(attack: Attack, ended: float) -> Now:
    """Of an attack's last second."""
    now, answered, failed = time.time(), 0, 0
    for each in reversed(attack.sent):
        if each.ended < now - 1:
            break
        answered, failed = answered + (not each.failure), failed + bool(each.failure)
    sent = max((each.number for each in attack.sent[-200:]), default=0)
    left = ended - now
    doing = "holding" if left > 0 else f"waiting for the last answers, {TIMEOUT_SECONDS} s at most"
    return Now(doing, attack.rate, answered, failed, max(0, sent + 1 - len(attack.sent)), max(0.0, left))
