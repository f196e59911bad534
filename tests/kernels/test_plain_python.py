"""The compiled functions as plain Python, and compiled with bounds checks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NO_JIT = {"NUMBA_DISABLE_JIT": "1"}
BOUNDS_CHECK = {"NUMBA_BOUNDSCHECK": "1", "MINDREF_NUMBA_CACHE": "0"}  # cached code has no checks
OUT_OF_BOUNDS = """
import numpy as np
from mindref.kernels import relu_layer
relu_layer.relu_inplace(np.ones((1, 2)), np.ones(1), True, np.ones((1, 2), bool))
"""


def run_python(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_kernels_as_plain_python_agree_with_the_reference() -> None:
    done = run_python("-m", "tests.kernels.compare_all", "float64", "float32", **NO_JIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" results agree, in plain Python\n")


@pytest.mark.slow
def test_no_index_is_out_of_bounds() -> None:
    """Only float64: float32 has the same indices, and compiling both takes twice as long."""
    done = run_python("-m", "tests.kernels.compare_all", "float64", **BOUNDS_CHECK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" results agree, compiled\n")


@pytest.mark.parametrize("env", [NO_JIT, BOUNDS_CHECK], ids=str)
def test_an_index_out_of_bounds_is_detected(env: dict[str, str]) -> None:
    assert "IndexError" in run_python("-c", OUT_OF_BOUNDS, **env).stderr
