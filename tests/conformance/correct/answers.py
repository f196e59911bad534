"""The answer of an operator to a call: the result, routing's couplings, and every gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref import backend
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from tests.conformance.correct.draws import Drawn


def load(name: str) -> Any:
    """Return a backend of this package, found like an installed backend."""
    return backend.load_backend(f"tests.conformance.correct:{name}")


def answer(namespace: Any, stem: str, call: Drawn, seed: int = 0) -> list[Array]:
    """Return the result, routing's couplings, and every gradient for a cotangent from the seed."""
    operator = getattr(namespace, stem)
    out, saved = operator.forward(*call.arrays, **call.numbers)
    gradients = operator.backward(cotangent(out, seed), saved)
    if isinstance(gradients, RowGradient):
        gradients = (gradients.rows, gradients.values)
    if not isinstance(gradients, tuple):
        gradients = (gradients,)
    return [np.asarray(out), *([saved.couplings] if stem == "routing" else []), *gradients]


def cotangent(out: Array, seed: int) -> Array:
    """Return a cotangent for this result; the same numbers in either dtype, up to rounding."""
    return np.random.default_rng(seed).standard_normal(np.shape(out)).astype(out.dtype)


def assert_same(found: Array, wanted: Array, dtype: str, reach: float = 1) -> None:
    """Raise unless both are the same but for the order of sums.

    They may differ by a share of the largest entry, or by what terms of the size `reach` leave
    where they cancel.
    """
    assert found.shape == wanted.shape
    assert found.dtype == (dtype if wanted.dtype.kind == "f" else np.int64)
    largest = np.max(np.abs(wanted), initial=0, where=np.isfinite(wanted))
    ones = float(np.finfo(dtype).eps / np.finfo(np.float64).eps)  # VANISHING is for float64
    atol = same_math(dtype) * float(largest) + VANISHING * ones * reach
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)
