"""What the judge does not ask: what is imported when, and conversions of the thin layer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mindref.errors import ShapeError
from mindref_torch.backend import TorchBackend


@pytest.mark.rules("backend-R3")
def test_capabilities_are_read_without_the_framework() -> None:
    code = (
        "import sys; from mindref_torch.backend import TorchBackend;"
        "print(TorchBackend().capabilities().gradients, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["automatic", "False"]


@pytest.mark.rules("numerics-R7")
def test_arrays_turned_round_and_read_only_are_taken() -> None:
    x = np.arange(12.0).reshape(3, 4)[::-1, ::-1]
    x.setflags(write=False)
    out, _ = TorchBackend().ops.squash.forward(x, kind="none")
    assert (out == x).all()


@pytest.mark.rules("numerics-R1")
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.dtype(">f8"), np.dtype("U1")])
def test_types_that_no_operator_takes_are_a_shape_error(dtype: object) -> None:
    with pytest.raises(ShapeError):
        TorchBackend().ops.squash.forward(np.ones((2, 3)).astype(dtype), kind="squash")


@pytest.mark.rules("softmax-R5")
def test_no_cotangent_of_a_masked_place_has_influence() -> None:
    logits, mask = np.array([[1.0, 2.0, 3.0]]), np.array([[True, True, False]])
    quiet, loud = (np.array([[1.0, -1.0, there]]) for there in (0.0, np.nan))
    found = [
        TorchBackend().differentiate("softmax", (logits, mask), {"axis": 1}, g)[0]
        for g in (quiet, loud)
    ]
    assert found[0].tobytes() == found[1].tobytes()
