"""Layouts in memory: the same numbers, another memory. Writes beside an array are noticed."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.checks.layouts import REPEATED, assert_same_in_all_layouts
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.layouts import LAYOUTS, lay_out, memory_of
from mindref.conformance.runner.result import CheckFailed, CommonRuleFailed
from tests.conformance.runner.implementations import implementation, right

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
CALL = Call("squash", {"x": np.random.default_rng(5).standard_normal((3, 4))}, {"kind": "squash"})


def context_of(forward):
    return CheckContext(implementation(forward), Precision.of("float64"), 0, 1.0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("x", [X, X > 3, X.astype(np.int32), X[:0], X[0, 0, 0].reshape(())])
def test_a_layout_keeps_numbers_shape_and_dtype(layout, x):
    laid_out = lay_out(x, layout)
    assert (laid_out.shape, laid_out.dtype) == (x.shape, x.dtype)
    assert np.array_equal(laid_out, x)


def test_each_layout_differs_from_c_order():
    def strides(layout):
        return lay_out(X, layout).strides

    assert lay_out(X, "") is X
    assert strides("fortran") == np.array(X, order="F").strides
    assert strides("reversed") == tuple(-n for n in X.strides)
    assert strides("every second")[-1] == 2 * X.itemsize
    assert strides("inside")[0] > X.strides[0]
    assert strides("offset") == X.strides
    assert lay_out(X, "offset").base is not None
    equal = lay_out(np.ones((4, 3)), REPEATED)
    assert equal.strides[0] == 0
    assert not equal.flags.writeable
    assert lay_out(X, REPEATED) is X  # its rows differ


@pytest.mark.parametrize("layout", ["every second", "inside", "offset"])
def test_the_memory_of_a_view_has_unused_numbers_that_are_nan(layout):
    memory = memory_of(lay_out(X, layout))
    assert memory.size > X.size
    assert np.isnan(memory).sum() == memory.size - X.size


@pytest.mark.rules("numerics-R7")
def test_a_write_beside_the_numbers_of_a_view_is_a_changed_input():
    def forward(x, *, kind):
        out = right(x)
        if x.base is not None:
            x.base[...] = np.where(np.isnan(x.base), 0, x.base)
        return out

    with pytest.raises(CommonRuleFailed, match="the input x was written to"):
        context_of(forward).run(CALL, layout="inside")


@pytest.mark.rules("numerics-R14")
@pytest.mark.parametrize(
    "forward",
    [
        lambda x, *, kind: right(np.ravel(x, order="K").reshape(x.shape)),
        lambda x, *, kind: right(np.abs(x) if min(x.strides) < 0 else x),
        lambda x, *, kind: right(memory_of(x).reshape(-1)[: x.size].reshape(x.shape)),
    ],
    ids=["order of memory", "sign of the strides", "start of the memory"],
)
def test_a_result_that_depends_on_the_layout_fails(forward):
    with pytest.raises(CheckFailed):
        assert_same_in_all_layouts(context_of(forward), CALL)


@pytest.mark.rules("numerics-R14")
def test_the_evidence_of_a_failure_names_the_layout_of_each_call():
    def forward(x, *, kind):
        return right(x) if x.flags.c_contiguous else 2 * right(x)

    with pytest.raises(CheckFailed) as caught:
        assert_same_in_all_layouts(context_of(forward), CALL)
    assert caught.value.evidence.layouts == ((1, LAYOUTS[0]),)
