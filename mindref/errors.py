"""The errors a user can meet, as a tree.

    MindrefError            every error below; the command line shows it and exits with 2
    ├── ConfigError         an option or a setting outside its range
    ├── DataError           a log, an item file or a user file that cannot be used
    ├── RunError            a run directory that is missing, damaged or of another version
    ├── ShapeError          arrays that do not fit each other
    └── BackendError        a backend that is unknown, broken or lacks what was asked

Every message follows one grammar: *where*: *what was expected*, *what came*; *what to do*.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

MOST = 4000  # letters of a part of a message: what a file or an option holds may be longer
STRANGE = (Exception, SystemExit)
"""What a stranger's code may raise: leaving the program is no answer either."""


class MindrefError(Exception):
    """The root of every error that a user can cause and mend."""


class ConfigError(MindrefError, ValueError):
    """An option or a setting outside its range."""


class DataError(MindrefError, ValueError):
    """A log, an item file or a user file that cannot be used."""


class RunError(MindrefError):
    """A run directory that is missing, damaged or written by another version."""


class ShapeError(MindrefError, ValueError):
    """Arrays whose shapes or types do not fit each other."""


class BackendError(MindrefError):
    """A backend that is unknown, broken or lacks what was asked of it."""


def say(where: str, expected: str, got: object, todo: str = "") -> str:
    """Build a message in the project's grammar; what it quotes cannot speak to a terminal.

    >>> say("--top", "an integer from 1 to 1000", 0, "give a positive number")
    '--top: expected an integer from 1 to 1000, got 0; give a positive number'
    """
    wanted, found = visible(written(expected)), visible(written(got)) or "nothing"
    hint = f"; {visible(todo, keep=chr(10))}" if todo else ""
    return f"{visible(where)}: expected {wanted}, got {found}{hint}"


def visible(text: str, keep: str = "") -> str:
    """Return text with control characters escaped but those to keep, cut after `MOST` letters."""
    return printable(text if len(text) <= MOST else text[:MOST] + "...", keep)


def printable(text: str, keep: str = "") -> str:
    """Return text with control characters, which a terminal would obey, escaped (security-R12)."""
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() or x in keep else repr(x)[1:-1] for x in text)


def written(value: object, quoted: bool = False) -> str:
    """Return a value as text, which a number of thousands of digits does not have in Python."""
    try:
        return repr(value) if quoted else str(value)
    except (ValueError, RecursionError):
        return f"{type(value).__name__} that is too large to be shown"


@contextmanager
def told_of(whose: str) -> Iterator[None]:
    """Say of an error of settings or of a backend whose it is, where there are several.

    >>> with told_of("model a"):
    ...     raise ConfigError(say("window", "1 to 10", 11))
    Traceback (most recent call last):
    mindref.errors.ConfigError: model a: window: expected 1 to 10, got 11
    """
    try:
        yield
    except (ConfigError, BackendError) as error:
        raise type(error)(f"{whose}: {error}") from error
