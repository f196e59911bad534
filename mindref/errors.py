"""Exceptions for errors that a user can cause, and the format of their messages.

    MindrefError            base class; the command line prints the message and exits with code 2
    ├── ConfigError         an option or a setting outside its range
    ├── DataError           a log, an item file or a user file that cannot be used
    ├── RunError            a run directory that is missing, damaged or from another version
    ├── ShapeError          arrays whose shapes or dtypes do not match
    └── BackendError        a backend that is unknown, broken or incomplete

Every message has the same parts: `where: expected ..., got ...; what to do`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

MAX_LENGTH = 4000  # characters of each part of a message; a file or an option may hold more
FOREIGN_ERRORS = (Exception, SystemExit)
"""What third-party code may raise. A `SystemExit` must not end the process either."""


class MindrefError(Exception):
    """Base class of every error that a user can cause and correct."""


class ConfigError(MindrefError, ValueError):
    """An option or a setting outside its range."""


class DataError(MindrefError, ValueError):
    """A log, an item file or a user file that cannot be used."""


class RunError(MindrefError):
    """A run directory that is missing, damaged or from another version."""


class ShapeError(MindrefError, ValueError):
    """Arrays whose shapes or dtypes do not match."""


class BackendError(MindrefError):
    """A backend that is unknown, broken or incomplete."""


def say(location: str, expected: str, got: object, todo: str = "") -> str:
    """Return an error message: where, expected, got, what to do. Quoted text is printable.

    >>> say("--top", "an integer from 1 to 1000", 0, "give a positive number")
    '--top: expected an integer from 1 to 1000, got 0; give a positive number'
    """
    expected_text = printable_excerpt(value_text(expected))
    got_text = printable_excerpt(value_text(got)) or "nothing"
    hint = f"; {printable_excerpt(todo, keep=chr(10))}" if todo else ""
    return f"{printable_excerpt(location)}: expected {expected_text}, got {got_text}{hint}"


def printable_excerpt(text: str, keep: str = "") -> str:
    """Return the first `MAX_LENGTH` characters of a text, made printable; `keep` is not escaped."""
    return printable(text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "...", keep)


def printable(text: str, keep: str = "") -> str:
    """Return a text with its control characters escaped, except `keep` (security-R12)."""
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() or x in keep else repr(x)[1:-1] for x in text)


def printable_json(text: str) -> str:
    """Return JSON with the control characters of its strings escaped; line ends are kept."""
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() or x == "\n" else json.dumps(x)[1:-1] for x in text)


def value_text(value: object, *, quoted: bool = False) -> str:
    """Return a value as text. Python cannot print an integer with thousands of digits."""
    try:
        return repr(value) if quoted else str(value)
    except Exception:  # too many digits, or an error of a foreign type
        return f"{type(value).__name__} that cannot be printed"


@contextmanager
def prefix_errors(owner: str) -> Iterator[None]:
    """Prefix errors of settings and backends with their owner, if there are several owners.

    >>> with prefix_errors("model a"):
    ...     raise ConfigError(say("window", "1 to 10", 11))
    Traceback (most recent call last):
    mindref.errors.ConfigError: model a: window: expected 1 to 10, got 11
    """
    try:
        yield
    except (ConfigError, BackendError) as error:
        raise type(error)(f"{owner}: {error}") from error
