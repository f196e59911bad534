"""The compiled functions as plain Python, where an index out of bounds raises IndexError."""

from tests.kernels.cases import run_python

NO_JIT = {"NUMBA_DISABLE_JIT": "1"}
OUT_OF_BOUNDS = """
import numpy as np
from mindref.kernels import relu_layer
relu_layer.relu_inplace(np.ones((1, 2)), np.ones(1), True, np.ones((1, 2), bool))
"""


def test_kernels_as_plain_python_agree_with_the_reference():
    done = run_python("-m", "tests.kernels.compare_all", check=False, **NO_JIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" results agree, in plain Python\n")


def test_an_index_out_of_bounds_is_detected():
    assert "IndexError" in run_python("-c", OUT_OF_BOUNDS, check=False, **NO_JIT).stderr
