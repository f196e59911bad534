"""Draw calls with Hypothesis, without its constants from the source of loaded modules.

Hypothesis takes every twentieth number from constants in the source of modules that are loaded and
not installed. The same seed would then draw other calls for a backend in the current folder than
for an installed one, and others under pytest (conformance-R7). Hypothesis has no setting for this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis.internal.conjecture.providers import HypothesisProvider

CONSTANT_METHOD = "_maybe_draw_constant"


@contextmanager
def without_source_constants() -> Iterator[None]:
    """Draw the same calls whatever modules are loaded, within the `with` block."""
    before = getattr(HypothesisProvider, CONSTANT_METHOD, None)
    if before is None:  # a version of Hypothesis without these constants
        yield
        return
    setattr(HypothesisProvider, CONSTANT_METHOD, draw_no_constant)
    try:
        yield
    finally:
        setattr(HypothesisProvider, CONSTANT_METHOD, before)


def draw_no_constant(*args: Any, **options: Any) -> None:
    """Return None: draw no constant. Replaces Hypothesis's method that may draw one."""
