"""The PyTorch implementation agrees with the reference; skipped where torch is not installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref import ops
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from tests.conformance.correct import draws, extremes
from tests.conformance.correct.answers import assert_same, cotangent
from tests.conformance.correct.draws import Drawn

pytest.importorskip("torch")
from tests.conformance.correct.automatic import Automatic

AUTOMATIC = Automatic()
TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def answer(stem: str, call: Drawn, seed: int = 0) -> list[Array]:
    out, saved = getattr(AUTOMATIC.ops, stem).forward(*call.arrays, **call.numbers)
    gradients = AUTOMATIC.differentiate(stem, call.arrays, call.numbers, cotangent(out, seed))
    return [out, *([saved.couplings] if stem == "routing" else []), *gradients]


def reference(stem: str, call: Drawn, seed: int = 0) -> list[Array]:
    """Return what the reference answers, the gradient of a table dense."""
    out, saved = ops.OPS[stem].forward(*call.arrays, **call.numbers)
    found: Any = ops.OPS[stem].backward(cotangent(out, seed), saved)
    if isinstance(found, RowGradient):
        found = found.dense(len(call.arrays[0]))
    gradients = found if isinstance(found, tuple) else (found,)
    return [np.asarray(out), *([saved.couplings] if stem == "routing" else []), *gradients]


def compare(stem: str, call: Drawn, like: Drawn, dtype: str, seed: int = 0) -> None:
    """Raise unless PyTorch's answer to the call is the reference's to the other."""
    pairs = zip(answer(stem, call, seed), reference(stem, like, seed), strict=True)
    for found, wanted in pairs:
        nothing = np.zeros(wanted.shape, dtype)
        assert_same(nothing if found is None else found, wanted, dtype, call.reach())


@pytest.mark.parametrize("stem", draws.CALLS)
@TYPES
@given(data=st.data(), seed=st.integers(0, 99))
def test_results_and_gradients_are_those_of_the_reference(
    stem: str, dtype: str, data: st.DataObject, seed: int
) -> None:
    call = data.draw(draws.CALLS[stem]).to(dtype)
    compare(stem, call, call.to("float64"), dtype, seed)


@pytest.mark.parametrize("what", extremes.CALLS)
@TYPES
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the reference meets infinities on purpose
def test_at_the_edge_of_the_floats_it_is_the_reference(dtype: str, what: str) -> None:
    stem, call = extremes.CALLS[what]
    compare(stem, call.to(dtype), call.to(dtype), dtype)


def test_a_hit_that_is_nan_makes_the_loss_nan() -> None:
    loss, _ = AUTOMATIC.ops.sampled_softmax.forward(*extremes.LOST_HIT.arrays)
    assert np.isnan(loss)
