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
    """Build a message in the project's grammar.

    >>> say("--top", "an integer from 1 to 1000", 0, "give a positive number")
    '--top: expected an integer from 1 to 1000, got 0; give a positive number'
    """
    return f"{where}: expected {expected}, got {got}" + (f"; {todo}" if todo else "")
