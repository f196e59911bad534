"""Calls of the numba backend and of the reference, and the comparison of their results.

Levels 2 and 3 are called with worlds: the small worlds of `tests.models.worlds`, and large ones
with several blocks of users, items and negatives. The last block of each is not full.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import Answer, BackendImplementation, Call
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.reference import reference_answer
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.layers import BLOCK_USERS
from mindref.models import mind, parameters
from mindref.models.parameters import Catalogue, Sizes
from mindref.shapes import Array
from tests.models.worlds import World, world

REPOSITORY = Path(__file__).parents[2]
TYPES = pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)]
)
"""Without --all only float32, which the default settings use: compiling both takes a minute."""


def run_blocks(workspace, function, blocks):
    """Call the function once for each block, on all threads. Raises the first error."""
    workspace.run_phases([lambda: [partial(function, block) for block in blocks]])


def numba_implementation(threads: int = 1) -> BackendImplementation:
    """Return a new numba backend with this number of threads."""
    return BackendImplementation(NumbaBackend(threads))


def check_call(call: Call, subject: BackendImplementation | None = None) -> None:
    """Compare an operator with the reference, within the error bound of the computation."""
    precision = Precision.of(call.dtype.name)
    CheckContext(subject or numba_implementation(), precision, 0, 1.0).assert_agrees(call)


def agree_with_reference(
    call: Call, subject: BackendImplementation | None = None, where: str = ""
) -> Answer:
    """Return the result of the compiled code, which must agree with the reference."""
    got, expected = (subject or numba_implementation()).answer(call), reference_answer(call)
    assert got.keys() == expected.keys(), where
    for name, x in expected.items():
        words = f"{where} {call.stem} {name}".strip()
        assert got[name].dtype == x.dtype, words
        if x.dtype.kind != "f":
            np.testing.assert_array_equal(got[name], x, err_msg=words)
            continue
        near = {"rtol": same_math(x.dtype), "err_msg": words}
        near["atol"] = same_math(x.dtype) * largest_finite(x) + VANISHING
        np.testing.assert_allclose(got[name], x, **near)
    return got


def largest_finite(x: Array) -> float:
    """Return the largest magnitude of finite elements, zero without any."""
    return float(np.abs(x[np.isfinite(x)]).max(initial=0))


def model_calls(w: World) -> list[Call]:
    """Return the calls of levels 2 and 3 on a world: loss, interests, three training steps."""
    params, catalogue = {"params": w.params}, {"catalogue": w.catalogue}
    loss_arrays = {**params, "batch": w.batch, **catalogue}
    history_arrays = {**params, "histories": w.batch.histories, **catalogue}
    reversed_batch = choose_users(w.batch, slice(None, None, -1))
    training_arrays = {**params, "batches": (w.batch, reversed_batch, w.batch), **catalogue}
    # with the usual epsilon, Adam divides a small gradient by its own size: only rounding remains
    steps = {"config": dataclasses.replace(w.config, epsilon=0.1), "learning_rate": 0.05}
    return [
        Call("loss", loss_arrays, {"config": w.config}),
        Call("interests", history_arrays, {"config": w.config}),
        Call("training", training_arrays, steps),
    ]


def choose_users(batch: mind.Batch, users: slice) -> mind.Batch:
    """Return a batch with some of its users, in the order of the slice."""
    histories = mind.Histories(*(x[users] for x in batch.histories))
    logs = batch.target_log_expected[users]
    return batch._replace(histories=histories, target=batch.target[users], target_log_expected=logs)


def first_users(w: World, count: int) -> World:
    """Return the world with only its first users."""
    return w._replace(batch=choose_users(w.batch, slice(count)))


def with_negatives(w: World, negatives: list[int]) -> World:
    """Return the world with these negatives."""
    logs = np.linspace(-1, 0.5, len(negatives)).astype(w.config.dtype)
    return w.with_shared(negatives=np.array(negatives, np.int64), negative_log_expected=logs)


def small_world(*arguments: Any, **settings: Any) -> World:
    settings = {"dtype": "float32", **settings}
    return world(np.random.default_rng(2), (4, 6, 3, 5), *arguments, **settings)


def large_world(
    users: int = 2 * BLOCK_USERS + 2,
    *,
    items: int = 3000,
    negatives: int = 600,
    length: int = 20,
    **settings: Any,
) -> World:
    """Return a world of many users with 0 to `length` behaviours and items of one row each."""
    rng = np.random.default_rng(0)
    plain = {"interests": 5, "width": 7, "dtype": "float32", "profile_width": 2, "hidden": [9]}
    config = Config.of("mind", {**plain, **settings})
    sizes = Sizes(items, items, profile_rows=5, profile_features=2)
    mask = np.arange(length) < rng.integers(0, length + 1, users)[:, None]
    ids = np.where(mask, rng.integers(0, items, mask.shape), -9)
    logits = rng.standard_normal((*mask.shape, config.interests)).astype(config.dtype)
    histories = mind.Histories(ids, mask, logits, rng.integers(0, 5, (users, 2)))
    drawn = rng.integers(0, items, users), rng.integers(0, items, negatives)
    logs = [rng.standard_normal(n).astype(config.dtype) for n in (users, negatives)]
    params = parameters.init(rng, config, sizes)
    params = params._replace(items=params.items * np.sqrt(config.width).astype(config.dtype))
    catalogue = Catalogue(np.arange(items)[:, None], np.ones((items, 1), config.dtype))
    return World(params, mind.Batch(histories, *drawn, *logs), catalogue, config, sizes)


def run_python(
    *command: str, folder: Path = REPOSITORY, check: bool = True, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a new process."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=check,
        timeout=600,
    )


def odd_layout(x: Array, layout: str) -> Array:
    """Return a copy of x with an unusual memory layout: "columns", "apart" or "unaligned"."""
    if layout == "columns":
        copy = np.asfortranarray(x)
    elif layout == "apart":
        copy = np.zeros((*x.shape, 2), x.dtype)[..., 0]
    else:
        copy = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy
