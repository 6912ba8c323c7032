"""What to do about a database's standby, given what the API says, what is found and what the primary says. Pure.

The API calls a standby synchronous from when the primary acknowledges nothing without it, until just before the primary
does again. So a synchronous one has all that was acknowledged, and no other may take over.
"""

from dataclasses import dataclass

from lab.machines.observation import State

ALIVE = (State.BOOTING, State.READY, State.FAILED)


@dataclass(frozen=True)
class Settings:
    """What a database's servers are to have of RDS's parameters, and what tells that from others."""

    version: str = ""
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Takeover:
    """A failover of a database that has begun: `machine`, a `node` of it, becomes the primary instead of `former`.

    Its server has `settings` from then on.
    """

    node: str
    machine: str
    former: str
    port: int
    settings: Settings = Settings()


@dataclass(frozen=True)
class Synchrony:
    """The primary is to wait for its standby with each commit, or no longer; `leaving`: there is to be none.

    A `standby` that is to be waited for has `settings` before.
    """

    port: int
    on: bool
    leaving: bool = False
    standby: str | None = None
    settings: Settings = Settings()


@dataclass(frozen=True)
class Standby:
    """A database's second machine, as the API has it."""

    machine: str
    node: str
    synchronous: bool = False
    leaving: bool = False
    given_up: bool = False
    """Its boot has failed so often that another try would, too."""
    settings: Settings = Settings()
    """What the database's servers are to have by now."""


@dataclass(frozen=True)
class Pulse:
    """What a primary, or a read replica, said when it was asked last, and since when.

    `hung`: it hasn't answered for long, though its standby does. `streaming`: its standby follows it. `waits`: it
    acknowledges nothing without a standby. `lost`: it answers, and nobody has followed it for long.
    Of a replica, which follows: it does, and it has not for long.
    """

    hung: bool = False
    streaming: bool = False
    waits: bool = False
    lost: bool = False


def takes_over(standby: Standby, primary: State | None, state: State | None, pulse: Pulse | None) -> bool:
    """Whether the standby, whose machine is in `state`, has to take over from a primary that is gone."""
    gone = primary not in ALIVE or (pulse is not None and pulse.hung)
    return gone and standby.synchronous and state is State.READY


def synchrony(standby: Standby, state: State | None, pulse: Pulse | None, port: int) -> Synchrony | None:
    """What a primary that is ready has to be told; None where all is as it should be, or nothing is known yet."""
    if standby.leaving:
        return Synchrony(port, on=False, leaving=True)
    streams = state is State.READY and pulse is not None and pulse.streaming
    if standby.synchronous:
        missing = state is not State.READY or (pulse is not None and pulse.lost)
        return Synchrony(port, on=False) if missing else None
    if streams:
        return Synchrony(port, on=True, standby=standby.machine, settings=standby.settings)
    # Cut short, half-way.
    return Synchrony(port, on=False) if pulse is not None and pulse.waits else None


def to_be_copied_anew(standby: Standby, state: State, pulse: Pulse | None) -> bool:
    """Whether the standby's machine is to be cleared away, for another one. Never while it may have to take over."""
    if standby.synchronous or standby.given_up:
        return False
    return state not in (State.BOOTING, State.READY) or (state is State.READY and pulse is not None and pulse.lost)
