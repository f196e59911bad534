"""Split a log into training sequences and evaluation cases (specs/data.md, Splits).

A protocol cuts the sequence of a user at a position. The protocol `none` holds nothing out. The log
has sorted the interactions by time, ties in file order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.data.protocols import NO_SPLIT, PROTOCOLS
from mindref.errors import ConfigError, DataError, say

MIN_UNITS = 3  # interactions or baskets of a user whose last ones are held out


class EvaluationCases(NamedTuple):
    """Evaluation cases: predict the targets from the history."""

    users: Ints  # (C,) dense user ids
    histories: Ragged  # C rows: all items before the targets, oldest first, not truncated
    targets: Ragged  # C rows: one or more distinct items


class Split(NamedTuple):
    """Training sequences and two sets of evaluation cases. No target interaction is in training."""

    train_users: Ints  # (T,) the dense user of each training sequence
    train: Ragged  # T rows to draw examples from
    validation: EvaluationCases
    test: EvaluationCases
    protocol: str


def make_split(protocol: str, log: InteractionLog, rng: np.random.Generator) -> Split:
    """Return the split of a log by a protocol of `PROTOCOLS` with its default numbers.

    Spec: data. Errors: `ConfigError` for an unknown name, and the errors of the protocol.
    """
    if protocol == "leave_last_out":
        return split_leave_last_out(log)
    if protocol == "global_time":
        return split_global_time(log)
    if protocol == "paper":
        return split_paper(log, rng)
    if protocol == "comirec":
        return split_comirec(log, rng)
    if protocol == "last_basket":
        return split_last_basket(log)
    if protocol == NO_SPLIT:
        return split_none(log)
    raise ConfigError(say("split", " or ".join(PROTOCOLS), repr(protocol)))


def split_leave_last_out(log: InteractionLog) -> Split:
    """Test on the last interaction of each user, validate on the last but one.

    Spec: data. All interactions of a user with fewer than `MIN_UNITS` are training data.
    Errors: `DataError` if no user has enough interactions.
    """
    is_start = np.ones(len(log.interactions.values), dtype=bool)
    return _split_last(log.interactions, is_start, "interactions", "leave_last_out")


def split_last_basket(log: InteractionLog) -> Split:
    """Test on the items of the last basket of each user, validate on the basket before it.

    Spec: data. A basket is the interactions of a user at one time. All interactions of a user with
    fewer than `MIN_UNITS` baskets are training data.
    Errors: `DataError` for a log without times or without a basket of several interactions, or if
    no user has enough baskets.
    """
    is_start = is_basket_start(log)
    if is_start.all():  # data-R97
        expected = "at least two interactions of a user at one time, which are a basket"
        got = "no times" if log.times is None else "times that are all different"
        raise DataError(say("last_basket", expected, got, "use leave_last_out"))
    return _split_last(log.interactions, is_start, "baskets", "last_basket")


def is_basket_start(log: InteractionLog) -> npt.NDArray[np.bool_]:
    """Return which interactions (E,) are the first of the user at their time.

    Without times, all are.
    """
    rows = log.interactions
    is_start = np.ones(len(rows.values), dtype=bool)
    if log.times is not None:
        is_start[1:] = np.diff(log.times) != 0
        is_start[rows.offsets[:-1][rows.lengths > 0]] = True
    return is_start


def count_before_baskets(log: InteractionLog) -> Ragged:
    """Return, for each interaction, the number of interactions of its user at earlier times.

    Without times, all interactions before it are counted.
    """
    rows = log.interactions
    starts = np.where(is_basket_start(log), np.arange(len(rows.values)), 0)
    users = np.repeat(rows.offsets[:-1], rows.lengths)
    return Ragged(rows.offsets, np.maximum.accumulate(starts) - users)


def split_paper(log: InteractionLog, rng: np.random.Generator) -> Split:
    """Split users 19:1:1. The target is a random item but the first, the history all before it.

    Spec: data. Source: paper, section 4.1: 19 training users for each test user. Differs: the paper
    names no validation users; we hold out as many users for validation as for the test.
    Errors: `DataError` if fewer than three users have two interactions.
    """

    def target_range(lengths: Ints) -> tuple[Ints, Ints]:
        # the first interaction of a user has no history, so it is never a target
        targets = rng.integers(1, lengths)  # data-R30
        return targets, targets + 1

    return _split_users(log, rng, Fraction(1, 21), target_range, "paper")


def split_comirec(log: InteractionLog, rng: np.random.Generator) -> Split:
    """Hold out users 8:1:1. Targets are the last 20 % of their interactions, history the others.

    Spec: data. Source: ComiRec (KDD 2020), section 4 and its code.
    Errors: `DataError` if fewer than three users have two interactions.
    """
    # data-R32
    return _split_users(log, rng, Fraction(1, 10), lambda n: (n * 4 // 5, n), "comirec")


def split_global_time(log: InteractionLog) -> Split:
    """Split all users at the same two times: train before, validate between, test after.

    Spec: data. Each window has a tenth of the interactions.
    Errors: `DataError` for a log without times, or if a window has no user with a history.
    """
    if log.times is None:
        raise DataError(say("global_time", "a log with times", "none", "use leave_last_out"))
    sorted_times, counts = np.sort(log.times), []
    _require_users(len(sorted_times), "an interaction")
    for fraction in (Fraction(2, 10), Fraction(1, 10)):
        index = round_half_up(len(sorted_times) * (1 - fraction))  # data-R33
        time = sorted_times[min(index, len(sorted_times) - 1)]
        # strictly before, so that ties stay in one window, data-R34
        cumulative = np.concatenate([[0], np.cumsum(log.times < time)])
        counts.append(np.diff(cumulative[log.interactions.offsets]).astype(np.int64))
    before, until = counts  # interactions of each user
    users = np.flatnonzero(before)
    return Split(
        users,
        log.interactions.slice(users, np.zeros_like(users), before[users]),
        _window_cases(log.interactions, before, until, "validation"),
        _window_cases(log.interactions, until, log.interactions.lengths, "test"),
        "global_time",
    )


def split_none(log: InteractionLog) -> Split:
    """Return the split in which all interactions train, without evaluation cases. Spec: data."""
    users = np.arange(len(log.interactions), dtype=np.int64)
    no_rows = log.interactions.take(users[:0])
    no_cases = EvaluationCases(users[:0], no_rows, no_rows)
    return Split(users, log.interactions, no_cases, no_cases, NO_SPLIT)  # data-R83


def first_occurrences(rows: Ragged) -> Ragged:
    """Keep the first occurrence of each item in each row, in order."""  # data-R37
    row = np.repeat(np.arange(len(rows)), rows.lengths)
    order = np.lexsort((rows.values, row))  # stable: equal items stay in their order
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(row[order]) != 0) | (np.diff(rows.values[order]) != 0)
    is_first = np.zeros(len(order), dtype=bool)
    is_first[order[new]] = True
    return rows.where(is_first)


def round_half_up(number: Fraction) -> int:
    """Return the nearest integer, halves rounded up."""
    return math.floor(number + Fraction(1, 2))


def _split_last(rows: Ragged, is_start: npt.NDArray[np.bool_], unit: str, protocol: str) -> Split:
    """Return the split that holds out the last two units of each user, for `MIN_UNITS` units.

    is_start (E,): whether an interaction is the first of a unit, which `unit` names.
    """
    starts = Ragged(rows.offsets, np.arange(len(rows.values))).where(is_start)
    users, has_cases = np.arange(len(rows)), starts.lengths >= MIN_UNITS
    cases = np.flatnonzero(has_cases)
    _require_users(len(cases), f"a user with {MIN_UNITS} {unit} or more")
    ends = starts.offsets[cases + 1]
    before, last = (starts.values[ends - k] - rows.offsets[cases] for k in (2, 1))
    train_lengths = rows.lengths
    train_lengths[cases] = before  # data-R28 data-R96
    return Split(
        users,
        rows.slice(users, np.zeros_like(train_lengths), train_lengths),
        _make_cases(rows, cases, before, last),  # data-R26 data-R95
        _make_cases(rows, cases, last, rows.lengths[cases]),  # data-R27 data-R95
        protocol,
    )


def _make_cases(interactions: Ragged, users: Ints, start: Ints, stop: Ints) -> EvaluationCases:
    """Return cases with the targets from `start` to `stop` and the history before `start`."""
    histories = interactions.slice(users, np.zeros_like(start), start)  # data-R25
    return EvaluationCases(
        users, histories, first_occurrences(interactions.slice(users, start, stop))
    )


def _split_users(
    log: InteractionLog,
    rng: np.random.Generator,
    fraction: Fraction,
    target_range: Callable[[Ints], tuple[Ints, Ints]],
    protocol: str,
) -> Split:
    """Return the split that holds out users: a fraction for validation, and as many for the test.

    target_range: lengths of users -> positions of the first target and after the last target.
    """
    eligible = log.interactions.lengths >= 2
    shuffled = rng.permutation(np.flatnonzero(eligible))
    _require_users(len(shuffled) // 3, "three users with two interactions or more")
    num_test = max(1, round_half_up(fraction * len(shuffled)))  # data-R29 data-R31
    # data-R36
    train = np.sort(np.concatenate([np.flatnonzero(~eligible), shuffled[2 * num_test :]]))
    cases = []
    for users in (shuffled[num_test : 2 * num_test], shuffled[:num_test]):
        users = np.sort(users)
        start, stop = target_range(log.interactions.lengths[users])
        cases.append(_make_cases(log.interactions, users, start, stop))
    return Split(train, log.interactions.take(train), cases[0], cases[1], protocol)


def _window_cases(interactions: Ragged, start: Ints, stop: Ints, name: str) -> EvaluationCases:
    users = np.flatnonzero((start > 0) & (stop > start))  # data-R35
    _require_users(len(users), f"a user with interactions before and in the {name} window")
    return _make_cases(interactions, users, start[users], stop[users])


def _require_users(count: int, expected: str) -> None:
    if not count:  # data-R38
        todo = "use a longer log or another split"
        raise DataError(say("split", f"at least {expected}", "none", todo))
