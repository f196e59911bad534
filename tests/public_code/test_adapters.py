"""The adapter of torch-rechub matches the reference where the layers of the package are correct.

It runs where torch-rechub 0.9.0 is installed (pip install torch torch-rechub==0.9.0).
"""

import numpy as np
import pytest

from mindref import ops

EPSILON = 1e-8  # effect of 1e-9 under the root of squash on capsules of length about one
ACTIVE = np.arange(4) < np.array([[2], [3], [4]])

pytestmark = [
    pytest.mark.needs("torch", "torch_rechub"),
    pytest.mark.filterwarnings("ignore"),  # of the package
]


@pytest.fixture
def adapter():
    from tests.public_code.rechub_backend import Backend

    return Backend()


def full_histories():
    """Return the arrays of a call of routing without padding."""
    rng = np.random.default_rng(4)
    history, bilinear = rng.standard_normal((3, 6, 5)), rng.standard_normal((5, 5)) / np.sqrt(5)
    return [history, np.ones((3, 6), bool), bilinear, rng.standard_normal((3, 6, 4)), ACTIVE]


@pytest.mark.parametrize("gradient", ["last", "all"])
def test_routing_is_right_on_full_histories_for_three_iterations_over_behaviours(adapter, gradient):
    arrays = full_histories()
    numbers = {"iterations": 3, "gradient": gradient, "axis": "behaviours"}
    capsules, saved = ops.routing.forward(*arrays, **numbers)
    out, _ = adapter.ops.routing.forward(*arrays, **numbers)
    np.testing.assert_allclose(out, capsules, atol=EPSILON)
    d_out = np.random.default_rng(5).standard_normal(capsules.shape)
    gradients = adapter.differentiate("routing", arrays, numbers, d_out)
    for d_x, expected in zip(gradients, ops.routing.backward(d_out, saved)[:3], strict=True):
        np.testing.assert_allclose(0 if d_x is None else d_x, expected, atol=EPSILON)


@pytest.mark.parametrize("iterations", [1, 2])
def test_routing_has_no_gradient_before_the_third_iteration(adapter, iterations):
    arrays, numbers = full_histories(), {"iterations": iterations, "gradient": "last"}
    assert adapter.differentiate("routing", arrays, numbers, np.ones((3, 4, 5))) == (None,) * 3


def test_the_readout_is_right_for_an_infinite_power(adapter):
    rng = np.random.default_rng(4)
    arrays = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 5)), ACTIVE
    out, _ = adapter.ops.label_attention.forward(*arrays, power=np.inf)
    expected, _ = ops.label_attention.forward(*arrays, power=np.inf)
    np.testing.assert_allclose(out, expected)
