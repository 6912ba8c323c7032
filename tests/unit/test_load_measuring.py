"""From requests to figures: counted from when each was due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.load import measuring
from operate.load.attack import Sent, failure
from operate.load.measuring import Timed, Timeline

BEGAN = 1_700_000_000.0


def held(seconds: float, rate: int, took: float = 0.01, **late: float) -> list[Sent]:
    """A rate that is held, but for the requests `n<number>`, which are sent so many seconds late."""
    found: list[Sent] = []
    for number in range(int(seconds * rate)):
        sent = BEGAN + (number + 1) / rate + late.get(f"n{number}", 0.0)
        found.append(Sent(number, sent, sent + took, ""))
    return found


def test_a_request_that_is_sent_late_counts_from_when_it_was_due() -> None:
    requests = measuring.timed(held(1, 100, n50=0.5, n51=0.49), 100)
    found = measuring.step(100, BEGAN, 2, requests)
    assert found.longest == pytest.approx(510, abs=0.1)
    assert found.p50 == pytest.approx(10, abs=0.1)


def test_the_first_request_may_be_the_late_one() -> None:
    requests = measuring.timed(held(1, 100, n0=0.2), 100)
    assert requests[0].due == pytest.approx(BEGAN + 0.01, abs=1e-5)


def test_a_probe_without_a_rate_counts_from_sending() -> None:
    sent = [Sent(0, BEGAN, BEGAN + 1, ""), Sent(1, BEGAN + 5, BEGAN + 6, "")]
    assert [each.due for each in measuring.timed(sent, 0)] == [BEGAN, BEGAN + 5]


def test_a_step_has_what_was_due_in_it_and_the_answers_that_came_in_it() -> None:
    requests = [
        Timed(BEGAN - 1, BEGAN - 1, BEGAN + 0.5, ""),  # due before it, answered in it
        Timed(BEGAN - 1, BEGAN - 1, BEGAN + 0.6, ""),
        Timed(BEGAN, BEGAN, BEGAN + 0.09, ""),
        Timed(BEGAN + 1, BEGAN + 1, BEGAN + 1.2, "HTTP 503"),
        Timed(BEGAN + 1.9, BEGAN + 1.9, BEGAN + 4.8, ""),  # answered after it
        Timed(BEGAN + 2, BEGAN + 2, BEGAN + 2.1, ""),  # due after it
    ]
    found = measuring.step(2, BEGAN, 2, requests)
    assert found.requests == 3
    assert found.failures == {"HTTP 503": 1}
    assert found.answered_rps == 1.5, "three in two seconds"
    assert (found.p50, found.longest) == (pytest.approx(90, abs=0.1), pytest.approx(2900, abs=0.1))
    assert found.histogram == {100.0: 1, 3000.0: 1}


def test_a_step_without_a_right_answer_has_no_times() -> None:
    found = measuring.step(1, BEGAN, 1, [Timed(BEGAN, BEGAN, BEGAN + 15, "no answer in 15 s")])
    assert (found.p50, found.p99, found.histogram, found.answered_rps) == (0, 0, {}, 0)


@given(st.lists(st.floats(0, 70_000), min_size=1))
def test_every_answer_is_in_one_class_and_quantiles_are_answers(times: list[float]) -> None:
    counted = measuring.histogram(times)
    assert sum(counted.values()) == len(times)
    ordered = sorted(times)
    shares = [measuring.quantile(ordered, share) for share in (0.5, 0.9, 0.99, 1)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(ordered[-1], abs=0.001)


def test_quantiles_are_the_nearest_rank() -> None:
    ordered = [float(each) for each in range(1, 101)]
    assert [measuring.quantile(ordered, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]


def test_the_generator_tells_its_cpu_how_late_it_is_and_what_it_waits_for() -> None:
    requests = measuring.timed(held(1, 100, took=0.1, n98=0.06, n99=0.06), 100)
    cpu, late, flying = measuring.generator(requests, BEGAN, 2, cpu=0.3, cores=2, most=5000)
    assert (cpu.value, cpu.limit, cpu.saturation) == (30, 200, 0.15)
    assert late.value == pytest.approx(60, abs=0.1)
    assert flying.value in (10, 11), "a hundred a second, each for a tenth of one"


def test_the_timeline_has_every_second_also_those_without_a_request() -> None:
    timeline = Timeline()
    timeline.add([Timed(BEGAN, BEGAN, BEGAN + 0.5, ""), Timed(BEGAN + 0.9, BEGAN + 0.9, BEGAN + 3.1, "HTTP 500")])
    seconds = timeline.seconds()
    assert [each.at - BEGAN for each in seconds] == [0, 1, 2, 3]
    assert [(each.offered, each.answered, each.failed) for each in seconds] == [
        (2, 1, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 1),
    ]
    assert [each.p95 for each in seconds] == [500, None, None, None]
    assert Timeline().seconds() == ()


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (200, "", ""),
        (302, "", ""),
        (404, "404 Not Found", "HTTP 404"),
        (503, "503 Service Unavailable", "HTTP 503"),
        (0, 'Get "http://x/": dial tcp 10.0.0.1:80: connect: connection refused', "connection refused"),
        (
            0,
            'Get "http://x/": read tcp 1.1.1.1:5->2.2.2.2:80: read: connection reset by peer',
            "connection reset by peer",
        ),
        (0, 'Get "http://x/": EOF', "EOF"),
        (
            0,
            'Get "http://x/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
            "no answer in 15 s",
        ),
    ],
)
def test_failures_are_told_without_what_differs_each_time(status: int, error: str, told: str) -> None:
    assert failure(status, error) == told
