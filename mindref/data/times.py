"""Times as written -> seconds since 1970 (UTC)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from mindref.data.shown import shown
from mindref.errors import ConfigError, say

Clock = Callable[[str], float]

SOME_DAY = datetime(2012, 4, 13, 1, 2, 3, tzinfo=UTC)

DAY_FIRST = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?$"
)


def seconds(text: str) -> float:
    """Read a number of seconds, which may have a fraction and may be negative."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is not finite")
    if "_" in text:  # data-R78; Python reads 2012_04_13, a date, as a number
        raise ValueError(f"{shown(text)} is no number")
    return value


def milliseconds(text: str) -> float:
    """Read a number of milliseconds."""
    return seconds(text) / 1000


def iso(text: str) -> float:
    """Read a date such as 2012-04-13, 2012-04-13 00:05:07 or 2012-04-13T00:05Z."""
    return seconds_of(datetime.fromisoformat(text))


def day_first(text: str) -> float:
    """Read a date such as 13/4/2012 or 13.4.2012 0:05."""
    match = DAY_FIRST.match(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not day/month/year hour:minute")
    day, month, year, hour, minute, second = (int(part or 0) for part in match.groups())
    return seconds_of(datetime(year, month, day, hour, minute, second))


def either(text: str) -> float:
    """Read a number of seconds or an ISO date."""
    try:
        return seconds(text)
    except ValueError:
        pass
    try:
        return iso(text)
    except ValueError:
        todo = "see --time-format day-first or a pattern such as %d/%m/%Y"
        raise ValueError(f"{shown(text)} is no time (seconds or an ISO date); {todo}") from None


CLOCKS: dict[str, Clock] = {
    "auto": either,
    "seconds": seconds,
    "ms": milliseconds,
    "iso": iso,
    "day-first": day_first,
}


def clock(form: str) -> Clock:
    """Return the reader of a form of time: a name of `CLOCKS`, or a pattern such as `%d.%m.%y`.

    Spec: data. It maps text to seconds and raises ValueError for text of another form.
    Errors: ConfigError for an unknown form.
    """
    if isinstance(form, str) and form in CLOCKS:
        return CLOCKS[form]
    if not (isinstance(form, str) and "%" in form):
        forms = ", ".join(CLOCKS)
        raise ConfigError(say("time_format", f"{forms} or a pattern such as %d.%m.%y", repr(form)))
    try:  # data-R78
        datetime.strptime(SOME_DAY.strftime(form), form)
    except (ValueError, re.error) as error:
        got = f"{form!r}: {error}"
        raise ConfigError(say("time_format", "a pattern of dates", got)) from error
    return lambda text: seconds_of(datetime.strptime(text, form))


def seconds_of(moment: datetime) -> float:
    """Return seconds since 1970; a date without a zone is UTC, not the zone of this machine."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # data-R18
    return moment.timestamp()
