"""What the judge does not ask of the thin layer around a framework: imports, types, conversions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mindref.errors import ShapeError


class Thin:
    """The thin layer of the package `mindref_<name>`, whose framework is called `name`."""

    name: str
    backend: Any  # its class

    @pytest.mark.rules("backend-R3")
    def test_capabilities_are_read_without_the_framework(self) -> None:
        made = self.backend.__name__
        code = (
            f"import sys; from {self.backend.__module__} import {made};"
            f"print({made}().capabilities().gradients, '{self.name}' in sys.modules)"
        )
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert found.stdout.split() == ["automatic", "False"]

    @pytest.mark.rules("numerics-R7")
    def test_arrays_turned_round_and_read_only_are_taken(self) -> None:
        x = np.arange(12.0).reshape(3, 4)[::-1, ::-1]
        x.setflags(write=False)
        out, _ = self.backend().ops.squash.forward(x, kind="none")
        assert (out == x).all()

    @pytest.mark.rules("numerics-R1")
    @pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.dtype(">f8"), np.dtype("U1")])
    def test_types_that_no_operator_takes_are_a_shape_error(self, dtype: Any) -> None:
        with pytest.raises(ShapeError):
            self.backend().ops.squash.forward(np.ones((2, 3)).astype(dtype), kind="squash")

    @pytest.mark.rules("softmax-R5")
    def test_no_cotangent_of_a_masked_place_has_influence(self) -> None:
        logits, mask = np.array([[1.0, 2.0, 3.0]]), np.array([[True, True, False]])
        quiet, loud = (np.array([[1.0, -1.0, there]]) for there in (0.0, np.nan))
        found = [
            self.backend().differentiate("softmax", (logits, mask), {"axis": 1}, g)[0]
            for g in (quiet, loud)
        ]
        assert found[0].tobytes() == found[1].tobytes()

    @pytest.mark.rules("softmax-R7", "squash-R9")
    def test_an_axis_that_is_none_is_a_shape_error(self) -> None:
        ops, x = self.backend().ops, np.ones((2, 3))
        for axis in (1.0, True, None, "1"):
            with pytest.raises(ShapeError, match=f"an axis from -2 to 1, got {axis}"):
                ops.softmax.forward(x, x > 0, axis=axis)
        with pytest.raises(ShapeError, match="at least one axis, got a number"):
            ops.squash.forward(np.array(3.0), kind="unit")
