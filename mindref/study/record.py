"""The recorder, and copies of the reference that call it.

The reference records nothing. `instrument_reference` inserts the calls of probes.toml into copies
of its source; the anchors of the probes are functions and rule labels. A test compares each result
of a copy with the result of the reference, byte by byte.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.mutants import anchors, loader


class Event(NamedTuple):
    """One call of `record`: event, iteration or layer (0: neither), and arrays by name."""

    name: str  # such as "routing.iteration": the part, then the event of the operator
    number: int
    arrays: dict[str, Any]


class Recorder:
    """Copies arrays into a list of events; `enter` and `leave` name the part that runs."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.prefix, self.layer = "", 0

    def __call__(self, event: str, number: int = 0, /, **arrays: Any) -> None:
        """Append an event with copies: the reference changes some arrays in place."""
        copies = {name: copy_arrays(x) for name, x in arrays.items()}
        self.events.append(Event(self.prefix + event, number or self.layer, copies))

    def enter(self, part: str, layer: int = 0) -> None:
        """Prefix the names of the next events with a part, until `leave`; parts do not nest."""
        self.prefix, self.layer = f"{part}.", layer

    def leave(self) -> None:
        """End the part."""
        self.prefix, self.layer = "", 0


def copy_arrays(x: Any) -> Any:
    """Return a copy of an array, of every array of a tuple, or the object itself."""
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*map(copy_arrays, x))
    return x if x is None or isinstance(x, (str, slice)) else np.array(x)


@cache
def read_probes() -> tuple[anchors.Edit, ...]:
    """Return every edit of probes.toml."""
    text = resources.files("mindref.study").joinpath("probes.toml").read_text(encoding="utf-8")
    return anchors.read_edits(tomllib.loads(text))


class InstrumentedReference(NamedTuple):
    """Copies of the modules that train, and the recorder that they call."""

    modules: loader.BuiltModules
    recorder: Recorder


def instrument_reference(mutant: loader.Mutant | None = None) -> InstrumentedReference:
    """Return fresh copies of the reference, or of a mutant, that call a recorder.

    A probe within a statement that the mutant replaces is left out.
    """
    recorder = Recorder()
    built = loader.build_mutant(mutant, probes=read_probes(), names={"record": recorder})
    return InstrumentedReference(built, recorder)
