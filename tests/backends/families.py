"""Comparison of levels 2 and 3 of a family that is not MIND with the reference, for any backend."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mindref.backend import NumpyBackend
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.kernels.backend import NumbaBackend
from mindref.models import mind_plus
from mindref.models.family import backend_computes
from mindref.models.parameters import copy_params, flatten
from mindref.shapes import Array
from mindref.training import optimiser
from mindref.training.engine import (
    BackendEngine,
    ReferenceEngine,
    gradients_to_numpy,
    make_engine,
)
from tests.kernels.cases import large_world, largest_finite
from tests.models.worlds import World, lively

LABEL, POOLED = {"attention": "label"}, {"attention": "pooled"}
LOSSES: list[dict[str, Any]] = [LABEL, {**LABEL, "power": 3.0}, {"attention": "mean"}, POOLED]
BEST: dict[str, Any] = {
    **POOLED, "recency": "interests", "contexts": 1, "interest_count": "fixed",
}  # fmt: skip
SPARSE: dict[str, Any] = {
    **POOLED, "recency": "interests", "interest_count": "fixed", "votes": "items", "head": "none",
    "hidden": [], "normalise": True, "temperature": 0.07,
}  # fmt: skip


def assert_near(got: Array, expected: Array, where: str) -> None:
    """Compare dtype and shape, and values up to the tolerance of one formula in two orders."""
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape), where
    tolerance = same_math(expected.dtype)
    atol = tolerance * largest_finite(expected) + VANISHING
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=atol, err_msg=where)


def assert_matches_reference(w: World, backend: Any, reference: Any, where: str = "") -> None:
    """Compare loss, gradients, interests and three training steps of a backend."""
    assert backend_computes(backend, w.config, "train")
    loss, gradients = backend.loss_and_gradients(w.params, w.batch, w.catalogue, w.config)
    loss = np.asarray(backend.to_numpy(loss))
    assert_near(loss, np.asarray(w.loss()[0]), f"{where} loss")
    expected = w.dense(w.gradients())
    for name, x in w.dense(gradients_to_numpy(gradients, backend)).items():
        assert_near(x, expected[name], f"{where} gradient of {name}")
    vectors, active, _ = w.interests(**({"keep": None} if w.family is mind_plus else {}))
    result = backend.interests(w.params, w.histories, w.catalogue, w.config)
    backend_vectors, backend_active = map(backend.to_numpy, result)
    assert_near(backend_vectors, vectors, f"{where} interests")
    np.testing.assert_array_equal(backend_active, active)
    trained, reference_trained = (train_three_steps(w, x) for x in (backend, reference))
    assert list(trained) == list(reference_trained), where
    for name, x in reference_trained.items():
        assert_near(trained[name], x, f"{where} {name} after three steps")


def check_fused_world(w: World, where: str = "") -> None:
    """Compare the backend numba with the reference."""
    assert_matches_reference(w, NumbaBackend(1), NumpyBackend(), where)


def train_three_steps(w: World, backend: Any) -> dict[str, Array]:
    """Return parameters and moments after three steps.

    With the usual epsilon, Adam divides a small gradient by its own size: only rounding remains.
    """
    config = dataclasses.replace(w.config, epsilon=0.1)
    params = copy_params(w.params)
    engine = make_engine(backend, params, optimiser.init(flatten(params)), w.catalogue, config)
    assert isinstance(engine, ReferenceEngine if backend.name == "numpy" else BackendEngine)
    for _ in range(3):
        engine.step(w.batch, 0.05)
    params, moments = engine.fetch_state()
    assert type(params) is type(w.params)
    tables = {"": flatten(params), "first ": moments.first, "second ": moments.second}
    return {prefix + name: x for prefix, table in tables.items() for name, x in table.items()}


def large_plus_world(*sizes: int, **settings: Any) -> World:
    """Return a world of three blocks of users and of items, and two dropped entries in three."""
    w = large_world(*sizes, **{"model": "mind_plus", "window": 20, **settings})
    rng = np.random.default_rng(1)
    params = lively(rng, mind_plus.init(rng, w.config, w.sizes))
    params = params._replace(items=w.params.items)
    shape = (*w.histories.mask.shape, w.config.width)
    keep = (1.5 * (rng.random(shape) < 2 / 3)).astype(w.config.dtype)
    batch = mind_plus.Batch(w.batch, keep if w.config.dropout else None)
    return w._replace(params=params, batch=batch, family=mind_plus)
