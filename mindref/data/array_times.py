"""Times in arrays and tables as seconds since 1970 (UTC), and arrays without masked values."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.data.log import Floats
from mindref.data.times import to_unix_seconds
from mindref.errors import FOREIGN_ERRORS, DataError, say, value_text

TIME_ADVICE = "convert them, as with pandas.to_datetime"
SECONDS = {
    "Y": 31_556_952, "M": 2_629_746, "W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1,
}  # fmt: skip
MICROSECONDS = {**{unit: 10**6 * n for unit, n in SECONDS.items()}, "ms": 1000, "us": 1}
"""Unit of datetime64 -> microseconds; times in these units may not fit int64."""
LARGEST_DATE = 6 * 10**18
"""Microseconds from 1970 that fit."""


def times_as_seconds(times: npt.ArrayLike) -> Floats:
    """Return times as seconds since 1970."""
    array = unmasked_array(times, "times")
    if array.ndim != 1:
        raise DataError(say("times", "one dimension", f"shape {array.shape}"))
    if array.dtype == object:
        array = np.array([date_as_seconds(value) for value in array.tolist()], np.float64)
    if array.dtype.kind == "M":
        seconds = datetimes_as_seconds(array)
    elif array.dtype.kind in "iuf":
        seconds = array.astype(np.float64)
    else:
        raise DataError(say("times", "numbers or dates", array.dtype, TIME_ADVICE))
    bad = np.flatnonzero(~np.isfinite(seconds))
    if len(bad):
        raise DataError(say(f"times, row {bad[0]}", "a finite time", array[bad[0]]))
    return seconds


def datetimes_as_seconds(array: npt.NDArray[Any]) -> Floats:
    """Return datetime64 of any unit as seconds, NaN for NaT. Errors: DataError beyond its range."""
    unit, count = np.datetime_data(array.dtype)
    if unit in MICROSECONDS:
        limit = LARGEST_DATE // (MICROSECONDS[unit] * count)
        numbers = array.astype(np.int64)
        beyond = np.flatnonzero((np.abs(numbers) > limit) & ~np.isnat(array))
        if len(beyond):  # NumPy would wrap around
            row = beyond[0]
            raise DataError(say(f"times, row {row}", "a date within 200,000 years", array[row]))
    micro = array.astype("datetime64[us]").astype(np.int64)
    return np.where(np.isnat(array), np.nan, micro / 1e6)


def date_as_seconds(value: Any) -> float:
    """Return the seconds of a date, NaN for a missing date (NaT != NaT)."""
    if isinstance(value, datetime) and value == value:
        return to_unix_seconds(value)
    if isinstance(value, date) and value == value:
        return to_unix_seconds(datetime(value.year, value.month, value.day))
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return float("nan")
    if isinstance(value, float) and value != value:
        return float("nan")
    raise DataError(say("times", "numbers or dates", value_text(value, quoted=True), TIME_ADVICE))


def unmasked_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return values as an array. Errors: DataError for a masked value, which is a missing one."""
    try:
        array = np.asarray(values)
    except FOREIGN_ERRORS as error:  # rows of different lengths, or a type that NumPy does not have
        got = f"{type(error).__name__}: {error}"
        raise DataError(say(name, "an array of one dimension", got)) from error
    mask = np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None
    if mask is not None and mask.any():
        row, todo = int(np.argmax(mask)), "drop the masked rows, as with numpy.ma.compressed"
        raise DataError(say(f"{name}, row {row}", "a value", "a masked value", todo))
    return array
