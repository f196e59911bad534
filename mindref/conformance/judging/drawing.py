"""What draws the structure of calls: Hypothesis, less one habit.

Of every twentieth number Hypothesis takes a constant out of the source of the modules that are
loaded and not installed. So the same seed would draw other calls for a backend in the current
folder than for the same one installed, and others again under pytest (conformance-R7). No setting
turns it off, and a provider of one's own would also lose what ends a search that has seen all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis.internal.conjecture.providers import HypothesisProvider

HABIT = "_maybe_draw_constant"


@contextmanager
def plainly() -> Iterator[None]:
    """Draw the same whatever else is loaded, as long as this lasts."""
    before = getattr(HypothesisProvider, HABIT, None)
    if before is None:  # another version, without the habit; the tests would tell
        yield
        return
    setattr(HypothesisProvider, HABIT, nothing)
    try:
        yield
    finally:
        setattr(HypothesisProvider, HABIT, before)


def nothing(*args: Any, **options: Any) -> None:
    """Draw no constant."""
