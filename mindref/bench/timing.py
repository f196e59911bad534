"""Interleaved rounds of timed runs, and summaries of their times.

Every contender runs once per round, so a machine that slows down affects all of them. Every second
round has the reverse order, and the first contender changes every two rounds. So no contender
always follows the same other one.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Clock = Callable[[], float]
Rows = dict[str, dict[str, Any]]  # contender -> row
LOSS_TOLERANCE = 1e-3  # relative difference of first losses that counts as another function


class TimeSummary(NamedTuple):
    """Median and quartiles of some times."""

    median: float
    low: float  # first quartile
    high: float  # third quartile


def summarise_times(numbers: Sequence[float]) -> TimeSummary:
    """Return the summary of at least one time."""
    low, median, high = np.percentile(numbers, [25, 50, 75]).tolist()
    return TimeSummary(median, low, high)


def round_orders(count: int, rounds: int) -> Iterator[list[int]]:
    """Yield the order of `count` contenders in each round, as indices."""
    for turn in range(rounds):
        order = [(turn // 2 + index) % count for index in range(count)]
        yield order[::-1] if turn % 2 else order


def run_interleaved(
    names: Sequence[str],
    rounds: int,
    run: Callable[[str], float | None],
    goes_on: Callable[[int], bool] = lambda turn: True,
) -> dict[str, list[float]]:
    """Run each contender once per round; return name -> seconds of each round.

    `goes_on` receives the index of a round and returns whether to run it. A contender for which
    `run` returns None has failed: it is removed from the result and not run again.
    """
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn, order in enumerate(round_orders(len(names), rounds)):
        if not goes_on(turn):
            break
        for index in order:
            name = names[index]
            if name in times:
                seconds = run(name)
                if seconds is None:
                    del times[name]
                else:
                    times[name].append(seconds)
    return times


def measure_seconds(
    work: Callable[[], object],
    clock: Clock = time.perf_counter,
    lead: Callable[[], object] | None = None,
) -> float:
    """Return the seconds of a run without garbage collection.

    lead: called just before the run, not timed.
    """
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        if lead is not None:
            lead()
        started = clock()
        work()
        return clock() - started
    finally:
        if was_on:
            gc.enable()


def time_limit(limit: float, clock: Clock = time.perf_counter) -> Callable[[], bool]:
    """Return a function that returns whether less than `limit` seconds have passed since now."""
    started = clock()
    return lambda: clock() - started < limit


def add_ratios(rows: Rows, base_row: dict[str, Any], name: str = "ratio") -> None:
    """Add the ratio of each row's time to the time of `base_row`, per round, under `name`."""
    for row in timed_rows(rows):
        if "seconds" in base_row:
            pairs = zip(row["seconds"], base_row["seconds"], strict=True)
            ratios = [seconds / base_seconds for seconds, base_seconds in pairs]
            row[name] = summarise_times(ratios)._asdict()


def add_loss_agreement(rows: Rows, base: str | None) -> None:
    """Add whether the first loss of each row equals the base's. If not, the functions differ."""
    base_row = rows.get(base, {}) if base is not None else {}
    for row in timed_rows(rows):
        if "answer" in base_row:
            difference = abs(row["answer"] - base_row["answer"])
            row["same_loss"] = difference <= LOSS_TOLERANCE * abs(base_row["answer"])


def timed_rows(rows: Rows) -> Sequence[dict[str, Any]]:
    """Return the rows with times."""
    return [row for row in rows.values() if "seconds" in row]
