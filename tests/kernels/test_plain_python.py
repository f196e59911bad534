"""The compiled functions as plain Python, and compiled with bounds checks."""

import pytest

from tests.kernels.cases import run_python

NO_JIT = {"NUMBA_DISABLE_JIT": "1"}
BOUNDS_CHECK = {"NUMBA_BOUNDSCHECK": "1", "MINDREF_NUMBA_CACHE": "0"}  # cached code has no checks
OUT_OF_BOUNDS = """
import numpy as np
from mindref.kernels import relu_layer
relu_layer.relu_inplace(np.ones((1, 2)), np.ones(1), True, np.ones((1, 2), bool))
"""


def compare_all(*dtypes, **env):
    """Return the last line of a comparison of all compiled functions with the reference."""
    done = run_python("-m", "tests.kernels.compare_all", *dtypes, check=False, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_kernels_as_plain_python_agree_with_the_reference():
    assert compare_all("float64", "float32", **NO_JIT).endswith(" agree, in plain Python")


@pytest.mark.slow
def test_no_index_is_out_of_bounds():
    """Only float64: float32 has the same indices, and compiling both takes twice as long."""
    assert compare_all("float64", **BOUNDS_CHECK).endswith(" results agree, compiled")


@pytest.mark.parametrize("env", [NO_JIT, BOUNDS_CHECK], ids=str)
@pytest.mark.slow(every=2)
def test_an_index_out_of_bounds_is_detected(env):
    assert "IndexError" in run_python("-c", OUT_OF_BOUNDS, check=False, **env).stderr
