"""Parse the time formats of logs into seconds since 1970 (UTC)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from mindref.data.quoting import quote_text
from mindref.errors import ConfigError, say, value_text

TimeParser = Callable[[str], float]

EXAMPLE_TIME = datetime(2012, 4, 13, 1, 2, 3, tzinfo=UTC)

DAY_FIRST = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?$"
)

YEAR = re.compile(r"(?<!%)(?:%%)*%[YyGcDFx]")
"""A directive of strptime with a year."""

LEAP_YEAR = 1904
"""Year of dates without a year. Python 3.13 warns without one, and 29 February is no date."""


def parse_seconds(text: str) -> float:
    """Return a number of seconds, which may be fractional or negative."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{quote_text(text)} is not finite")
    if "_" in text:  # data-R78; Python reads 2012_04_13, a date, as a number
        raise ValueError(f"{quote_text(text)} is not a number")
    return value


def parse_milliseconds(text: str) -> float:
    """Return the seconds of a number of milliseconds."""
    return parse_seconds(text) / 1000


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
    "ms": parse_milliseconds,
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
        forms = ", ".join(TIME_PARSERS)
        raise ConfigError(
            say(
                "time_format",
                f"{forms} or a pattern such as %d.%m.%y",
                value_text(time_format, quoted=True),
            )
        )
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
