"""What to do if the columns of a log are not known: an option line to copy, and the columns.

Advice is only text of errors. No reader chooses a column by it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mindref.data.quoting import MAX_VALUE, escape_text, join_names, quote_text
from mindref.data.readers.usual_names import similar_column
from mindref.data.times import parse_seconds_or_date

MAX_COLUMNS = 20  # shown
EARLIEST_SECONDS = 1e8  # a smaller number may be an id
MARK = "COLUMN"  # in a proposal, where no column is similar


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


def option_line(header: Sequence[str]) -> str:
    """Return the options that name the proposed columns, to be copied."""
    proposed = propose_columns(header)
    return " ".join(column_option(kind, name) for kind, name in proposed.items())


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
        return f"name the columns, such as {option_line(header)}. The columns are:\n{rows}"
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
