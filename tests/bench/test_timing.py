"""Rounds and statistics, with a clock of our own."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from itertools import count, pairwise

import pytest

from mindref.bench import timing


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_runs_once_a_round_and_all_begin_equally_often(number: int) -> None:
    orders = list(timing.orders(number, 12 * number))
    assert all(sorted(order) == list(range(number)) for order in orders)
    assert set(Counter(order[0] for order in orders).values()) == {12}
    assert set(Counter(order[-1] for order in orders).values()) == {12}


def test_nobody_always_follows_the_same_neighbour() -> None:
    before = Counter((a, b) for order in timing.orders(3, 6) for a, b in pairwise(order))
    assert set(before) == {(a, b) for a in range(3) for b in range(3) if a != b}


def test_rounds_are_interleaved_and_times_stand_under_their_names() -> None:
    ran, seconds = [], {"a": count(1), "b": count(10, 10)}

    def run(name: str) -> float:
        ran.append(name)
        return float(next(seconds[name]))

    times = timing.interleaved(["a", "b"], 3, run)
    assert times == {"a": [1, 2, 3], "b": [10, 20, 30]}
    assert ran == ["a", "b", "b", "a", "b", "a"]


def test_one_that_fails_is_left_out_and_the_others_go_on() -> None:
    asked: list[str] = []

    def run(name: str) -> float | None:
        asked.append(name)
        return None if name == "bad" and asked.count("bad") == 2 else 1.0

    assert timing.interleaved(["bad", "good"], 4, run) == {"good": [1.0] * 4}
    assert asked.count("bad") == 2


def test_rounds_end_when_there_is_no_time_left() -> None:
    told = []

    def on_round(turn: int) -> bool:
        told.append(turn)
        return turn < 2

    assert timing.interleaved(["a"], 9, lambda name: 1.0, on_round) == {"a": [1.0, 1.0]}
    assert told == [0, 1, 2]


def test_the_spread_is_median_quartiles_and_least() -> None:
    assert timing.spread([5, 1, 2, 3, 4]) == (3, 2, 4, 1)
    assert timing.spread([7]) == (7, 7, 7, 7)


def test_ratios_are_taken_round_by_round() -> None:
    assert timing.ratios([2, 9], [1, 3]) == [2, 3]


def ticks(*times: float) -> Iterator[float]:
    return iter(times)


def test_the_mean_of_the_repeats_is_what_the_clock_says() -> None:
    clock, done = ticks(100.0, 106.0), []
    assert timing.timed(lambda: done.append(gc.isenabled()), 3, clock.__next__) == 2.0
    assert done == [False] * 3
    assert gc.isenabled()


def test_what_leads_the_way_is_not_timed_and_comes_last_before_what_is() -> None:
    """After garbage is collected, which lets the threads of a backend fall asleep."""
    clock, done = ticks(100.0, 106.0), list[str]()

    def read() -> float:
        done.append("clock")
        return next(clock)

    def lead() -> None:
        done.append("on" if gc.isenabled() else "lead")

    assert timing.timed(lambda: done.append("work"), 2, read, lead) == 3.0
    assert done == ["lead", "clock", "work", "work", "clock"]


def test_garbage_is_collected_again_after_a_failure() -> None:
    def fail() -> None:
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        timing.timed(fail, 1)
    assert gc.isenabled()


def test_time_runs_out_by_the_clock() -> None:
    goes_on = timing.until(5.0, ticks(10.0, 14.9, 15.0).__next__)
    assert [goes_on(), goes_on()] == [True, False]
