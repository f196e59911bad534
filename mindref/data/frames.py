"""Read a log from arrays or a table in memory, as from a file with the same rows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Unpack

import numpy as np
import numpy.typing as npt

from mindref.arguments import check_arguments, is_iterable
from mindref.data.assemble import (
    KeepKeywords,
    KeepOptions,
    KeepRowKeywords,
    RawLog,
    assemble_log,
)
from mindref.data.log import InteractionLog
from mindref.data.numbering import IdColumn, InteractionBlock
from mindref.data.quoting import join_names
from mindref.data.readers.advice import propose_columns, time_hints
from mindref.data.readers.interactions import id_text
from mindref.data.readers.usual_names import usual_columns
from mindref.data.side_info import SideInfo
from mindref.data.times import is_missing_value, times_as_seconds, unmasked_array
from mindref.errors import FOREIGN_ERRORS, DataError, say, value_text

INTEGER = re.compile("0|-?[1-9][0-9]{0,17}")  # as Python writes it, below 10^18
MISSING_ADVICE = "drop the rows without an id, as with dropna()"
Values = Mapping[Any, str | Sequence[str]]  # id -> its value or values of a feature
Array = npt.NDArray[np.generic]


class Table(Protocol):
    """A table with named columns: of pandas, polars or pyarrow, or a mapping."""

    def __getitem__(self, name: str, /) -> npt.ArrayLike:
        """Return a column."""


@check_arguments
def from_arrays(
    users: npt.ArrayLike,
    items: npt.ArrayLike,
    times: npt.ArrayLike | None = None,
    *,
    titles: Mapping[Any, str] | None = None,
    item_features: Mapping[str, Values] | None = None,
    user_features: Mapping[str, Values] | None = None,
    **keep: Unpack[KeepKeywords],
) -> InteractionLog:
    """Return the log of one-dimensional arrays of equal length, one interaction per row.

    Spec: data. Ids are integers or text. Times are seconds (any numbers) or datetime64 in UTC.
    `titles` and the features map external ids to text. The other keywords are the fields of
    `KeepOptions`; with `keep_unused_items`, the items are those of `titles` and `item_features`.
    Errors: DataError for different lengths, an id of another type, or a missing time.
    """
    user_ids, item_ids = encode_ids(users, "users"), encode_ids(items, "items")
    num_rows = len(user_ids.codes)
    seconds = np.zeros(num_rows) if times is None else times_as_seconds(times)
    if not num_rows == len(item_ids.codes) == len(seconds):
        got = f"{num_rows}, {len(item_ids.codes)} and {len(seconds)}"
        raise DataError(say("users, items and times", "equal lengths", got))
    reading = RawLog(
        [InteractionBlock(user_ids, item_ids, seconds)],
        times is not None,
        make_side_info(titles, item_features),
        make_side_info(None, user_features),
    )
    log = assemble_log(reading, KeepOptions(**keep))  # data-R24
    notes = {**log.notes, "lines": num_rows}
    return replace(
        log,
        notes=notes,
        hints=tuple(time_hints(log, "times in seconds")),
        integer_ids=integer_ids({"user": (users, log.user_ids), "item": (items, log.item_ids)}),
    )


def integer_ids(columns: Mapping[str, tuple[npt.ArrayLike, Sequence[str]]]) -> tuple[str, ...]:
    """Return the columns whose ids are integers of 64 bits: kind -> values and the ids of the log.

    An unused item (`keep_unused_items`) may have a text as its id.
    """
    kinds = []
    for kind, (values, ids) in columns.items():
        array = np.asarray(values)
        is_integer = array.dtype.kind in "iu" or all(isinstance(x, int) for x in array.tolist())
        if is_integer and all(INTEGER.fullmatch(name) for name in ids):  # data-R94
            kinds.append(kind)
    return tuple(kinds)


@check_arguments
def from_dataframe(
    frame: Table,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    *,
    title: str | None = None,
    item_features: Sequence[str] = (),
    user_features: Sequence[str] = (),
    **keep: Unpack[KeepRowKeywords],
) -> InteractionLog:
    """Return the log of a table with columns `frame[name]`: pandas, polars, pyarrow, a mapping.

    Spec: data. A row is an interaction, with the title and features of its item and user. Columns
    that are not named are found by their usual names, as in a file.
    Errors: DataError as `from_arrays`, or for a missing column.
    """
    user, item = require_column("user", frame, user), require_column("item", frame, item)
    time, title = find_column_name("time", frame, time), find_column_name("title", frame, title)
    users, items = column_array(frame, user), column_array(frame, item)

    def of(ids: Array, names: Iterable[str]) -> dict[str, Values]:
        return {name: group_values(ids, column_array(frame, name)) for name in names}

    texts = {} if title is None else group_values(items, column_array(frame, title))
    return from_arrays(
        users,
        items,
        None if time is None else column_array(frame, time),
        titles={name: next(iter(texts_of_id), "") for name, texts_of_id in texts.items()},
        item_features=of(items, item_features),
        user_features=of(users, user_features),
        **keep,
    )


def require_column(kind: str, frame: Table, name: str | None) -> str:
    """Return the name of a required column. Errors: DataError, also if there is none."""
    column = find_column_name(kind, frame, name)
    if column is None:
        names = column_names(frame)
        proposed = ", ".join(f"{k}={name!r}" for k, name in propose_columns(names).items())
        got, todo = join_names(names) or "no names", f"name the columns, such as {proposed}"
        raise DataError(say("table", f"a column of the {kind}", got, todo))  # data-R86
    return column


def find_column_name(kind: str, frame: Table, name: str | None) -> str | None:
    """Return `name`, or else the usual name in the table. Errors: DataError for several."""
    if name is not None:
        return name
    names = column_names(frame)
    columns = usual_columns(kind, names)  # data-R24
    if len(columns) > 1:
        got = join_names(names[column] for column in columns)
        raise DataError(say("table", f"one column of the {kind}", got, f"name one with {kind}="))
    return names[columns[0]] if columns else None


def column_names(frame: Table) -> list[str]:
    """Return the column names of a table that are text."""
    if isinstance(frame, type):
        raise DataError(say("table", "a table", f"the class {frame.__qualname__}"))
    names = getattr(frame, "column_names", None)  # pyarrow, where `columns` holds the arrays
    try:
        if not isinstance(names, list):
            names = list(frame if isinstance(frame, Mapping) else getattr(frame, "columns", ()))
    except FOREIGN_ERRORS as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError(say("table", "a table with names of columns", got)) from error
    return [name for name in names if isinstance(name, str)]


def column_array(frame: Table, name: str) -> Array:
    """Return a column as an array. Errors: DataError for a missing column."""
    try:
        column = frame[name]
        return column if np.ma.isMaskedArray(column) else np.asarray(column)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise missing_column_error(frame, name) from error
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # of the table's library, or of the user's own mapping
        if type(error).__name__ == "ColumnNotFoundError":  # of polars, which is not imported here
            raise missing_column_error(frame, name) from error
        got = f"{type(error).__name__}: {error}"
        raise DataError(
            say("table", f"a column {value_text(name, quoted=True)} that can be read", got)
        ) from error


def missing_column_error(frame: Table, name: str) -> DataError:
    """Return the error of a column that cannot be read, with all columns and the closest one."""
    names = column_names(frame)
    closest = difflib.get_close_matches(value_text(name), names, 1)
    todo = f"closest: {closest[0]}" if closest else ""
    expected = f"a column {value_text(name, quoted=True)}"
    return DataError(say("table", expected, join_names(names) or "no names", todo))


def group_values(ids: Array, values: Array) -> dict[object, list[str]]:
    """Return the distinct values of each id, in order, without missing values."""
    if values.shape != ids.shape:
        expected = f"a column of shape {ids.shape}, as the ids"
        raise DataError(say("table: title or feature", expected, f"shape {values.shape}"))
    groups: dict[object, dict[str, None]] = {}
    for key, value in zip(ids.tolist(), values.tolist(), strict=True):
        if not is_missing_value(value):
            groups.setdefault(key, {})[text_of_value(value)] = None
    return {key: list(group) for key, group in groups.items()}


def text_of_value(value: object) -> str:
    """Return a title or the value of a feature as text, as in a file. Or DataError."""
    try:
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    except FOREIGN_ERRORS as error:
        got = value_text(value, quoted=True)
        raise DataError(say("title or feature", "a value that has a text", got)) from error


def encode_ids(values: npt.ArrayLike, name: str) -> IdColumn:
    """Return ids as text and codes. Each distinct id is converted once (data-R1)."""
    array = unmasked_array(values, name)
    if array.ndim != 1:
        raise DataError(say(name, "one dimension", f"shape {array.shape}"))
    if array.dtype.kind in "mM":
        raise DataError(say(name, "text or integers", str(array.dtype)))
    if array.dtype.kind in "iu":
        numbers, codes = np.unique(array, return_inverse=True)
        return IdColumn([str(number) for number in numbers.tolist()], codes.astype(np.int64))
    if array.dtype.kind == "f" and len(array):  # a table turns integers with gaps into floats
        row = int(np.argmax(np.isnan(array)))  # of the first missing id, else 0
        got = repr(array[row].item())
        todo = "convert the column to integers, as with astype('int64')"
        if np.isnan(array[row]):
            got, todo = "a missing value", f"{MISSING_ADVICE}, then {todo}"
        raise DataError(say(f"{name}, row {row}", "text or an integer", got, todo))
    rows = array.tolist()
    if set(map(type, rows)) not in ({str}, {int}, {bytes}):  # equal keys may be different ids
        rows = check_ids(rows, name)
    code_of = {value: code for code, value in enumerate(dict.fromkeys(rows))}
    codes = np.fromiter(map(code_of.__getitem__, rows), np.int64, len(rows))
    try:
        return IdColumn([id_as_text(value, name) for value in code_of], codes)
    except DataError:  # the first invalid id is that of the first invalid row
        check_ids(rows, name)
        raise


def check_ids(rows: Iterable[object], name: str) -> list[str]:
    """Return the ids of rows as text. Errors: DataError with the row of an invalid id.

    A missing id is reported before any other.
    """
    rows = list(rows)
    for row, value in enumerate(rows):
        if is_missing_value(value):
            got = "a missing value"
            raise DataError(say(f"{name}, row {row}", "text or an integer", got, MISSING_ADVICE))
    return [id_as_text(value, f"{name}, row {row}") for row, value in enumerate(rows)]


def id_as_text(value: object, location: str) -> str:
    """Return an id as text."""
    try:
        text = id_text(value)
    except ValueError as error:
        got = value_text(value, quoted=True)
        raise DataError(say(location, "text or an integer", got)) from error
    if not text:
        raise DataError(say(location, "an id", "an empty text"))
    return text


def make_side_info(
    titles: Mapping[Any, str] | None, features: Mapping[str, Values] | None
) -> SideInfo:
    """Return the side information of titles and features in mappings."""
    side = SideInfo()
    for key, title in mapping_items("titles", titles or {}):
        side.add_title(
            id_as_text(key, "titles"), "" if is_missing_value(title) else text_of_value(title)
        )
    for name, values in mapping_items("features", features or {}):
        if not isinstance(name, str):
            got = value_text(name, quoted=True)
            raise DataError(say("features", "names of features as text", got))
        side.values.setdefault(name, {})
        for key, value in mapping_items(name, values):
            values_of_key = value if is_iterable(value) else [value]
            side.add_values(
                name,
                id_as_text(key, name),
                (text_of_value(x) for x in values_of_key if not is_missing_value(x)),
            )
    return side


def mapping_items(name: str, mapping: object) -> Iterable[tuple[object, Any]]:
    """Return the items of a mapping. Errors: DataError for another type."""
    if not isinstance(mapping, Mapping):
        raise DataError(say(name, "a mapping", type(mapping).__name__))
    return mapping.items()
