"""A deploy from its lock to its outcome: the whole fleet on the new release, or the whole fleet back on the old one.

Nothing here has a state that matters: each turn looks at the fleet and takes the next step (rolling.py, in_place.py).
What has to outlive this program is in the record, in the release pointer and on the machines, so that another one can
take over at any point.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from operate import counters, releases
from operate.counters import Counters
from operate.deploy import actions, in_place, judgement, record, rolling
from operate.deploy.former import Former
from operate.deploy.goal import Goal, Standing, failing
from operate.deploy.judgement import Verdict
from operate.deploy.record import Held, Record
from operate.fleet import Fleet, Group, Machine, Observer, resize
from operate.releases import Pointer
from operate.stack import Stack, explain, lasting

BAKE_SECONDS = 15.0


class RefusedError(Exception):
    """The deploy was not begun; the message says why, and what to do."""


class StuckError(Exception):
    """Neither the new nor the old release could be put everywhere; the next deploy or rollback goes on."""


class Mode(Enum):
    """How machines come by a release."""

    ROLLING = "rolling"
    IN_PLACE = "in-place"


@dataclass(frozen=True)
class Options:
    """How to deploy."""

    mode: Mode = Mode.ROLLING
    bake: float = BAKE_SECONDS
    """Seconds for which the first machine's answers are compared with the others'."""
    patience: float = 300.0
    """Seconds without any progress after which it has failed."""
    pause: float = 0.5
    """Seconds between two looks."""
    back: bool = False
    """Whether this goes back to a release, which then keeps its place in the history."""


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    phase: str
    fleet: Fleet
    goal: Goal
    note: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why the new release isn't in service."""

    reason: str
    machine: str | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    deployed: bool
    changed: bool
    """Whether anything had to be done."""
    release: str
    """What the fleet runs now."""
    before: str
    failure: Failure | None
    seconds: float
    fleet: Fleet


class _FailedError(Exception):
    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.reason)


Tell = Callable[[Progress], None]


def deploy(stack: Stack, to: Pointer, options: Options, tell: Tell) -> Outcome:
    """Put the release `to`, whose archive is in the bucket, on every machine.

    BusyError while another deploy is under way, RefusedError when it can't be begun: nothing has changed then.
    LostError and StuckError when it could not be ended; botocore's errors when AWS refuses for good.
    """
    s3, observer = stack.client("s3"), Observer(stack)
    now = time.time()
    former = record.read(s3, stack.bucket)
    unfinished = former[0] if former and not former[0].over else None
    if unfinished and unfinished.alive(now):
        raise record.BusyError(record.busy(unfinished))
    fleet, current = observer.look(), releases.pointer(stack)
    if unfinished is None and _nothing_to_do(fleet, current, to):
        release = str(current["release_id"])
        return Outcome(True, False, release, release, None, 0.0, fleet)
    if options.mode is Mode.IN_PLACE:
        _check_in_place(fleet, unfinished)
    identifier = time.strftime("%Y%m%dT%H%M%S-", time.gmtime(now)) + uuid4().hex[:6]
    same = unfinished is not None and unfinished.to["release_id"] == to["release_id"]
    wanted = Record(
        id=identifier,
        mode=options.mode.value,
        to={**to, "deploy": identifier},
        before=unfinished.before if unfinished else current,
        by=record.operator(),
        at=now,
        heartbeat=now,
        process=record.identify(),
        groups=unfinished.groups
        if unfinished
        else {"app": Former.of(fleet.app).written(), "edge": Former.of(fleet.edge).written()},
    )
    held = record.take(s3, stack.bucket, wanted, former)
    # A release that was found good before the interruption needn't be tried on one machine again.
    trusted = same and unfinished is not None and unfinished.phase == "rest"
    resumes = unfinished is not None
    return _Deployment(stack, observer, held, options, tell, trusted=trusted, resumes=resumes).run()


def _nothing_to_do(fleet: Fleet, current: Pointer, to: Pointer) -> bool:
    goal = Goal(str(to["release_id"]), fleet.app.template)
    edges = Goal(None, fleet.edge.template)
    return (
        current["release_id"] == to["release_id"]
        and goal.reached(fleet.app, fleet.app.desired)
        and all(edges.standing(each) is Standing.CURRENT for each in fleet.edge.machines)
    )


def _check_in_place(fleet: Fleet, unfinished: Record | None) -> None:
    if unfinished and unfinished.mode != Mode.IN_PLACE.value:
        raise RefusedError("the deploy that was interrupted replaces machines: finish it without --in-place")
    template = fleet.app.template
    if stale := [each.id for each in fleet.app.machines if template and each.template != template and not each.leaving]:
        raise RefusedError(
            f"{', '.join(stale)} must be replaced: the launch template has changed since. Leave out --in-place"
        )
    if not any(each.fresh for each in fleet.edges):
        raise RefusedError("no edge reports whom it sends requests to, which in place relies on: leave out --in-place")
    if sum(each.serving for each in fleet.app.machines) < 2:
        raise RefusedError("in place takes two machines that serve: leave out --in-place, or scale up")


class _Deployment:
    def __init__(
        self,
        stack: Stack,
        observer: Observer,
        held: Held,
        options: Options,
        tell: Tell,
        *,
        trusted: bool,
        resumes: bool,
    ) -> None:
        self._stack, self._observer, self._held = stack, observer, held
        self._options, self._tell, self._trusted, self._resumes = options, tell, trusted, resumes
        self._began = time.monotonic()
        self._gone: frozenset[str] = frozenset()
        self._note: str | None = None
        self._app, self._edge = (Former.read(held.record.groups[tier]) for tier in ("app", "edge"))

    def run(self) -> Outcome:
        to, before = self._held.record.to, self._held.record.before
        failure: Failure | None = None
        try:
            fleet = self._forward(to, before)
        except _FailedError as error:
            failure = error.failure
            self._held.write(phase="back", reason=failure.reason)
            fleet = self._back(before)
        except BaseException:
            # Interrupted, or AWS refused: whoever comes next needn't wait until this looks dead.
            self._held.let_go()
            raise
        self._remember(to, good=failure is None)
        self._held.write(phase="failed" if failure else "deployed")
        return Outcome(
            deployed=failure is None,
            changed=True,
            release=str((before if failure else to)["release_id"]),
            before=str(before["release_id"]),
            failure=failure,
            seconds=time.monotonic() - self._began,
            fleet=fleet,
        )

    def _forward(self, to: Pointer, before: Pointer) -> Fleet:
        fleet = self._look()
        actions.undrain(self._stack, fleet.app)
        self._roll_edges(fleet)
        self._remember_before(before)
        releases.point(self._stack, to)
        goal = Goal(str(to["release_id"]), fleet.app.template)
        # What has served until now needs no trial.
        trusted = self._trusted or (
            to["release_id"] == before["release_id"] and fleet.app.template == self._app.template
        )
        if not trusted:
            self._held.write(phase="first")
            self._try_first(goal)
        self._held.write(phase="rest")
        return self._settle(goal)

    def _try_first(self, goal: Goal) -> None:
        """One machine gets the release, and its answers are compared with the others' for a while."""
        bake = _Bake(goal, self._app)
        ready_since: float | None = None

        def turn(fleet: Fleet) -> tuple[bool, str | None]:
            nonlocal ready_since
            verdict = bake.look(fleet)
            if verdict.reason:
                raise _FailedError(Failure(f"the new release answers worse: {verdict.reason}", bake.machine))
            if not any(goal.ready(each) for each in fleet.app.machines):
                ready_since = None
                return goal.reached(fleet.app, 0), None
            if ready_since is None:
                ready_since = time.monotonic()
                self._held.write(phase="baking")
            left = self._options.bake - (time.monotonic() - ready_since)
            return (
                left <= 0,
                f"compared with the others for {max(0, left):.0f} s more; {verdict.requests} answers so far",
            )

        self._until(goal, turn, trusted=False)

    def _settle(self, goal: Goal) -> Fleet:
        wanted = self._app.desired

        def turn(fleet: Fleet) -> tuple[bool, str | None]:
            app = fleet.app
            if not goal.reached(app, min(wanted, app.desired)) or len(app.machines) > max(wanted, app.desired):
                return False, None
            if self._resumes and app.desired > wanted:
                # The interrupted deploy had asked for one more, and that came up on this very release.
                self._try(partial(resize, self._stack, app, wanted))
                return False, None
            return True, None

        return self._until(goal, turn, trusted=True)

    def _until(
        self,
        goal: Goal,
        turn: Callable[[Fleet], tuple[bool, str | None]],
        *,
        trusted: bool,
        mode: Mode | None = None,
        tag: str | None = None,
        known: frozenset[str] | None = None,
    ) -> Fleet:
        """Step by step until `turn` says so. _FailedError when a machine fails that isn't `known`, or nothing moves."""
        mode, tag = mode or self._options.mode, tag or self._held.record.id
        known = self._app.machines if known is None else known
        deadline, best = time.monotonic() + self._options.patience, (-1, 0)
        while True:
            fleet = self._look()
            app = fleet.app
            if failed := failing(app, goal, tag, known):
                raise _FailedError(self._failure(failed))
            done, note = turn(fleet)
            self._tell(Progress(self._held.record.phase, fleet, goal, self._note or note))
            if done:
                actions.restore_maximum(self._stack, app, self._app.maximum)
                return fleet
            moved = (sum(goal.ready(each) for each in app.machines), -len(goal.of(app, Standing.OLD, Standing.LEAVING)))
            if note or moved > best:
                deadline, best = time.monotonic() + self._options.patience, max(moved, best)
            if time.monotonic() > deadline:
                raise _FailedError(self._stalled(app, goal))
            self._step(app, goal, mode, tag, trusted=trusted)
            time.sleep(self._options.pause)

    def _step(self, app: Group, goal: Goal, mode: Mode, tag: str, *, trusted: bool) -> None:
        if mode is Mode.IN_PLACE:
            step = in_place.next_step(app, goal, tag, trusted=trusted)
            if step.problem:
                raise _FailedError(Failure(step.problem))
            self._try(partial(actions.act_in_place, self._stack, step, tag))
            return
        planned = rolling.next_step(app, goal, self._app.desired, trusted=trusted, gone=self._gone)
        self._try(partial(self._take, app, planned))

    def _take(self, group: Group, step: rolling.Step) -> None:
        self._gone |= actions.take_step(self._stack, group, step)

    def _back(self, before: Pointer) -> Fleet:
        """The old release everywhere again. StuckError when that can't be had either."""
        releases.point(self._stack, before)
        fleet = self._look()
        actions.restore_template(self._stack, fleet.app, self._app.template)
        release = str(before["release_id"])
        doubtful = Goal(release, self._app.template).of(fleet.app, Standing.UNKNOWN)
        goal = Goal(release, self._app.template, frozenset(each.id for each in doubtful))

        def turn(fleet: Fleet) -> tuple[bool, str | None]:
            fit = [
                goal.ready(each) or (goal.standing(each) is Standing.CURRENT and each.id in self._app.sick)
                for each in fleet.app.machines
            ]
            return all(fit) and len(fit) >= min(self._app.desired, fleet.app.desired), None

        everyone = frozenset(each.id for each in fleet.app.machines) | self._app.machines
        try:
            if self._options.mode is Mode.IN_PLACE:
                try:
                    tag = f"{self._held.record.id}-back"
                    return self._until(goal, turn, trusted=True, tag=tag, known=everyone)
                except _FailedError:
                    # Then by new machines, which need nothing of the old ones.
                    actions.undrain(self._stack, self._look().app)
            return self._until(goal, turn, trusted=True, mode=Mode.ROLLING, known=everyone)
        except _FailedError as error:
            self._held.let_go()
            raise StuckError(
                f"{self._held.record.reason}; and the old release {before['release_id']} isn't everywhere either: "
                f"{error.failure.reason}. Expressway status shows what runs where; deploy or rollback goes on"
            ) from error
        except BaseException:
            self._held.let_go()
            raise

    def _roll_edges(self, fleet: Fleet) -> None:
        """Edges first: where one does not come up, nothing has happened to the app yet."""
        goal = Goal(None, fleet.edge.template)
        if all(goal.standing(each) is Standing.CURRENT for each in fleet.edge.machines):
            return
        self._held.write(phase="edges")
        try:
            self._replace_edges(goal)
        except _FailedError:
            actions.restore_template(self._stack, fleet.edge, self._edge.template)
            self._replace_edges(Goal(None, self._edge.template))
            raise

    def _replace_edges(self, goal: Goal) -> None:
        deadline = time.monotonic() + self._options.patience
        while True:
            fleet = self._look()
            edge = fleet.edge
            self._tell(Progress("edges", fleet, goal))
            if goal.reached(edge, self._edge.desired):
                actions.restore_maximum(self._stack, edge, self._edge.maximum)
                return
            if time.monotonic() > deadline:
                raise _FailedError(self._stalled(edge, goal))
            trusted = any(goal.ready(each) for each in edge.machines)
            planned = rolling.next_step(edge, goal, self._edge.desired, trusted=trusted, gone=self._gone)
            self._try(partial(self._take, edge, planned))
            time.sleep(self._options.pause)

    def _look(self) -> Fleet:
        """The fleet; while AWS gives no answer, what there is goes on, and so does the waiting."""
        deadline = time.monotonic() + self._options.patience
        while True:
            try:
                self._held.beat()
                return self._observer.look()
            except (ClientError, BotoCoreError) as error:
                if lasting(error) or time.monotonic() > deadline:
                    raise
                time.sleep(self._options.pause)

    def _try(self, act: Callable[[], None]) -> None:
        """Take a step; what AWS doesn't do now is tried again at the next look."""
        self._note = None
        try:
            act()
        except (ClientError, BotoCoreError) as error:
            if lasting(error):
                raise
            self._note = explain(error)

    def _failure(self, machine: Machine) -> Failure:
        report = machine.report
        log = report.log if report and report.log else tuple(actions.console(self._stack, machine.id))
        reason = report.reason if report and report.reason else "it failed to start"
        return Failure(reason, machine.id, log)

    def _stalled(self, group: Group, goal: Goal) -> Failure:
        waited = next((each for each in group.machines if not goal.ready(each)), None)
        seconds = f"nothing has moved for {self._options.patience:.0f} s"
        if waited is None:
            return Failure(f"{seconds}: Auto Scaling starts no machine in {group.name}; see its activities")
        state = waited.report.state if waited.report else "no report"
        seen = ", ".join(view.state for view in waited.views) or "unknown to the edges"
        why = f"{seconds}: {waited.id} is {waited.lifecycle} ({state}; {seen})"
        return Failure(why, waited.id, self._failure(waited).log)

    def _remember_before(self, before: Pointer) -> None:
        """The first deploy writes down what Pulumi put there."""
        if before["release_id"] not in {each.release for each in releases.history(self._stack)}:
            releases.remember(self._stack, before, "pulumi", good=True, at=0.0)

    def _remember(self, to: Pointer, *, good: bool) -> None:
        """One that was good once stays so, and one that is gone back to keeps its place."""
        known = {each.release: each for each in releases.history(self._stack)}.get(str(to["release_id"]))
        if known and known.good and (self._options.back or not good):
            return
        releases.remember(self._stack, to, self._held.record.by, good=good)


class _Bake:
    """Compares what the machines of the new release answer with what those of the old one do."""

    def __init__(self, goal: Goal, former: Former) -> None:
        self._goal = goal
        self._former = former
        self._start: dict[tuple[str, str], Counters] | None = None
        self._last: dict[tuple[str, str], Counters] = {}
        self.machine: str | None = None

    def look(self, fleet: Fleet) -> Verdict:
        """What is to be said by now."""
        seen = {
            (edge.id, machine): view.counters
            for edge in fleet.edges
            if edge.fresh
            for machine, view in edge.members.items()
        }
        new = {each.id for each in self._goal.of(fleet.app, Standing.CURRENT, Standing.UNKNOWN)}
        old = {each.id for each in self._goal.of(fleet.app, Standing.OLD)}
        asked = {
            machine
            for edge in fleet.edges
            for machine, view in edge.members.items()
            if machine in new and view.state == "serving"
        }
        if self._start is None:
            if not asked:
                self._last = seen
                return Verdict(None, 0)
            # From the last look before any request went there.
            self._start = self._last
        self.machine = min(asked, default=self.machine)
        start = self._start

        def counted(machines: set[str]) -> Counters:
            nothing = Counters()
            return counters.total(
                counters.since(start.get(key, nothing), now) for key, now in seen.items() if key[1] in machines
            )

        return judgement.judge(counted(new), counted(old))
