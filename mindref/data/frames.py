"""Arrays and tables in memory -> the log that a file of the same rows would give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.data.assemble import Event, Reading, assemble
from mindref.data.identifier import identifier
from mindref.data.log import Floats, InteractionLog
from mindref.data.readers.columns import usual
from mindref.data.shown import listed
from mindref.data.side import Side
from mindref.data.times import seconds_of
from mindref.errors import DataError, say

TODO = "convert them, as with pandas.to_datetime"
Values = Mapping[Any, str | Sequence[str]]  # id -> its value or values of a feature


def from_arrays(
    users: npt.ArrayLike,
    items: npt.ArrayLike,
    times: npt.ArrayLike | None = None,
    *,
    titles: Mapping[Any, str] | None = None,
    item_features: Mapping[str, Values] | None = None,
    user_features: Mapping[str, Values] | None = None,
    keep_duplicates: bool = False,
) -> InteractionLog:
    """Make a log of one-dimensional arrays of equal length, a row an event.

    Spec: data. Ids are integers or text; times are seconds (any numbers) or datetime64, UTC.
    `titles` and the features map external ids to text.
    Errors: DataError for lengths that differ, an id that is neither, or a time that is missing.
    """
    user_ids, item_ids = as_ids(users, "users"), as_ids(items, "items")
    moments = np.zeros(len(user_ids)) if times is None else as_seconds(times)
    if not len(user_ids) == len(item_ids) == len(moments):
        got = f"{len(user_ids)}, {len(item_ids)} and {len(moments)}"
        raise DataError(say("users, items and times", "equal lengths", got))
    events: Iterator[Event] = zip(user_ids, item_ids, moments.tolist(), strict=True)
    reading = Reading(
        events, times is not None, as_side(titles, item_features), as_side(None, user_features)
    )
    log = assemble(reading, keep_duplicates)  # data-R24
    return replace(log, notes={**log.notes, "lines": len(user_ids)})


def from_dataframe(
    frame: Any,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    *,
    title: str | None = None,
    item_features: Sequence[str] = (),
    user_features: Sequence[str] = (),
    keep_duplicates: bool = False,
) -> InteractionLog:
    """Make a log of anything with columns `frame[name]`: pandas, polars, pyarrow, a mapping.

    Spec: data. A row is an event; its title and features are those of its item and user. User,
    item, time and title that are not named are the columns of their usual names, as in a file.
    Errors: DataError as `from_arrays`, or for a column that is not there.
    """
    user, item = needed("user", frame, user), needed("item", frame, item)
    time, title = named("time", frame, time), named("title", frame, title)
    users, items = column(frame, user), column(frame, item)

    def of(ids: npt.NDArray[Any], names: Iterable[str]) -> dict[str, Values]:
        return {name: grouped(ids, column(frame, name)) for name in names}

    texts = {} if title is None else grouped(items, column(frame, title))
    return from_arrays(
        users,
        items,
        None if time is None else column(frame, time),
        titles={name: next(iter(found), "") for name, found in texts.items()},
        item_features=of(items, item_features),
        user_features=of(users, user_features),
        keep_duplicates=keep_duplicates,
    )


def needed(kind: str, frame: Any, given: str | None) -> str:
    """Return the name of a column that must be there. Errors: DataError as `named`, or if none."""
    found = named(kind, frame, given)
    if found is None:
        got = listed(names_of(frame)) or "no names"
        raise DataError(say("table", f"a column of the {kind}", got, f"name it with {kind}="))
    return found


def named(kind: str, frame: Any, given: str | None) -> str | None:
    """Return the name that is given, else the usual one. Errors: DataError for several."""
    if given is not None:
        return given
    names = names_of(frame)
    places = usual(kind, names)  # data-R24
    if len(places) > 1:
        got = listed(names[place] for place in places)
        raise DataError(say("table", f"one column of the {kind}", got, f"name one with {kind}="))
    return names[places[0]] if places else None


def names_of(frame: Any) -> list[str]:
    """Return the names of the columns of any table, those that are text."""
    names = getattr(frame, "column_names", None)  # of pyarrow, whose columns are the arrays
    if not isinstance(names, list):
        names = list(frame) if isinstance(frame, Mapping) else list(getattr(frame, "columns", ()))
    return [name for name in names if isinstance(name, str)]


def column(frame: Any, name: str) -> npt.NDArray[Any]:
    """Return a column as an array. Errors: DataError where there is none of this name."""
    try:
        return np.asarray(frame[name])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise DataError(say("table", f"a column {name!r}", f"none ({error})")) from error
    except Exception as error:
        if type(error).__name__ != "ColumnNotFoundError":  # of polars, which is not imported here
            raise
        raise DataError(say("table", f"a column {name!r}", "none")) from error


def grouped(ids: npt.NDArray[Any], values: npt.NDArray[Any]) -> dict[Any, list[str]]:
    """Return the distinct values of each id, in order; missing ones are left out."""
    of: dict[Any, dict[str, None]] = {}
    for one, value in zip(ids.tolist(), values.tolist(), strict=True):
        if value is not None and value == value:  # NaN is the only value unlike itself
            of.setdefault(one, {})[str(value)] = None
    return {one: list(found) for one, found in of.items()}


def as_ids(values: npt.ArrayLike, name: str) -> list[str]:
    """Return ids as text."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(say(name, "one dimension", f"shape {array.shape}"))
    return [as_id(value, f"{name}, row {row}") for row, value in enumerate(array.tolist())]


def as_id(value: object, where: str) -> str:
    """Return an id as text."""
    try:
        text = identifier(value)
    except ValueError as error:
        raise DataError(say(where, "text or an integer", repr(value))) from error
    if not text:
        raise DataError(say(where, "an id", "an empty text"))
    return text


def as_seconds(times: npt.ArrayLike) -> Floats:
    """Return times as seconds since 1970."""
    array = np.asarray(times)
    if array.dtype == object:
        array = np.array([moment(value) for value in array.tolist()], np.float64)
    if array.dtype.kind == "M":
        micro = array.astype("datetime64[us]").astype(np.int64)
        seconds = np.where(np.isnat(array), np.nan, micro / 1e6)
    elif array.dtype.kind in "iuf":
        seconds = array.astype(np.float64)
    else:
        raise DataError(say("times", "numbers or dates", array.dtype, TODO))
    bad = np.flatnonzero(~np.isfinite(seconds))
    if len(bad):
        raise DataError(say(f"times, row {bad[0]}", "a finite time", array[bad[0]]))
    return seconds


def moment(value: Any) -> float:
    """Return the seconds of a date, NaN for a missing one (NaT is unlike itself)."""
    if isinstance(value, datetime) and value == value:
        return seconds_of(value)
    if value is None or value != value:
        return float("nan")
    raise DataError(say("times", "numbers or dates", repr(value), TODO))


def as_side(titles: Mapping[Any, str] | None, features: Mapping[str, Values] | None) -> Side:
    """Gather titles and features that come as mappings."""
    side = Side()
    for one, title in items_of("titles", titles or {}):
        side.title(as_id(one, "titles"), "" if title is None else str(title))
    for name, values in items_of("features", features or {}):
        side.values.setdefault(name, {})
        for one, value in items_of(name, values):
            several = (
                [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
            )
            side.add(name, as_id(one, name), (str(some) for some in several if some is not None))
    return side


def items_of(name: str, known: Any) -> Iterable[tuple[Any, Any]]:
    """Return keys and values of a mapping. Errors: DataError for anything else."""
    if not isinstance(known, Mapping):
        raise DataError(say(name, "a mapping", type(known).__name__))
    return known.items()
