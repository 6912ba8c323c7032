"""What happens to the app's processes on one machine."""

from lab.bench import rotation
from lab.prove.scenario import Result, none_failed, scenario, twice_and_lost, unmet
from lab.prove.stand import Running, Stand

_KILL = "kill -9 $(pgrep -u expressway-app -f /app/server.js | head -n 1)"
IN_FLIGHT = 10
"""More than a worker has at once: 300 a second over four workers, each answered within 50 ms on a busy host."""


async def _both(stand: Stand) -> Result:
    async with stand.load() as running:
        first, second = (one.id for one in stand.machines("app"))
        running.note("pm2 reload")
        await stand.pm2(first, "reload", "all")
        running.note("reloaded; kill -9 of a worker")
        await stand.inside(second, "sh", "-c", _KILL)
    return _judged(running, rotation.stored_names())


def _judged(running: Running, stored: list[str]) -> Result:
    outcome = running.outcome
    twice, lost = twice_and_lost(outcome, stored)
    posts = outcome.failures("POST").total()
    return Result(
        outcome,
        unmet(
            none_failed(outcome, "GET"),
            (posts <= IN_FLIGHT, f"{posts} POST failed, more than a worker has in flight"),
            (twice == 0, f"{twice} POST were carried out twice"),
            (lost == 0, f"{lost} acknowledged POST are not in the database"),
        ),
        {"failed_post": posts, "twice": twice, "lost": lost},
        tuple(running.events),
    )


@scenario(
    "processes",
    "`pm2 reload`, and a worker killed with -9",
    "0 failed GET; POST at most those in flight, none twice",
    _both,
)
async def processes(stand: Stand) -> Result:
    """The one on one machine, the other on the other."""
    return await _both(stand)
