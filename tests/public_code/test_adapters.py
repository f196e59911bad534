"""The adapters to two public packages: where their layers are right, an adapter shows it.

Run in an environment of its own with torch-rechub 0.9.0 or DeepMatch 0.3.2; skipped elsewhere.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.conformance.tolerances import SAME_MATH
from tests.public_code.test_bugs import distance, of_reference, question

HERE = Path(__file__).parent
MOST_LINES = 60
EPSILON = 1e-8  # what 1e-9 under the root of squash takes from capsules of length near one
FULL = {"mask": np.ones((3, 6), bool)}
SINGLE = SAME_MATH[np.dtype(np.float32)]

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages, not ours


def adapted(package: str, module: str) -> Any:
    pytest.importorskip(package)
    return importlib.import_module(f"tests.public_code.{module}").Backend()


def answers(backend: Any, stem: str, asked: Any, dtype: str = "float64") -> list[Any]:
    """Result and gradients, None as zeros."""
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in asked[0]]
    out, _ = getattr(backend.ops, stem).forward(*arrays, **asked[1])
    d_out = np.cos(np.arange(out.size)).reshape(out.shape).astype(dtype)
    gradients = backend.differentiate(stem, arrays, asked[1], d_out)
    moving = [x for x in arrays if x.dtype.kind == "f"]
    return [
        out,
        *(np.zeros_like(x) if g is None else g for g, x in zip(gradients, moving, strict=True)),
    ]


@pytest.mark.parametrize("name", ["rechub_backend", "deepmatch_backend"])
def test_an_adapter_is_short(name: str) -> None:
    lines = (HERE / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) < MOST_LINES


@pytest.mark.parametrize("gradient", ["last", "all"])
def test_torch_rechub_is_right_on_full_histories_in_three_rounds_over_places(gradient: str) -> None:
    backend = adapted("torch_rechub", "rechub_backend")
    asked = question("routing", **FULL, iterations=3, gradient=gradient)
    asked[1]["axis"] = "behaviours"
    assert distance(answers(backend, "routing", asked), of_reference("routing", asked)) < EPSILON


@pytest.mark.parametrize("iterations", [1, 2])
def test_torch_rechub_has_no_gradient_before_the_third_round(iterations: int) -> None:
    backend = adapted("torch_rechub", "rechub_backend")
    asked = question("routing", **FULL, iterations=iterations, gradient="last")
    assert not any(x.any() for x in answers(backend, "routing", asked)[1:])


def test_the_readout_of_torch_rechub_is_right_for_an_infinite_power() -> None:
    backend, asked = (
        adapted("torch_rechub", "rechub_backend"),
        question("label_attention", power=np.inf),
    )
    found = answers(backend, "label_attention", asked)
    assert distance(found, of_reference("label_attention", asked)) < SAME_MATH[np.dtype(float)]


@pytest.mark.parametrize("iterations", [1, 2, 3, 4])
def test_deepmatch_routes_as_the_paper_does(iterations: int) -> None:
    backend = adapted("deepmatch", "deepmatch_backend")
    asked = question("routing", iterations=iterations, gradient="last")
    found = answers(backend, "routing", asked, "float32")
    assert distance(found, of_reference("routing", asked)) < SINGLE


@pytest.mark.parametrize("power", [0.0, 1.0, 3.0])
def test_deepmatch_attends_as_the_paper_does_where_the_power_keeps_the_sign(power: float) -> None:
    backend, asked = (
        adapted("deepmatch", "deepmatch_backend"),
        question("label_attention", power=power),
    )
    found = answers(backend, "label_attention", asked, "float32")
    assert distance(found, of_reference("label_attention", asked)) < SINGLE
