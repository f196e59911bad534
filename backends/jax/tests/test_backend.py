"""Tests beyond the conformance suite: imports, dtypes, devices, conversions."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from tests.backends.framework_interface import FrameworkInterface
from tests.backends.runs import Runs
from tests.backends.training import Training

from mindref.errors import BackendError, ShapeError
from mindref.ops.squash import KINDS
from mindref_jax import devices
from mindref_jax.arrays import COMPILED
from mindref_jax.backend import JaxBackend
from mindref_jax.squash import squash

AXIS = "interests"  # the default of routing


class TestFrameworkInterface(FrameworkInterface):
    name, backend = "jax", JaxBackend


class TestRuns(Runs):
    name = "jax"


class TestTraining(Training):
    name = "jax"


@pytest.mark.rules("numerics-R2")
def test_64_bit_dtypes_are_enabled_only_inside_the_backend() -> None:
    x = np.array([[1.0, 1e-9]])
    out, _ = JaxBackend().ops.squash.forward(x, kind="none")
    assert out.tobytes() == x.tobytes()
    assert not jax.config.jax_enable_x64
    assert jax.numpy.ones(1, float).dtype == np.float32


@pytest.mark.rules("numerics-R1")
def test_float64_is_an_error_if_jax_would_round_it() -> None:
    x = np.array([[3.0, 4.0]])
    with pytest.raises(ShapeError, match="enable_x64"):
        squash(x, kind="squash")
    with jax.enable_x64(True):
        assert squash(x, kind="squash").dtype == np.float64


@pytest.mark.rules("sampled_softmax-R3")
def test_ids_are_compared_in_64_bits() -> None:
    one, apart = np.array([7]), np.array([7 + 2**32])
    x, log = np.ones((1, 2), np.float32), np.zeros(1, np.float32)
    hit, other = (
        JaxBackend().ops.sampled_softmax.forward(x, x, x, one, ids, log, log)[0]
        for ids in (one, apart)
    )
    assert hit == 0
    assert other == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.rules("numerics-R15")
def test_one_program_serves_all_integer_types() -> None:
    x, log = np.ones((3, 5)), np.zeros(3)
    program, sizes = COMPILED["sampled_softmax"], set()
    for dtype in ("int64", "int8", "uint32", ">i4", "int64"):
        ids = np.arange(3).astype(dtype)
        JaxBackend().ops.sampled_softmax.forward(x, x, x, ids, np.arange(3), log, log)
        sizes.add(program._cache_size())
    assert len(sizes) == 1


def test_numbers_that_give_the_same_result_share_a_program() -> None:
    x, mask, logits = np.ones((1, 2, 3)), np.ones((1, 2), bool), np.zeros((1, 2, 4))
    arrays, active = (x, mask, np.eye(3), logits), np.ones((1, 4), bool)
    sizes = set()
    for numbers in ({"gradient": "all"}, {"gradient": "last"}, {"gradient": "all", "axis": AXIS}):
        JaxBackend().ops.routing.forward(*arrays, active, iterations=2, **numbers)
        sizes.add(COMPILED["routing"]._cache_size())
    assert len(sizes) == 1


@pytest.mark.rules("squash-R3", "squash-R4", "squash-R5")
@pytest.mark.parametrize("component", [0.0, 1e-30, 1e30])
@pytest.mark.parametrize("shape", [(4,), (2, 5, 1)])
def test_constant_capsules_are_squashed_like_arguments(
    component: float, shape: tuple[int, ...]
) -> None:
    x = np.full(shape, component, np.float32)
    for kind in KINDS:
        constant = jax.jit(lambda kind=kind: squash(x, kind=kind))()
        np.testing.assert_allclose(constant, squash(x, kind=kind), rtol=1e-6)


@pytest.mark.rules("backend-R16")
def test_the_claimed_devices_are_accepted() -> None:
    assert (*JaxBackend().capabilities().devices, "auto") == devices.DEVICE_NAMES


def test_a_device_is_selected_by_name() -> None:
    backend = JaxBackend().on("cpu")
    assert backend.device.platform == "cpu"
    assert JaxBackend().on("auto").device is None
    out, _ = backend.ops.squash.forward(np.array([[3.0, 4.0]]), kind="unit")
    np.testing.assert_allclose(out, [[0.6, 0.8]], rtol=1e-15)
    with pytest.raises(BackendError, match="cpu or cuda or auto"):
        backend.on("tpu")


@pytest.mark.skipif(
    any(d.platform == "gpu" for d in jax.devices()), reason="this machine has a GPU"
)
def test_a_missing_device_is_an_error() -> None:
    with pytest.raises(BackendError, match="JAX finds cpu"):
        JaxBackend().on("cuda")
