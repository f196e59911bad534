"""Advice for users: options to copy in errors, and hints after reading (data-R88).

An error proposes columns if the columns of a log are not known. A hint states a property of a log
for which a user may want another option. No reader chooses a column by either of them.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

import numpy as np

from mindref.data.log import Hint, InteractionLog
from mindref.data.protocols import EVALUATION_PROTOCOLS
from mindref.data.quoting import MAX_VALUE, escape_text, join_names, quote_text
from mindref.data.readers.usual_names import RATING_NAMES, normalise_name, similar_column
from mindref.data.times import parse_seconds_or_date
from mindref.errors import DataError, printable_excerpt

MAX_COLUMNS = 20  # shown
EARLIEST_SECONDS = 1e8  # a smaller number may be an id
MARK = "COLUMN"  # in a proposal, where no column is similar
REPEAT_SHARE = 0.1  # of the interactions
MAX_RATING = 100
MIN_BEST = 3  # the largest rating, if the column has ratings
LIKED = 0.7  # of the largest rating: the proposed minimum
BASKET_SIZE = 3  # interactions of a user at one time, on average
MIN_BASKETS = 3  # of a user, on average
MANY = 1000  # interactions, from which on one user should not have half of them
LATEST_SECONDS = 1e11  # the year 5138: later times are milliseconds, or smaller units


class UnnamedColumnError(DataError):
    """A log whose columns the user must name; `fact` is the message without the options."""

    def __init__(self, fact: str, todo: str) -> None:
        super().__init__(f"{fact}; {printable_excerpt(todo, keep=chr(10))}")
        self.fact = fact


def looks_like_header(fields: Sequence[str]) -> bool:
    """Return whether fields are names of columns: different, not empty, and no number."""
    names = [field.strip() for field in fields]
    are_different = len(set(names)) == len(names) and all(names)
    return are_different and not any(name[:1].isdigit() or name[:1] == "-" for name in names)


def propose_columns(header: Sequence[str]) -> dict[str, str]:
    """Return user, item and time -> a column with a usual or similar name, or `MARK`."""
    chosen: dict[str, int] = {}
    for kind in ("user", "item", "time"):
        chosen[kind] = similar_column(kind, header, list(chosen.values()))
    columns = {kind: header[i] if i >= 0 else MARK for kind, i in chosen.items()}
    if chosen["time"] < 0:
        del columns["time"]  # a log may have no times
    return columns


def column_option(option: str, column: str) -> str:
    """Return an option with the name of a column, for a shell."""
    return f"--{option} {shlex.quote(escape_text(column, MAX_VALUE))}"


def column_lines(header: Sequence[str], sample: Sequence[str]) -> str:
    """Return a line for each column, with the value of a sample row."""
    values = [*sample, *[""] * len(header)]
    lines = [
        f"  {quote_text(name)[1:-1]:20} {f'such as {quote_text(value)}' if value else ''}".rstrip()
        for name, value in zip(header[:MAX_COLUMNS], values, strict=False)
    ]
    hidden = len(header) - MAX_COLUMNS
    return "\n".join([*lines, *([f"  and {hidden} more"] if hidden > 0 else [])])


def name_columns(header: Sequence[str] | None, sample: Sequence[str] = ()) -> str:
    """Return what to do if a column is not known. Without a header, columns are positions."""
    if header:
        rows = column_lines(header, sample)
        options = " ".join(column_option(*item) for item in propose_columns(header).items())
        return f"name the columns, such as {options}. The columns are:\n{rows}"
    rows = column_lines([str(i + 1) for i in range(len(sample))], sample)
    todo = f"name the columns by position, such as {position_options(sample)}"
    return f"{todo}. The columns are:\n{rows}" if sample else todo


def position_options(sample: Sequence[str]) -> str:
    """Return the options of a log without a header: the first two columns, and one like a time."""
    times = [i for i, value in enumerate(sample) if looks_like_time(value)]
    id_columns = [i for i in range(len(sample)) if i not in times[:1]]
    positions = [*id_columns[:2], *(times or id_columns[2:])[:1]]
    kinds = zip(("user", "item", "time"), positions, strict=False)
    return " ".join(f"--{kind} {i + 1}" for kind, i in kinds)


def looks_like_time(value: str) -> bool:
    """Return whether a value is an ISO date, or a number of seconds after 1973."""
    try:
        return parse_seconds_or_date(value.strip()) >= EARLIEST_SECONDS
    except (ValueError, OverflowError):
        return False


def describe_columns(header: Sequence[str] | None, width: int) -> str:
    """Return the columns as the text of an error."""
    return join_names(header) if header else f"{width} columns without a header"


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


def reading_hints(
    log: InteractionLog, *, exclude_seen: bool | None, protocol: str, is_command: bool
) -> list[str]:
    """Return all hints of a log, one line each.

    exclude_seen: top-n lists exclude the items of the history; None: as the log suggests.
    protocol: of the split.
    is_command: the lines name options of the command, else arguments of `fit`.
    """
    hints = list(log.hints)
    lengths, total = log.interactions.lengths, len(log.interactions.values)
    if len(lengths) > 1 and total >= MANY and 2 * lengths.max() >= total:  # data-R88
        user = quote_text(log.user_ids[int(lengths.argmax())])
        fact = f"{lengths.max() / total:.0%} of the interactions have the user {user}"
        advice = "if it stands for unknown users, name another column with {}"
        hints.append(Hint(fact, "--user", "user", advice))
    repeats = f"{log.repeat_share:.0%} of the interactions repeat an item of the user"
    if not log.excludes_seen(exclude_seen):
        if exclude_seen is None:
            fact, advice = f"{repeats}, so lists include seen items", "{} excludes them"
            hints.append(Hint(fact, "--exclude-seen", "exclude_seen=True", advice))
    elif log.repeat_share >= REPEAT_SHARE:
        fact = f"{repeats}, but lists exclude seen items"
        hints.append(Hint(fact, "--include-seen", "exclude_seen=False"))
    num_baskets = total - log.notes.get("ties", 0)
    if (
        protocol == EVALUATION_PROTOCOLS[0]
        and total >= BASKET_SIZE * num_baskets
        and num_baskets >= MIN_BASKETS * len(lengths)
    ):
        size = f"{total / num_baskets:.1f}"
        fact = f"the interactions of a user at one time are baskets of {size} items on average"
        advice = "to predict all items of the last basket, consider {}"
        hints.append(Hint(fact, "--split last_basket", "split='last_basket'", advice))
    return [hint.line(is_command=is_command) for hint in hints]
