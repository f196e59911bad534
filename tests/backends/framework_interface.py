"""Tests of the interface to a framework beyond the suite: imports, dtypes, conversions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mindref.errors import ShapeError


class FrameworkInterface:
    """Tests of the package `mindref_<name>` for the framework `name`."""

    name: str
    backend: Any  # class of the backend

    @pytest.mark.rules("backend-R3")
    def test_capabilities_are_read_without_the_framework(self) -> None:
        class_name = self.backend.__name__
        code = (
            f"import sys; from {self.backend.__module__} import {class_name};"
            f"print({class_name}().capabilities().gradients, '{self.name}' in sys.modules)"
        )
        process = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert process.stdout.split() == ["automatic", "False"]

    @pytest.mark.rules("numerics-R1")
    @pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.dtype(">f8"), np.dtype("U1")])
    def test_unsupported_dtypes_raise_a_shape_error(self, dtype: Any) -> None:
        with pytest.raises(ShapeError):
            self.backend().ops.squash.forward(np.ones((2, 3)).astype(dtype), kind="squash")

    @pytest.mark.rules("backend-R16", "backend-R3")
    def test_without_the_framework_the_error_names_the_package_to_install(self) -> None:
        code = (
            f"import sys; sys.modules['{self.name}'] = None; from mindref.cli import main;"
            f"main(['train', '--backend={self.name}', '--out=never'])"
        )
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (process.returncode, process.stdout) == (2, "")
        expected = f"Error: backend {self.name}: expected {self.backend.framework}, got "
        assert process.stderr.startswith(expected)
        assert process.stderr.endswith(f"; pip install '{self.backend.requirement}'\n")
