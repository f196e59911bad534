"""Interleaved rounds, and what is said of their times.

In a round each candidate runs once, so that a machine that slows down slows all of them; every
second round goes backwards, and who begins moves on by one every two rounds, so that nobody always
follows the same neighbour.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

Clock = Callable[[], float]


class Spread(NamedTuple):
    """The middle of some numbers and how far they lie apart."""

    median: float
    low: float  # first quartile
    high: float  # third quartile
    least: float


def spread(numbers: Sequence[float]) -> Spread:
    """Return median, quartiles and least of at least one number."""
    low, median, high = np.percentile(numbers, [25, 50, 75]).tolist()
    return Spread(median, low, high, min(numbers))


def orders(count: int, rounds: int) -> Iterator[list[int]]:
    """Yield in which order `count` candidates run in each round."""
    for turn in range(rounds):
        order = [(turn // 2 + place) % count for place in range(count)]
        yield order[::-1] if turn % 2 else order


def interleaved(
    names: Sequence[str],
    rounds: int,
    run: Callable[[str], float | None],
    on_round: Callable[[int], bool] = lambda turn: True,
) -> dict[str, list[float]]:
    """Run each candidate once a round; return name -> its seconds, a number a round.

    `on_round` is told the number of each round, from 0, and says whether it takes place. One for
    whom `run` returns None has failed: it is not asked again and not in the answer.
    """
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn, order in enumerate(orders(len(names), rounds)):
        if not on_round(turn):
            break
        for place in order:
            name = names[place]
            if name in times:
                seconds = run(name)
                if seconds is None:
                    del times[name]
                else:
                    times[name].append(seconds)
    return times


def ratios(times: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return how many times as long it took as the base did, round by round."""
    return [mine / its for mine, its in zip(times, base, strict=True)]


def timed(
    work: Callable[[], object],
    repeats: int,
    clock: Clock = time.perf_counter,
    lead: Callable[[], object] | None = None,
) -> float:
    """Return the mean seconds of some runs in a row; no garbage is collected meanwhile.

    lead: what is run right before, which is not timed.
    """
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        if lead is not None:
            lead()
        started = clock()
        for _ in range(repeats):
            work()
        return (clock() - started) / repeats
    finally:
        if was_on:
            gc.enable()


def until(limit: float, clock: Clock = time.perf_counter) -> Callable[[], bool]:
    """Return a function that says whether fewer than `limit` seconds have gone since now."""
    started = clock()
    return lambda: clock() - started < limit
