"""Each correct implementation agrees with the reference on drawn calls of every operator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref import backend, ops
from tests.conformance.correct import ALL, draws
from tests.conformance.correct.answers import answer, assert_same, load

# OpenBLAS' float32 product of a matrix by a vector of five reads the stack in lanes that it drops
# afterwards. If those bytes look like a signalling NaN, NumPy says so of a finite result.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in dot:RuntimeWarning")

EACH = pytest.mark.parametrize("name", [kind.__name__ for kind in ALL])
STEMS = pytest.mark.parametrize("stem", draws.CALLS)
TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@EACH
@STEMS
@TYPES
@given(data=st.data(), seed=st.integers(0, 99))
@pytest.mark.slow(every=3)
def test_results_and_gradients_are_those_of_the_reference(
    name: str, stem: str, dtype: str, data: st.DataObject, seed: int
) -> None:
    call = data.draw(draws.CALLS[stem]).to(dtype)
    expected = answer(ops, stem, call.to("float64"), seed)
    for found, wanted in zip(answer(load(name).ops, stem, call, seed), expected, strict=True):
        assert_same(found, wanted, dtype, call.reach())


@EACH
@STEMS
@given(data=st.data())
@pytest.mark.slow(every=3)
def test_the_same_call_gives_the_same_bytes_in_memory_of_its_own(
    name: str, stem: str, data: st.DataObject
) -> None:
    call = data.draw(draws.CALLS[stem]).to("float32")
    first, second = (answer(load(name).ops, stem, call) for _ in range(2))
    assert [x.tobytes() for x in first] == [x.tobytes() for x in second]
    for x in first:
        assert not any(np.shares_memory(x, given) for given in call.arrays)


@EACH
def test_it_claims_every_operator_and_has_it(name: str) -> None:
    found = load(name)
    assert found.capabilities().operators == backend.OPERATORS
    assert found.name == found.ops.__name__.rpartition(".")[2]
    assert all(hasattr(getattr(found.ops, stem), "backward") for stem in backend.OPERATORS)
