"""Times of logs as seconds since 1970 (UTC): texts of files, and arrays of numbers or dates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.data.log import Floats
from mindref.data.quoting import quote_text
from mindref.errors import FOREIGN_ERRORS, ConfigError, DataError, say, value_text

TimeParser = Callable[[str], float]

EXAMPLE_TIME = datetime(2012, 4, 13, 1, 2, 3, tzinfo=UTC)

DAY_FIRST = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?$"
)

YEAR = re.compile(r"(?<!%)(?:%%)*%[YyGcDFx]")
"""A directive of strptime with a year."""

LEAP_YEAR = 1904
"""Year of dates without a year. Python 3.13 warns without one, and 29 February is no date."""

TIME_ADVICE = "convert them, as with pandas.to_datetime"
SECONDS = {
    "Y": 31_556_952, "M": 2_629_746, "W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1,
}  # fmt: skip
MICROSECONDS = {**{unit: 10**6 * n for unit, n in SECONDS.items()}, "ms": 1000, "us": 1}
"""Unit of datetime64 -> microseconds; times in these units may not fit int64."""
LARGEST_DATE = 6 * 10**18
"""Microseconds from 1970 that fit."""


def parse_seconds(text: str) -> float:
    """Return a number of seconds, which may be fractional or negative."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{quote_text(text)} is not finite")
    if "_" in text:  # data-R78; Python reads 2012_04_13, a date, as a number
        raise ValueError(f"{quote_text(text)} is not a number")
    return value


def parse_iso_date(text: str) -> float:
    """Return the seconds of a date: 2012-04-13, 2012-04-13 00:05:07 UTC or 2012-04-13T00:05Z."""
    return to_unix_seconds(datetime.fromisoformat(text.removesuffix(" UTC")))


def parse_day_first(text: str) -> float:
    """Return the seconds of a date such as 13/4/2012 or 13.4.2012 0:05."""
    match = DAY_FIRST.match(text)
    if match is None:
        raise ValueError(f"{quote_text(text)} is not day/month/year hour:minute")
    day, month, year, hour, minute, second = (int(part or 0) for part in match.groups())
    return to_unix_seconds(datetime(year, month, day, hour, minute, second))


def parse_seconds_or_date(text: str) -> float:
    """Return the seconds of a number of seconds or of an ISO date."""
    with suppress(ValueError):
        return parse_seconds(text)
    try:
        return parse_iso_date(text)
    except ValueError:
        todo = "see --time-format day-first or a pattern such as %d/%m/%Y"
        raise ValueError(
            f"{quote_text(text)} is not a time (seconds or an ISO date); {todo}"
        ) from None


TIME_PARSERS: dict[str, TimeParser] = {
    "auto": parse_seconds_or_date,
    "seconds": parse_seconds,
    "ms": lambda text: parse_seconds(text) / 1000,
    "iso": parse_iso_date,
    "day-first": parse_day_first,
}

SECOND_UNITS = {"auto": 1.0, "seconds": 1.0, "ms": 1000.0}
"""Time formats of numbers -> units in a second."""


def time_parser(time_format: str) -> TimeParser:
    """Return the parser of a time format: a name of `TIME_PARSERS` or a pattern like `%d.%m.%y`.

    Spec: data. A parser maps text to seconds and raises ValueError for text of another format.
    Errors: ConfigError for an unknown format.
    """
    if isinstance(time_format, str) and time_format in TIME_PARSERS:
        return TIME_PARSERS[time_format]
    if not (isinstance(time_format, str) and "%" in time_format):
        expected = f"{', '.join(TIME_PARSERS)} or a pattern such as %d.%m.%y"
        raise ConfigError(say("time_format", expected, value_text(time_format, quoted=True)))
    prefix = "" if YEAR.search(time_format) else f"{LEAP_YEAR} "  # data-R18
    pattern = f"%Y {time_format}" if prefix else time_format
    try:  # data-R78
        datetime.strptime(prefix + EXAMPLE_TIME.strftime(time_format), pattern)
    except (ValueError, re.error) as error:
        got = f"{time_format!r}: {error}"
        raise ConfigError(say("time_format", "a pattern of dates", got)) from error
    return lambda text: to_unix_seconds(datetime.strptime(prefix + text, pattern))


def to_unix_seconds(date: datetime) -> float:
    """Return the seconds since 1970 of a date. A date without a time zone is in UTC."""
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)  # data-R18
    return date.timestamp()


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


def date_as_seconds(value: object) -> float:
    """Return the seconds of a date, NaN for a missing date."""
    if is_missing_value(value):
        return float("nan")
    if isinstance(value, datetime):
        return to_unix_seconds(value)
    if isinstance(value, date):
        return to_unix_seconds(datetime(value.year, value.month, value.day))
    raise DataError(say("times", "numbers or dates", value_text(value, quoted=True), TIME_ADVICE))


def is_missing_value(value: object) -> bool:
    """Return whether a value is None, NaN, or a missing value of pandas (NaT, NA)."""
    if value is None or type(value).__name__ == "NAType":  # comparing NA has no truth value
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float | datetime) and value != value  # NaT is a datetime


def unmasked_array(values: npt.ArrayLike, name: str) -> npt.NDArray[np.generic]:
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
