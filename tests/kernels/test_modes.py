"""The compiled functions as plain Python, and with every index looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PLAIN = {"NUMBA_DISABLE_JIT": "1"}
CHECKED = {"NUMBA_BOUNDSCHECK": "1", "MINDREF_NUMBA_CACHE": "0"}  # the cache has unchecked ones
BEYOND = """
import numpy as np
from mindref.kernels import relu_layer
relu_layer.rectify(np.ones((1, 2)), np.ones(1), True, np.ones((1, 2), bool))
"""


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_as_plain_python_they_say_what_the_reference_says() -> None:
    done = run("-m", "tests.kernels.plain", "float64", "float32", **PLAIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" answers agree, in plain Python\n")


@pytest.mark.slow
def test_no_index_lies_outside_its_array() -> None:
    """In one type: compiling for both would take twice as long, and they have the same indices."""
    done = run("-m", "tests.kernels.plain", "float64", **CHECKED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" answers agree, compiled\n")


@pytest.mark.parametrize("env", [PLAIN, CHECKED], ids=str)
def test_an_index_outside_its_array_would_be_seen(env: dict[str, str]) -> None:
    assert "IndexError" in run("-c", BEYOND, **env).stderr
