"""Comparison of levels 2 and 3 of a family that is not MIND with the reference, for any backend."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.backend import NumpyBackend
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.errors import ShapeError
from mindref.kernels.backend import NumbaBackend
from mindref.models import mind_plus, youtube_dnn
from mindref.models.family import backend_computes
from mindref.models.mind import Histories
from mindref.models.parameters import copy_params, flatten
from mindref.ops import pooled_softmax
from mindref.shapes import Array
from mindref.training import optimiser
from mindref.training.divergence import Diverged
from mindref.training.engine import (
    BackendEngine,
    ReferenceEngine,
    gradients_to_numpy,
    make_engine,
)
from tests.backends.runs import check_run_of_preset
from tests.kernels.cases import large_world, largest_finite
from tests.models.worlds import World, lively, plus_world
from tests.ops.loss_cases import NAMES, Case, fixed_case, invalid_calls, special_calls

LABEL, POOLED = {"attention": "label"}, {"attention": "pooled"}
LOSSES: list[dict[str, Any]] = [LABEL, {**LABEL, "power": 3.0}, {"attention": "mean"}, POOLED]
WITH_LAYERS: dict[str, Any] = {
    **POOLED, "recency": "interests", "contexts": 1, "interest_count": "fixed",
}  # fmt: skip
ITEM_VOTES: dict[str, Any] = {
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
    backend_gradients = w.dense(gradients_to_numpy(gradients, backend))
    assert backend_gradients.keys() == expected.keys(), where
    for name, x in backend_gradients.items():
        assert_near(x, expected[name], f"{where} gradient of {name}")
    vectors, active, _ = w.interests(**({"keep": None} if w.family is mind_plus else {}))
    result = backend.interests(w.params, w.histories, w.catalogue, w.config)
    backend_vectors, backend_active = map(backend.to_numpy, result)
    assert_near(backend_vectors, vectors, f"{where} interests")
    np.testing.assert_array_equal(backend_active, active)
    trained, reference_trained = (train_three_steps(w, x) for x in (backend, reference))
    assert trained.keys() == reference_trained.keys(), where
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


def level_results(w: World, backend: Any) -> list[dict[str, bytes]]:
    """Return the bytes of loss, gradients and vectors, and of the state after three steps."""
    loss, gradients = backend.loss_and_gradients(w.params, w.batch, w.catalogue, w.config)
    vectors, active = backend.interests(w.params, w.histories, w.catalogue, w.config)
    arrays = {"loss": loss, **w.dense(gradients), "vectors": vectors, "active": active}
    tables = (arrays, train_three_steps(w, backend))
    return [{name: x.tobytes() for name, x in table.items()} for table in tables]


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


def large_mean_world(*, recency: bool) -> World:
    """Return a world of three blocks of users and of items, all with one table row."""
    w = large_world(
        model="youtube_dnn", dtype="float32", window=20, recency="shared" if recency else "none"
    )
    rng = np.random.default_rng(1)
    params = lively(rng, youtube_dnn.init(rng, w.config, w.sizes))
    return w._replace(params=params._replace(items=w.params.items), family=youtube_dnn)


def assert_invalid_inputs_raise(backend: Any) -> None:
    """Check the errors of level 2 for wrong positions, factors of dropout, and first layers."""
    w = plus_world(3, keep=True, dtype="float32", **WITH_LAYERS)
    positions, keep = w.params.positions, w.batch.keep
    first, *others = w.params.layers
    double = first._replace(weight=first.weight.astype(np.float64))
    short_layer = first._replace(weight=first.weight[1:])
    for wrong, message in (
        (w.with_params(positions=positions[:16]), "positions: rows: .* 0 to 15, got 16"),
        (w.with_params(positions=positions[:, :4]), r"positions: expected 5 columns, got .*, 4\)"),
        (w.with_params(positions=positions.astype(np.float64)), ": expected one dtype"),
        (w.with_params(layers=[double, *others]), "(relu_layer|model): expected one dtype"),
        (w.with_params(layers=[short_layer, *others]), "relu_layer: weight has shape .* needs"),
        (w._replace(batch=w.batch._replace(keep=keep[:, :16])), "mind_plus: .*keep"),
        (w._replace(batch=w.batch._replace(keep=keep.astype(np.float64))), "mind_plus: .*keep"),
    ):
        with pytest.raises(ShapeError, match=message):
            backend.loss_and_gradients(wrong.params, wrong.batch, wrong.catalogue, wrong.config)
    short = w.with_params(positions=positions[:16])
    with pytest.raises(ShapeError, match="positions: rows: "):
        backend.interests(short.params, short.histories, short.catalogue, short.config)


def assert_bad_product_ends_training(backend: Any) -> None:
    """Check that a product of an interest and a negative that is NaN raises Diverged."""
    w = plus_world(3, dtype="float32", **WITH_LAYERS)
    items = w.params.items.copy()
    items[w.catalogue.rows[w.shared.negatives[0], 0]] = np.nan
    w = w.with_params(items=items)
    loss, _ = backend.loss_and_gradients(w.params, w.batch, w.catalogue, w.config)
    assert np.isnan(backend.to_numpy(loss))
    with pytest.raises(Diverged):
        train_three_steps(w, backend)


def compare_pooled(backend: Any, case: Case, *, gradients: bool = True, **numbers: Any) -> None:
    """Compare pooled_softmax and its gradients with the reference; NaN matches NaN."""
    with np.errstate(invalid="ignore", over="ignore"):  # products of numbers that are not finite
        expected, saved = pooled_softmax.forward(*case, **numbers)
        expected_results = [np.asarray(expected), *pooled_softmax.backward(-1.5, saved)]
    results = [backend.ops.pooled_softmax.forward(*case, **numbers)[0]]
    if gradients:
        cotangent = np.asarray(-1.5, expected.dtype)
        results += backend.differentiate("pooled_softmax", case, numbers, cotangent)
    for name, x, y in zip(NAMES, results, expected_results, strict=gradients):
        assert_near(np.zeros_like(y) if x is None else x, y, f"{name} {numbers}")


class MindPlus:
    """Tests of mind_plus and pooled_softmax in the backend of the framework `name`."""

    name: str
    backend: Any  # class of the backend

    @pytest.mark.rules("mind_plus-R5")
    def test_invalid_inputs_raise(self) -> None:
        assert_invalid_inputs_raise(self.backend())

    @pytest.mark.parametrize("settings", [WITH_LAYERS, ITEM_VOTES], ids=["layers", "item votes"])
    def test_no_users_have_no_interests(self, settings: dict[str, Any]) -> None:
        w = plus_world(0, **settings)
        histories = Histories(*(x[:0] for x in w.shared.histories))
        interests, active = self.backend().interests(w.params, histories, w.catalogue, w.config)
        assert interests.shape == (0, *w.interests()[0].shape[1:])
        assert active.shape == (0, w.config.interests)

    @pytest.mark.rules("backend-R15", "backend-R19")
    @pytest.mark.parametrize("preset", ["mind", "recommended"])
    @pytest.mark.slow(every=2)
    def test_a_run_is_resumed_and_read_by_other_backends(self, preset: str, tmp_path: Path) -> None:
        check_run_of_preset(preset, self.name, tmp_path)

    @pytest.mark.rules(
        "pooled_softmax-R3", "pooled_softmax-R4", "pooled_softmax-R5", "pooled_softmax-R12",
        "pooled_softmax-R13", "pooled_softmax-R15", "pooled_softmax-R16", "pooled_softmax-R25",
    )  # fmt: skip
    @pytest.mark.parametrize(
        "sharpness", [1e-30, 0.0, 1e-300, 1e-44, 7.0, 1e300, np.inf, 1.0, 1e-38, 0.3, 1e-9, 1e-3]
    )
    @pytest.mark.slow(every=6)
    def test_special_calls_agree_with_the_reference(self, sharpness: float) -> None:
        backend = self.backend()
        for case, options in special_calls():
            finite = all(np.isfinite(x).all() for x in case[2:])
            compare_pooled(backend, case, gradients=finite, sharpness=sharpness, **options)
        compare_pooled(backend, fixed_case().astype(np.float32), sharpness=sharpness)

    @pytest.mark.rules(
        "pooled_softmax-R19", "pooled_softmax-R20", "pooled_softmax-R21", "pooled_softmax-R22",
        "pooled_softmax-R23", "pooled_softmax-R24",
    )  # fmt: skip
    def test_invalid_calls_raise_the_error_of_the_reference(self) -> None:
        for case, numbers in invalid_calls():
            with pytest.raises(ShapeError) as reference_error:
                pooled_softmax.forward(*case, **numbers)
            with pytest.raises(ShapeError) as error:
                self.backend().ops.pooled_softmax.forward(*case, **numbers)
            assert str(error.value) == str(reference_error.value)
