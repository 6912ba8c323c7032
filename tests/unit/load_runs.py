"""A run of a load, as a whole, for the tests of what is made of one."""

from operate.load.model import Bottleneck, Reading, Run, Second, Sizes, Statement, Step


def step(rate: float, began: float, slow: float = 1.0) -> Step:
    """One in which the database gets busier with the rate; beyond 240/s it has no more to give."""
    answered = min(rate, 240.0)
    return Step(
        offered_rps=rate,
        began=began,
        seconds=20,
        requests=int(rate * 20),
        failures={} if rate <= 240 else {"HTTP 503": int((rate - answered) * 18), "TimeoutError": 7},
        answered_rps=answered,
        p50=3 * slow,
        p90=7 * slow,
        p95=9 * slow,
        p99=21 * slow,
        longest=60 * slow,
        histogram={
            2.0 * slow: int(rate * 4), 4.0 * slow: int(rate * 10), 8.0 * slow: int(rate * 4), 64.0 * slow: int(rate)
        },
        readings=(
            Reading("generator", "cpu", rate / 20, "percent", 100),
            Reading("edge", "cpu", rate / 12, "percent", 100, "i-0aaa"),
            Reading("app", "cpu", rate / 8, "percent", 100, "i-0bbb"),
            Reading("app", "event loop lag", 1.5, "milliseconds"),
            Reading("cache", "memory", 12, "percent", 100),
            Reading("database", "cpu", min(99.0, rate / 2.4), "percent", 100),
            Reading("database", "connections", 40, "count", 100),
        ),
        statements=(Statement("SELECT * FROM items WHERE name < $1", int(rate * 20), rate * 70, 0.92),),
    )  # fmt: skip


def run(rates: tuple[float, ...] = (10, 40, 100, 160, 240, 320)) -> Run:
    """A database that is too small."""
    steps = tuple(
        step(rate, 1_790_000_000 + 25 * number, 1 if rate <= 240 else 40) for number, rate in enumerate(rates)
    )
    return Run(
        target="http://203.0.113.7",
        stack="dev",
        mix=("80 % GET /items", "20 % GET /items/{1..100}"),
        generator="vegeta 12.13.0",
        steps=steps,
        knee_rps=240,
        bottleneck=Bottleneck(
            "database",
            "cpu",
            (
                "database: 99 % CPU at 320/s, and 4 % at 10/s",
                "1 statement makes 92 % of its time",
                "the app is at 40 %",
            ),
            ("an index for SELECT * FROM items", "a cache", "replicas: 2", "a fourth app server would add nothing"),
        ),
        timeline=tuple(
            Second(
                each.began + second, int(each.offered_rps), int(each.answered_rps), int(each.failures != {}), each.p95
            )
            for each in steps
            for second in range(20)
        ),
    )


SIZES = Sizes("us-east-1", "m7i.large", "m7i.large", 60, "db.m7g.large", False, 20, "cache.m7g.large", 1)


def computing(
    servers: int = 2,
    each: float = 0.5,
    idle: float = 4.0,
    rates: tuple[float, ...] = (40, 100, 160, 240, 320, 400, 440),
    sizes: Sizes | None = SIZES,
) -> Run:
    """Requests that take the app servers' CPU: `each` percent of a server's for one a second, `idle` without any.

    The edge takes 0.02 % for one, the database 0.05 %, the cache next to nothing. Each worker has five connections.
    """

    def at(rate: float, began: float) -> Step:
        per = rate / servers
        cpu = idle + each * per
        full = cpu > 96
        slow = 400.0 if full else 10 / max(0.04, 1 - cpu / 100)
        answered = min(rate, servers * (96 - idle) / each)
        readings = (
            Reading("app", "machines", servers, "count"),
            Reading("app", "workers", 2 * servers, "count"),
            Reading("app", "cpu", min(cpu, 99.0), "percent", 100),
            Reading("edge", "cpu", 2 + 0.02 * rate, "percent", 100),
            Reading("database", "cpu", 3 + 0.05 * rate, "percent", 100, "db"),
            Reading("database", "pool", min(10.0 * servers, rate / 4), "count"),
            Reading("cache", "cpu", 0.5 + 0.001 * rate, "percent", 100, "c-001"),
        )
        return Step(
            *(rate, began, 10, int(rate * 10), {} if not full else {"HTTP 503": int((rate - answered) * 10)}, answered),
            *(slow / 2, slow * 0.9, slow, slow * 2, slow * 4),
            histogram={slow: int(rate * 10)},
            readings=readings,
        )

    steps = tuple(at(rate, 1_790_000_000 + 15 * number) for number, rate in enumerate(rates))
    kept = [rate for rate in rates if idle + each * rate / servers <= 96]
    found = Bottleneck("app", "cpu", (), ()) if len(kept) < len(rates) else Bottleneck("none", "", (), ())
    return Run(
        "http://203.0.113.7", "dev", ("100 % GET /",), "vegeta", steps, max(kept, default=None), found, sizes=sizes
    )
