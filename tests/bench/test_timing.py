"""Rounds and statistics, with a fake clock."""

import gc
from collections import Counter
from itertools import count, pairwise, repeat
from unittest.mock import Mock, call

import pytest

from mindref.bench import timing

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_contender_runs_once_per_round_and_starts_equally_often(number):
    orders = list(timing.round_orders(number, 12 * number))
    assert all(sorted(order) == list(range(number)) for order in orders)
    assert set(Counter(order[0] for order in orders).values()) == {12}
    assert set(Counter(order[-1] for order in orders).values()) == {12}


def test_the_predecessor_of_a_contender_varies():
    before = Counter((a, b) for order in timing.round_orders(3, 6) for a, b in pairwise(order))
    assert set(before) == {(a, b) for a in range(3) for b in range(3) if a != b}


def test_rounds_are_interleaved():
    ran, seconds = [], {"a": count(1), "b": count(10, 10)}

    def run(name):
        ran.append(name)
        return float(next(seconds[name]))

    times = timing.run_interleaved(["a", "b"], 3, run)
    assert times == {"a": [1, 2, 3], "b": [10, 20, 30]}
    assert ran == ["a", "b", "b", "a", "b", "a"]


def test_a_failed_contender_is_not_run_again():
    seconds = {"bad": iter([1.0, None]), "good": repeat(1.0)}
    times = timing.run_interleaved(["bad", "good"], 4, lambda name: next(seconds[name]))
    assert times == {"good": [1.0] * 4}


def test_rounds_stop_when_goes_on_returns_false():
    goes_on = Mock(side_effect=[True, True, False])
    assert timing.run_interleaved(["a"], 9, lambda name: 1.0, goes_on) == {"a": [1.0, 1.0]}
    assert goes_on.mock_calls == [call(0), call(1), call(2)]


def test_the_summary_has_median_quartiles_and_minimum():
    assert timing.summarise_times([5, 1, 2, 3, 4]) == (3, 2, 4)
    assert timing.summarise_times([7]) == (7, 7, 7)


def ticks(*times):
    return iter(times)


def test_a_run_is_timed_without_garbage_collection():
    clock, done = ticks(100.0, 106.0), []
    assert timing.measure_seconds(lambda: done.append(gc.isenabled()), clock.__next__) == 6.0
    assert done == [False]
    assert gc.isenabled()


def test_the_lead_runs_untimed_just_before_the_work():
    """Garbage collection comes before, because it lets the threads of a backend sleep."""
    clock, done = ticks(100.0, 106.0), list[str]()

    def read():
        done.append("clock")
        return next(clock)

    def lead():
        done.append("on" if gc.isenabled() else "lead")

    assert timing.measure_seconds(lambda: done.append("work"), read, lead) == 6.0
    assert done == ["lead", "clock", "work", "clock"]


def test_garbage_collection_is_enabled_again_after_an_error():
    with pytest.raises(ValueError, match="planted"):
        timing.measure_seconds(Mock(side_effect=ValueError("planted")))
    assert gc.isenabled()


def test_the_time_limit_follows_the_clock():
    goes_on = timing.time_limit(5.0, ticks(10.0, 14.9, 15.0).__next__)
    assert [goes_on(), goes_on()] == [True, False]
