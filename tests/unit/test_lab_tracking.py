"""Target tracking: what a policy wants, from its metric's periods and the group's size."""

import pytest

from lab.api.tracking import Policy, Size, Vote, decide, vote
from lab.controller.load import LoadMeter

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html

CPU = Policy("cpu", 50)
TWO = Size(desired=2, low=2, high=6, warm=2, launching=0)
FOUR = Size(desired=4, low=2, high=6, warm=4, launching=0)


def test_three_periods_above_the_target_scale_out_in_proportion_and_round_up() -> None:
    assert vote(CPU, [90, 80, 76], TWO) == Vote("cpu", 4, "AlarmHigh"), "2 x 76 / 50 = 3.04"
    assert vote(CPU, [90, 80], TWO).wanted == 2, "two are not enough"
    assert vote(CPU, [90, 50, 90], TWO).wanted == 2, "at the target is not above it"
    assert vote(CPU, [90, None, 90], TWO).wanted == 2, "a period without data raises no alarm"


def test_a_machine_that_warms_up_is_not_counted_and_takes_its_share_of_the_same_load() -> None:
    warming = Size(desired=4, low=2, high=6, warm=2, launching=2)
    assert vote(CPU, [90, 90, 90], warming).wanted == 4, "2 x 90 / 50 = 4 are on their way already"
    assert vote(CPU, [90, 90, 120], warming).wanted == 5, "more load, more machines"


def test_the_size_stays_within_its_bounds() -> None:
    assert vote(CPU, [500, 500, 500], TWO).wanted == 6
    assert vote(CPU, [1.0] * 15, TWO).wanted == 2


@pytest.mark.parametrize(("load", "wanted"), [(44.9, 4), (37.5, 3), (5, 3), (46, 4)])
def test_fifteen_periods_below_nine_tenths_scale_in_by_one_where_the_rest_can_bear_it(load: float, wanted: int) -> None:
    assert vote(CPU, [load] * 15, FOUR).wanted == wanted


def test_scale_in_is_patient() -> None:
    assert vote(CPU, [5.0] * 14, FOUR).wanted == 4
    assert vote(CPU, [46.0, *[5.0] * 14], FOUR).wanted == 4, "one of the fifteen was not low"
    assert vote(CPU, [5.0] * 15, Size(4, 2, 6, warm=3, launching=1)).wanted == 4, "not while a machine is on its way"
    assert vote(Policy("cpu", 50, scales_in=False), [5.0] * 15, FOUR).wanted == 4, "DisableScaleIn"


def test_of_several_policies_the_largest_scales_out_and_all_have_to_agree_to_scale_in() -> None:
    requests, never = Policy("requests", 10), Policy("never", 10, scales_in=False)
    more, most = Vote("cpu", 5, "AlarmHigh"), Vote("requests", 6, "AlarmHigh")
    less, same = Vote("cpu", 3, "AlarmLow"), Vote("requests", 4, None)
    assert decide([(CPU, more), (requests, most)], FOUR) == most
    assert decide([(CPU, less), (requests, most)], FOUR) == most
    assert decide([(CPU, less), (requests, same)], FOUR) is None
    assert decide([(CPU, less), (never, Vote("never", 4, None))], FOUR) == less, "it has no say in scaling in"
    assert decide([(CPU, less), (never, Vote("never", 4, "AlarmHigh"))], FOUR) is None, "unless its load is high"
    assert decide([], FOUR) is None


def test_a_machines_load_is_its_share_of_all_cpus_over_whole_periods() -> None:
    used = {"i-1": 100.0, "i-2": 0.0}
    meter = LoadMeter(used.get, cpus=2)
    assert meter.measure(["i-1", "i-2"], 1003) is None, "nothing to compare with"
    assert meter.measure(["i-1", "i-2"], 1009) is None, "the period is under way"
    used |= {"i-1": 107.0, "i-2": 1.4}
    assert meter.measure(["i-1", "i-2"], 1010) == ({"i-1": 50.0, "i-2": 10.0}, 1000), "over the 7 s since it looked"
    assert meter.measure(["i-1", "i-2"], 1019.9) is None
    used |= {"i-1": 3.0, "i-2": 21.4, "i-3": 4.0}
    assert meter.measure(["i-1", "i-2", "i-3"], 1020) == ({"i-2": 100.0}, 1010), "i-1 has started again, i-3 is new"


def test_a_machine_that_may_use_less_is_measured_by_that() -> None:
    used = {"i-1": 0.0, "i-2": 0.0}
    meter = LoadMeter(used.get, cpus=2)
    limits = {"i-1": 0.5}
    assert meter.measure(["i-1", "i-2"], 1000, limits) is None
    used |= {"i-1": 2.5, "i-2": 2.5}
    assert meter.measure(["i-1", "i-2"], 1010, limits) == ({"i-1": 50.0, "i-2": 12.5}, 1000)
