"""Cut a log into training sequences and the cases of validation and test (specs/data.md, Splits).

Four protocols: `leave_last_out`, `paper`, `comirec`, `global_time`. None sorts: a user's events
come in time order with ties in file order, and every split cuts that order at a position.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mindref.data.log import Floats, InteractionLog, Ints, Ragged
from mindref.errors import ConfigError, DataError, say

PROTOCOLS = ("leave_last_out", "paper", "comirec", "global_time")


class Cases(NamedTuple):
    """What is asked at evaluation: given this history, which items come?"""

    users: Ints  # (C,) dense user ids
    histories: Ragged  # C rows: everything before the targets, oldest first, untruncated
    targets: Ragged  # C rows: one or more distinct items


class Split(NamedTuple):
    """Training sequences, and two sets of cases whose target events are in none of them."""

    train_users: Ints  # (T,) the dense user of each training sequence
    train: Ragged  # T rows to draw cuts from
    validation: Cases
    test: Cases
    protocol: str


def make_split(protocol: str, log: InteractionLog, rng: np.random.Generator) -> Split:
    """Split a log by the name of a protocol with its default numbers.

    Spec: data. Errors: `ConfigError` for an unknown name, else those of the protocol.
    """
    if protocol == "leave_last_out":
        return leave_last_out(log)
    if protocol == "global_time":
        return global_time(log)
    if protocol == "paper":
        return paper(log, rng)
    if protocol == "comirec":
        return comirec(log, rng)
    raise ConfigError(say("split", " or ".join(PROTOCOLS), repr(protocol)))


def leave_last_out(log: InteractionLog, min_events: int = 3) -> Split:
    """Ask for each user's last event in the test and for the one before it in validation.

    Spec: data. A user with fewer than `min_events` (at least 3) events only trains, on all of them.
    Errors: `DataError` when no user is long enough, `ConfigError` for `min_events` below 3.
    """
    if min_events < 3:
        raise ConfigError(say("min_events", "an integer of at least 3", min_events))
    lengths = log.events.lengths
    asked = np.flatnonzero(lengths >= min_events)
    _require(len(asked), f"a user with {min_events} events or more")
    users = np.arange(len(lengths), dtype=np.int64)
    kept = np.where(lengths >= min_events, lengths - 2, lengths)  # data-R28
    last = lengths[asked] - 1
    return Split(
        users,
        slices(log.events, users, np.zeros_like(kept), kept),
        _cases(log.events, asked, last - 1, last),  # data-R26
        _cases(log.events, asked, last, last + 1),  # data-R27
        "leave_last_out",
    )


def paper(log: InteractionLog, rng: np.random.Generator, test_share: float = 0.05) -> Split:
    """Hold users out at random, 19:1; a random item of each is asked, what came before is known.

    Spec: data. Source: paper, section 4.1; it names no validation users, we hold out as many again.
    `test_share` is a share of users, above 0 and below 0.5.
    Errors: `DataError` when fewer than three users have two events.
    """
    train, validation, test = _hold_out(log, rng, test_share)

    def ask(users: Ints) -> Cases:
        # the first event of a user has nothing before it and is never asked
        at = rng.integers(1, log.events.lengths[users])  # data-R30
        return _cases(log.events, users, at, at + 1)

    return Split(train, _whole(log.events, train), ask(validation), ask(test), "paper")


def comirec(log: InteractionLog, rng: np.random.Generator, test_share: float = 0.1) -> Split:
    """Hold users out 8:1:1; the first 80 % of their events are known, all others are asked.

    Spec: data. Source: ComiRec (KDD 2020), section 4 and its code. `test_share` as in `paper`.
    Errors: `DataError` when fewer than three users have two events.
    """
    train, validation, test = _hold_out(log, rng, test_share)

    def ask(users: Ints) -> Cases:
        lengths = log.events.lengths[users]
        return _cases(log.events, users, lengths * 4 // 5, lengths)  # data-R32

    return Split(train, _whole(log.events, train), ask(validation), ask(test), "comirec")


def global_time(
    log: InteractionLog, validation_share: float = 0.1, test_share: float = 0.1
) -> Split:
    """Cut all users at the same two moments: train before, validate between, test after.

    Spec: data. The shares are shares of events, each above 0 and together below 1.
    Errors: `DataError` for a log without times, or when a window has no user with a history.
    """
    _check_shares(validation_share, test_share)
    if log.times is None:
        raise DataError(say("global_time", "a log with times", "none", "use leave_last_out"))
    first, second = _moments(log.times, validation_share, test_share)
    before, until = (_count_before(log.events, log.times, t) for t in (first, second))  # data-R33
    users = np.flatnonzero(before)
    return Split(
        users,
        slices(log.events, users, np.zeros_like(users), before[users]),
        _window_cases(log.events, before, until, "validation"),
        _window_cases(log.events, until, log.events.lengths, "test"),
        "global_time",
    )


def slices(rows: Ragged, which: Ints, start: Ints, stop: Ints) -> Ragged:
    """Return `rows.row(which[i])[start[i]:stop[i]]` as row i, without a loop."""
    lengths = stop - start
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shift = np.repeat(rows.offsets[which] + start - offsets[:-1], lengths)
    return Ragged(offsets, rows.values[np.arange(offsets[-1]) + shift])


def first_occurrences(rows: Ragged) -> Ragged:
    """Drop from each row the items that it already had, keeping the order."""  # data-R37
    row = np.repeat(np.arange(len(rows)), rows.lengths)
    order = np.lexsort((rows.values, row))  # stable: of equal items the first stays in front
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(row[order]) != 0) | (np.diff(rows.values[order]) != 0)
    keep = np.sort(order[new])
    counts = np.bincount(row[keep], minlength=len(rows))
    return Ragged(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), rows.values[keep])


def exact(share: float) -> Fraction:
    """Return the share that was meant: 1/20 for 0.05, which no binary number is."""
    return Fraction(share).limit_denominator(1_000_000)


def rounded(number: Fraction) -> int:
    """Return the nearest whole number, halves up."""
    return math.floor(number + Fraction(1, 2))


def _whole(events: Ragged, users: Ints) -> Ragged:
    return slices(events, users, np.zeros_like(users), events.lengths[users])


def _cases(events: Ragged, users: Ints, start: Ints, stop: Ints) -> Cases:
    """Ask for the events from `start` to `stop`, knowing all before `start`."""
    histories = slices(events, users, np.zeros_like(start), start)  # data-R25
    return Cases(users, histories, first_occurrences(slices(events, users, start, stop)))


def _hold_out(
    log: InteractionLog, rng: np.random.Generator, share: float
) -> tuple[Ints, Ints, Ints]:
    """Return the users of training, validation and test, each in rising order."""
    _check_shares(share, share)
    able = log.events.lengths >= 2
    drawn = rng.permutation(np.flatnonzero(able))
    _require(len(drawn) // 3, "three users with two events or more")
    size = max(1, rounded(exact(share) * len(drawn)))  # data-R29 data-R31
    train = np.concatenate([np.flatnonzero(~able), drawn[2 * size :]])  # data-R36
    return np.sort(train), np.sort(drawn[size : 2 * size]), np.sort(drawn[:size])


def _moments(times: Floats, validation_share: float, test_share: float) -> tuple[float, float]:
    """Return the first moment of validation and that of the test."""
    ordered = np.sort(times)
    _require(len(ordered), "an event")
    validation, test = exact(validation_share), exact(test_share)
    at = [rounded(len(ordered) * (1 - s)) for s in (validation + test, test)]
    first, second = (float(ordered[min(i, len(ordered) - 1)]) for i in at)
    return first, second


def _count_before(events: Ragged, times: Floats, moment: float) -> Ints:
    """Count each user's events strictly before a moment, so that ties stay in one window."""
    running = np.concatenate([[0], np.cumsum(times < moment)])  # data-R34
    return np.diff(running[events.offsets]).astype(np.int64)


def _window_cases(events: Ragged, start: Ints, stop: Ints, name: str) -> Cases:
    users = np.flatnonzero((start > 0) & (stop > start))  # data-R35
    _require(len(users), f"a user with events before and in the {name} window")
    return _cases(events, users, start[users], stop[users])


def _check_shares(validation_share: float, test_share: float) -> None:
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        got = f"{validation_share} and {test_share}"
        raise ConfigError(say("shares", "two numbers above 0, together below 1", got))


def _require(enough: int, what: str) -> None:
    if not enough:  # data-R38
        todo = "use a longer log or another split"
        raise DataError(say("split", f"at least {what}", "none", todo))
