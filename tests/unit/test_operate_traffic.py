"""What machines answer a second, by what the edges had counted before and now."""

from operate.counters import Counters
from operate.reports import EdgeReport, EdgeView
from operate.traffic import Meter, Traffic


def edge(name: str, at: float, age: float = 1.0, /, **counted: tuple[int, int, int]) -> EdgeReport:
    """The report of an edge: of each server the answers, the errors, and how many answers took more than 50 ms."""
    members = {
        server: EdgeView("serving", counters=Counters(requests, errors, {"0.05": requests - slow, "+Inf": requests}))
        for server, (requests, errors, slow) in counted.items()
    }
    return EdgeReport(name, age, at=at, members=members)


def test_a_machine_answers_what_was_counted_between_two_reports_of_all_edges() -> None:
    meter = Meter()
    assert meter.look([edge("e1", 100, one=(50, 5, 0)), edge("e2", 101, one=(0, 0, 0))]) == {}
    found = meter.look([edge("e1", 110, one=(250, 25, 0)), edge("e2", 103, one=(20, 0, 0))])
    assert found == {
        "one": Traffic(20 + 10, 2, 0.05),
        "e1": Traffic(20, 2, 0.05),
        "e2": Traffic(10, 0, 0.05),
    }


def test_a_report_that_is_the_same_still_says_what_it_said() -> None:
    meter, second = Meter(), edge("e", 110, one=(100, 0, 0))
    meter.look([edge("e", 100, one=(0, 0, 0))])
    assert meter.look([second])["one"] == meter.look([second])["one"] == Traffic(10, 0, 0.05)


def test_an_edge_that_is_silent_says_nothing_and_a_new_machine_has_no_rate_yet() -> None:
    meter = Meter()
    meter.look([edge("e", 100, one=(0, 0, 0))])
    found = meter.look([edge("e", 110, one=(10, 0, 0), new=(500, 0, 0))])
    assert found.keys() == {"e", "one"}
    assert meter.look([edge("e", 110, 31, one=(10, 0, 0))]) == {}


def test_an_nginx_that_started_anew_counts_from_nothing() -> None:
    meter = Meter()
    meter.look([edge("e", 100, one=(5000, 9, 0))])
    assert meter.look([edge("e", 110, one=(30, 0, 0))])["one"] == Traffic(3, 0, 0.05)


def test_slow_answers_show_and_what_is_slower_than_all_bounds_is_ten_seconds() -> None:
    meter = Meter()
    meter.look([edge("e", 100, one=(0, 0, 0))])
    assert meter.look([edge("e", 110, one=(100, 0, 6))])["one"].p95 == 10
    assert meter.look([edge("e", 120, one=(200, 0, 10))])["one"].p95 == 0.05, "4 of these 100"
    assert meter.look([edge("e", 130, one=(200, 0, 10))])["one"].p95 is None
