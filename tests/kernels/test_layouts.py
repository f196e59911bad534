"""The numba backend computes the same from every layout, and compiles no function again."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.checks.layouts import INTEGERS, WITH_INTEGERS, with_integers
from mindref.conformance.draws.operators import CALLS
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.drawn_calls import cached_calls
from mindref.conformance.runner.layouts import LAYOUTS
from mindref.kernels import (
    embedding,
    label_attention,
    relu_layer,
    routing_backward,
    routing_forward,
    sampled_softmax,
)
from mindref.kernels.contiguous import contiguous_arrays
from mindref.ops import OPS
from tests.kernels.cases import TYPES, numba_implementation

FUNCTIONS = (
    embedding.sum_weighted_rows,
    embedding.scatter_add_rows,
    label_attention.attend_batch,
    label_attention.attend_batch_backward,
    relu_layer.relu_inplace,
    relu_layer.relu_inplace_backward,
    routing_backward.route_users_backward,
    routing_forward.route_users,
    sampled_softmax.cross_entropy,
)


def compiled():
    """Return the number of compiled versions of each function; 0 if Numba is disabled."""
    return [len(getattr(function, "signatures", ())) for function in FUNCTIONS]


def context_of(call):
    return CheckContext(numba_implementation(), Precision.of(call.dtype.name), 0, 1.0)


@TYPES
@pytest.mark.rules("numerics-R14")
@pytest.mark.parametrize("stem", OPS)
def test_every_layout_agrees_with_the_reference_without_compilation(stem, dtype):
    (call,) = cached_calls(CALLS[stem], 1, 0)
    context = context_of(call.to(dtype))
    context.assert_agrees(call.to(dtype))
    before = compiled()
    for layout in LAYOUTS:
        context.assert_matches(context.run(call.to(dtype), layout=layout))
    assert compiled() == before


@TYPES
@pytest.mark.rules("numerics-R15")
@pytest.mark.parametrize("stem", WITH_INTEGERS)
def test_every_integer_type_gives_the_same_bytes_without_compilation(stem, dtype):
    (call,) = cached_calls(CALLS[stem], 1, 0)
    context = context_of(call.to(dtype))
    first, before = context.run(call.to(dtype)), compiled()
    for name in INTEGERS:
        context.assert_equal(context.run(with_integers(call.to(dtype), name)), first)
    assert compiled() == before


def test_contiguous_arrays_are_not_copied():
    x, y = np.ones((2, 3)), np.arange(3)
    same = contiguous_arrays((x, (y, None)))
    assert same[0] is x
    assert same[1][0] is y
    (transposed,) = contiguous_arrays((x.T,))
    assert transposed.flags.c_contiguous
    assert contiguous_arrays(y.astype(np.uint8)).dtype == np.int64
