"""Adapters for two public packages match the reference where the layers are correct.

Run in an environment of its own with torch-rechub 0.9.0 or DeepMatch 0.3.2; skipped elsewhere.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

from mindref.conformance.tolerances import SAME_MATH
from tests.public_code.test_bugs import distance, make_arguments, reference_results

HERE = Path(__file__).parent
MAX_LINES = 60
EPSILON = 1e-8  # effect of 1e-9 under the root of squash on capsules of length about one
FULL = {"mask": np.ones((3, 6), bool)}
SINGLE = SAME_MATH[np.dtype(np.float32)]

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of the packages


def load_adapter(package, module):
    pytest.importorskip(package)
    return importlib.import_module(f"tests.public_code.{module}").Backend()


def compute_results(backend, stem, arguments, dtype="float64"):
    """Return result and gradients; None becomes zeros."""
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in arguments[0]]
    out, _ = getattr(backend.ops, stem).forward(*arrays, **arguments[1])
    d_out = np.cos(np.arange(out.size)).reshape(out.shape).astype(dtype)
    gradients = backend.differentiate(stem, arrays, arguments[1], d_out)
    pairs = zip(gradients, (x for x in arrays if x.dtype.kind == "f"), strict=True)
    return [out, *(np.zeros_like(x) if g is None else g for g, x in pairs)]


def adapter_error(package, module, stem, dtype="float64", axis="", **changes):
    """Return the largest relative difference of an adapter from the reference."""
    backend, arguments = load_adapter(package, module), make_arguments(stem, **changes)
    if axis:
        arguments[1]["axis"] = axis
    results = compute_results(backend, stem, arguments, dtype)
    return distance(results, reference_results(stem, arguments))


@pytest.mark.parametrize("name", ["rechub_backend", "deepmatch_backend"])
def test_an_adapter_is_short(name):
    lines = (HERE / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) < MAX_LINES


@pytest.mark.parametrize("gradient", ["last", "all"])
def test_torch_rechub_is_right_on_full_histories_for_three_iterations_over_behaviours(gradient):
    options = {**FULL, "iterations": 3, "gradient": gradient, "axis": "behaviours"}
    assert adapter_error("torch_rechub", "rechub_backend", "routing", **options) < EPSILON


@pytest.mark.parametrize("iterations", [1, 2])
def test_torch_rechub_has_no_gradient_before_the_third_iteration(iterations):
    backend = load_adapter("torch_rechub", "rechub_backend")
    arguments = make_arguments("routing", **FULL, iterations=iterations, gradient="last")
    assert not any(x.any() for x in compute_results(backend, "routing", arguments)[1:])


def test_the_readout_of_torch_rechub_is_right_for_an_infinite_power():
    error = adapter_error("torch_rechub", "rechub_backend", "label_attention", power=np.inf)
    assert error < SAME_MATH[np.dtype(float)]


@pytest.mark.parametrize("iterations", [1, 2, 3, 4])
def test_deepmatch_routing_matches_the_paper(iterations):
    numbers = {"iterations": iterations, "gradient": "last"}
    error = adapter_error("deepmatch", "deepmatch_backend", "routing", "float32", **numbers)
    assert error < SINGLE


@pytest.mark.parametrize("power", [0.0, 1.0, 3.0])
def test_deepmatch_attention_matches_the_paper_for_odd_powers(power):
    stem = "label_attention"
    assert adapter_error("deepmatch", "deepmatch_backend", stem, "float32", power=power) < SINGLE
