"""Hints after reading: properties of a log for which a user may want another option (data-R88)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mindref.data.log import Hint, InteractionLog
from mindref.data.quoting import escape_text, quote_text
from mindref.data.readers.advice import column_option
from mindref.data.readers.usual_names import RATING_NAMES, normalise_name

REPEAT_SHARE = 0.1  # of the interactions
MAX_RATING = 100
MIN_BEST = 3  # the largest rating, if the column has ratings
LIKED = 0.7  # of the largest rating: the proposed minimum
MANY = 1000  # interactions, from which on one user should not have half of them
LATEST_SECONDS = 1e11  # the year 5138: later times are milliseconds, or smaller units


def rating_hints(
    header: Sequence[str], rows: Sequence[Sequence[str]], filtered: set[int]
) -> list[Hint]:
    """Return a hint for each column of ratings, without the columns that options filter."""
    hints = []
    for index, name in enumerate(header):
        if index in filtered or normalise_name(name) not in RATING_NAMES:
            continue
        try:
            ratings = [float(row[index]) for row in rows if index < len(row)]
        except ValueError:
            continue
        low, high = min(ratings, default=0.0), max(ratings, default=0.0)
        if not all(0 <= x <= MAX_RATING for x in ratings) or high < MIN_BEST or high == low:
            continue
        least = math.ceil(LIKED * high)
        fact = (
            f"the column {escape_text(name)} has ratings from {low:g} to {high:g} in the first"
            " lines, and every rating counts as an interaction"
        )
        option = column_option("at-least", f"{name}={least}")
        argument = f"at_least={{{quote_text(name)}: {least}}}"
        hints.append(Hint(fact, option, argument, "{} would keep the high ones"))
    return hints


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
