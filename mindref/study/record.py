"""The recorder: copies what the functions of the package show it, in the order of the computation.

See mindref/record.py for the other side: what a function calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Event(NamedTuple):
    """What one call said: where, in which round or layer (0: in none), and the arrays."""

    name: str  # such as "routing.round": the part, then the event of the operator
    turn: int
    arrays: dict[str, Any]


class Recorder:
    """Keeps every event; its parts write into the same list."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.prefix, self.layer = "", 0

    def __call__(self, event: str, turn: int = 0, /, **arrays: Any) -> None:
        """Copy the arrays: the functions go on to change some of them in place."""
        copies = {name: copied(x) for name, x in arrays.items()}
        self.events.append(Event(self.prefix + event, turn or self.layer, copies))

    def part(self, name: str, turn: int = 0) -> Recorder:
        """Return the recorder of a part, whose events carry its name before theirs."""
        inner = Recorder()
        inner.events, inner.prefix, inner.layer = self.events, f"{self.prefix}{name}.", turn
        return inner


def copied(x: Any) -> Any:
    """Return a copy of an array, of every array of a tuple, or the thing itself."""
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*map(copied, x))
    return x if x is None or isinstance(x, (str, slice)) else np.array(x)
