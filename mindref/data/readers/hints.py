"""Hints after reading: properties of a log for which a user may want another option (data-R88)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mindref.data.log import Hint, InteractionLog
from mindref.data.quoting import escape_text, quote_text
from mindref.data.readers.advice import column_option
from mindref.data.readers.columns import Columns, column_index
from mindref.data.readers.usual_names import RATING_NAMES, normalise_name

REPEAT_SHARE = 0.1  # of the interactions
MAX_RATING = 100
LIKED = 0.7  # of the largest rating: the proposed minimum
MANY = 1000  # interactions, from which on one user should not have half of them
LATEST_SECONDS = 1e11  # the year 5138: later times are milliseconds, or smaller units


def rating_hints(
    header: Sequence[str] | None, rows: Sequence[Sequence[str]], columns: Columns
) -> list[Hint]:
    """Return a hint for each column of ratings that no option filters."""
    names = header or ()
    used = {column_index(x, header, len(names)) for x in (*columns.keep, *columns.at_least)}
    hints = []
    for index, name in enumerate(names):
        if normalise_name(name) in RATING_NAMES and index not in used:
            bounds = rating_range([row[index] for row in rows if index < len(row)])
            hints += [rating_hint(name, *bounds)] if bounds else []
    return hints


def rating_range(values: Sequence[str]) -> tuple[float, float] | None:
    """Return the smallest and the largest rating, or None if the values are no ratings."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    if not numbers or not all(0 <= number <= MAX_RATING for number in numbers):
        return None
    low, high = min(numbers), max(numbers)
    return (low, high) if high >= 3 and high > low else None


def rating_hint(name: str, low: float, high: float) -> Hint:
    """Return the hint of a column of ratings."""
    least = math.ceil(LIKED * high)
    return Hint(
        f"the column {escape_text(name)} has ratings from {low:g} to {high:g} in the first lines,"
        " and every rating counts as an interaction",
        column_option("at-least", f"{name}={least}"),
        f"at_least={{{quote_text(name)}: {least}}}",
        "{} would keep the high ones",
    )


def time_hints(log: InteractionLog, argument: str = "time_format='ms'") -> list[Hint]:
    """Return the hint that times are probably milliseconds, or none.

    argument: what `fit` accepts in place of the option.
    """
    times = log.times
    if times is None or 2 * np.count_nonzero(times > LATEST_SECONDS) < len(times):
        return []
    fact = "read as seconds, the times are after the year 5000"
    return [Hint(fact, "--time-format ms", argument)]


def reading_hints(log: InteractionLog, *, exclude_seen: bool, is_command: bool) -> list[str]:
    """Return all hints of a log, one line each.

    exclude_seen: top-n lists exclude the items of the history. is_command: the lines name options
    of the command, else arguments of `fit`.
    """
    hints = [*log.hints, *user_hints(log), *(repeat_hints(log) if exclude_seen else ())]
    return [hint.line(is_command=is_command) for hint in hints]


def user_hints(log: InteractionLog) -> list[Hint]:
    """Return the hint that one user has half of all interactions, or none."""
    lengths, total = log.interactions.lengths, len(log.interactions.values)
    if len(lengths) < 2 or total < MANY or 2 * lengths.max() < total:  # data-R88
        return []
    user = quote_text(log.user_ids[int(lengths.argmax())])
    fact = f"{lengths.max() / total:.0%} of the interactions have the user {user}"
    advice = "if it stands for unknown users, name another column with {}"
    return [Hint(fact, "--user", "user", advice)]


def repeat_hints(log: InteractionLog) -> list[Hint]:
    """Return the hint that seen items should stay in top-n lists, or none."""
    total = len(log.interactions.values)
    if log.notes.get("repeats", 0) < REPEAT_SHARE * total:  # data-R88
        return []
    share = f"{log.notes['repeats'] / total:.0%} of the interactions"
    fact = f"{share} repeat an item of the user, but lists exclude seen items"
    return [Hint(fact, "--include-seen", "exclude_seen=False")]
