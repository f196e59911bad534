"""What the judge does not ask: what is imported when, types, devices, conversions."""

from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pytest
from tests.backends.thin import Thin

from mindref.errors import BackendError, ShapeError
from mindref_jax import devices
from mindref_jax.backend import JaxBackend
from mindref_jax.squash import KINDS, squash


class TestThin(Thin):
    name, backend = "jax", JaxBackend


def test_ids_in_the_byte_order_of_another_machine_are_taken() -> None:
    table, ones = np.eye(3), np.ones((2, 1))
    out, _ = JaxBackend().ops.embedding.forward(table, np.array([[2], [0]], ">i8"), ones)
    assert (out == table[[2, 0]]).all()


@pytest.mark.rules("numerics-R2")
def test_types_of_64_bits_are_on_inside_our_calls_only() -> None:
    x = np.array([[1.0, 1e-9]])
    out, _ = JaxBackend().ops.squash.forward(x, kind="none")
    assert out.tobytes() == x.tobytes()
    assert not jax.config.jax_enable_x64
    assert jax.numpy.ones(1, float).dtype == np.float32


@pytest.mark.rules("numerics-R1")
def test_float64_is_refused_where_jax_would_round_it() -> None:
    x = np.array([[3.0, 4.0]])
    with pytest.raises(ShapeError, match="enable_x64"):
        squash(x, kind="squash")
    with jax.enable_x64(True):
        assert squash(x, kind="squash").dtype == np.float64


@pytest.mark.rules("sampled_softmax-R3")
def test_ids_are_told_apart_in_all_their_bits() -> None:
    one, apart = np.array([7]), np.array([7 + 2**32])
    x, log = np.ones((1, 2), np.float32), np.zeros(1, np.float32)
    hit, other = (
        JaxBackend().ops.sampled_softmax.forward(x, x, x, one, ids, log, log)[0]
        for ids in (one, apart)
    )
    assert hit == 0
    assert other == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.rules("squash-R3", "squash-R4", "squash-R5")
@pytest.mark.parametrize("component", [0.0, 1e-30, 1e30])
@pytest.mark.parametrize("shape", [(4,), (2, 5, 1)])
def test_capsules_that_the_compiler_knows_are_squashed_as_others(
    component: float, shape: tuple[int, ...]
) -> None:
    x = np.full(shape, component, np.float32)
    for kind in KINDS:
        known = jax.jit(lambda kind=kind: squash(x, kind=kind))()
        np.testing.assert_allclose(known, squash(x, kind=kind), rtol=1e-6)


@pytest.mark.rules("backend-R16")
def test_the_devices_that_it_claims_are_those_that_it_knows() -> None:
    assert (*JaxBackend().capabilities().devices, "auto") == devices.NAMES


def test_a_device_is_asked_for_by_name() -> None:
    backend = JaxBackend().on("cpu")
    assert backend.device.platform == "cpu"
    assert JaxBackend().on("auto").device is None
    out, _ = backend.ops.squash.forward(np.array([[3.0, 4.0]]), kind="unit")
    np.testing.assert_allclose(out, [[0.6, 0.8]], rtol=1e-15)
    with pytest.raises(BackendError, match="cpu or cuda or auto"):
        backend.on("tpu")


@pytest.mark.skipif(any(d.platform == "gpu" for d in jax.devices()), reason="there is such a card")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(BackendError, match="JAX finds cpu"):
        JaxBackend().on("cuda")


@pytest.mark.rules("backend-R12")
def test_what_is_fetched_is_nobody_elses() -> None:
    backend = JaxBackend()
    x = np.arange(64.0)
    held = backend.from_numpy(x)
    x[:] = 0
    found = backend.to_numpy(held)
    found[:] = -1
    assert (backend.to_numpy(held) == np.arange(64.0)).all()


@pytest.mark.rules("backend-R3")
def test_without_jax_the_error_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['jax'] = None; from mindref.cli import main;"
        "main(['train', '--backend=jax', '--out=never'])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("Error: backend jax: expected JAX, got ")
    assert said.stderr.endswith("; pip install 'mindref[jax]', or ./backends/jax in a checkout\n")
