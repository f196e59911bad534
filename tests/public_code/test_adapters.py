"""The adapter of torch-rechub matches the reference where the layers of the package are correct.

It runs where torch-rechub 0.9.0 is installed (pip install torch torch-rechub==0.9.0).
"""

import numpy as np
import pytest

from mindref.conformance.tolerances import SAME_MATH
from tests.public_code.test_bugs import distance, make_arguments, reference_results

EPSILON = 1e-8  # effect of 1e-9 under the root of squash on capsules of length about one
FULL = {"mask": np.ones((3, 6), bool)}

pytestmark = [
    pytest.mark.needs("torch", "torch_rechub"),
    pytest.mark.filterwarnings("ignore"),  # of the package
]


def compute_results(stem, arguments):
    """Return result and gradients of the adapter; a gradient of None becomes zeros."""
    from tests.public_code.rechub_backend import Backend

    arrays, numbers = arguments
    backend = Backend()
    out, _ = getattr(backend.ops, stem).forward(*arrays, **numbers)
    d_out = np.cos(np.arange(out.size)).reshape(out.shape)
    gradients = backend.differentiate(stem, arrays, numbers, d_out)
    pairs = zip(gradients, (x for x in arrays if x.dtype.kind == "f"), strict=True)
    return [out, *(np.zeros_like(x) if g is None else g for g, x in pairs)]


@pytest.mark.parametrize("gradient", ["last", "all"])
def test_routing_is_right_on_full_histories_for_three_iterations_over_behaviours(gradient):
    arguments = make_arguments("routing", **FULL, iterations=3, gradient=gradient)
    arguments[1]["axis"] = "behaviours"
    results = compute_results("routing", arguments)
    assert distance(results, reference_results("routing", arguments)) < EPSILON


@pytest.mark.parametrize("iterations", [1, 2])
def test_routing_has_no_gradient_before_the_third_iteration(iterations):
    arguments = make_arguments("routing", **FULL, iterations=iterations, gradient="last")
    assert not any(x.any() for x in compute_results("routing", arguments)[1:])


def test_the_readout_is_right_for_an_infinite_power():
    arguments = make_arguments("label_attention", power=np.inf)
    results = compute_results("label_attention", arguments)
    reference = reference_results("label_attention", arguments)
    assert distance(results, reference) < SAME_MATH[np.dtype(float)]
