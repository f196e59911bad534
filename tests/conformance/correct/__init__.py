"""A correct implementation that computes in another order than the reference.

A conformance suite that fails it raises a false alarm. It is written from the pages and computes in
the dtype of its inputs, on whole arrays: padding and inactive interests are computed, then masked.
Every sum runs from its last term to its first, with one rounding per term; the algebra differs.
Each module checks its arguments with the messages of the reference, and uses no arithmetic of it.

The suite also runs with an implementation that computes only real behaviours and active interests
(the backend numba), with one of another author (tests/conformance/independent), and with gradients
of a framework (backends/torch and backends/jax, where they are installed).
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

from mindref.backend import OPERATORS
from mindref.conformance.runner.composed_backend import ComposedBackend
from mindref.models import mind
from mindref.training import optimiser

NAME = "reversed_order"


def correct_backend() -> ComposedBackend:
    """Return a backend of all levels, composed of the operators of this package."""
    stems = (*OPERATORS, "pooled_softmax")
    operators = {stem: checked_operator(stem) for stem in stems}
    return ComposedBackend(SimpleNamespace(**operators), mind, optimiser, name=NAME)


def checked_operator(stem: str) -> SimpleNamespace:
    """Return an operator that checks its arguments before it computes."""
    module = importlib.import_module(f"{__name__}.{stem}")

    def forward(*arrays: Any, **numbers: Any) -> Any:
        module.check_inputs(*arrays, **numbers)
        return module.forward(*arrays, **numbers)

    return SimpleNamespace(forward=forward, backward=module.backward)
