"""A correct implementation that computes in another order than the reference.

A conformance suite that fails it raises a false alarm. It is written from the pages and computes in
the dtype of its inputs:

reversed_order   whole arrays; padding and inactive interests are computed, then masked; every sum
                 from its last term to its first, one rounding per term; other algebra

The suite also runs with an implementation that computes only real behaviours and active interests
(the backend numba), and with gradients of a framework (backends/torch and backends/jax, where they
are installed).
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

from mindref.backend import OPERATORS
from mindref.conformance.runner.composed_backend import ComposedBackend
from mindref.models import mind
from mindref.training import optimiser
from tests.conformance.correct import checks

NAMES = ("reversed_order",)


def composed_backend(name: str) -> ComposedBackend:
    """Return a backend of all levels, composed of the operators of one implementation."""
    operators = {stem: checked_operator(name, stem) for stem in OPERATORS}
    return ComposedBackend(SimpleNamespace(**operators), mind, optimiser, name=name)


def checked_operator(name: str, stem: str) -> SimpleNamespace:
    """Return an operator that checks its arguments before it computes."""
    module, check = importlib.import_module(f"{__name__}.{name}.{stem}"), getattr(checks, stem)

    def forward(*arrays: Any, **numbers: Any) -> Any:
        check(*arrays, **numbers)
        return module.forward(*arrays, **numbers)

    return SimpleNamespace(forward=forward, backward=module.backward)
