"""WALS: factors of items, and the vector that a history is folded in to."""

from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance.tolerances import SOLVED
from mindref.data.log import Ragged
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, ShapeError
from mindref.models import item_knn, wals
from mindref.models.parameters import Sizes
from mindref.process.requirements import install_extra
from tests import spec_pages
from tests.assertions import assert_close, assert_example, raises_exactly
from tests.models import test_item_knn as knn
from tests.models.test_item_knn import history_weights, made

EXAMPLE = spec_pages.examples("baselines")[1]


def fitted(rows, items, **changes):
    config = Config(model="wals", **changes)
    return wals.fit_wals(Ragged.of(rows), Sizes(items, items, 0, 0), config)


def folded(arrays, histories, decay=1.0):
    config = Config(model="wals", history_decay=decay)
    return wals.user_factors(arrays, Ragged.of(histories), config)


def given_arrays(factors, regularization, alpha):
    numbers = {"regularization": np.array(regularization), "alpha": np.array(alpha)}
    return {"items": np.asarray(factors), **numbers}


@pytest.mark.rules("baselines-R3", "baselines-R6", "baselines-R14")
@pytest.mark.parametrize("case", EXAMPLE["cases"], ids=lambda case: f"decay {case['decay']}")
def test_the_worked_example_matches_the_page(case):
    arrays = given_arrays(EXAMPLE["items"], EXAMPLE["regularization"], EXAMPLE["alpha"])
    vectors, active = folded(arrays, EXAMPLE["histories"], decay=case["decay"])
    assert_example({"users": vectors[:, 0]}, case)
    assert active.tolist() == [[True]] * len(EXAMPLE["histories"])


def fold_in(factors, confidence, regularization):
    """Return the vector with the least sum of confidence times squared error, over all items."""
    factors = np.asarray(factors, float)
    weights = np.array([confidence.get(i, 1.0) for i in range(len(factors))])
    left = regularization * np.eye(factors.shape[1]) + (weights * factors.T) @ factors
    right = sum((weights[i] * factors[i] for i in confidence), np.zeros(factors.shape[1]))
    return np.linalg.solve(left, right)


@pytest.mark.rules("baselines-R6", "baselines-R14")
@settings(max_examples=25)
@given(
    history=st.lists(st.integers(0, 7), max_size=9),
    decay=st.sampled_from([1.0, 0.7]),
    alpha=st.sampled_from([0.5, 1.0, 20.0]),
)
def test_a_user_is_the_solution_of_the_least_squares(history, decay, alpha):
    factors = np.random.default_rng(0).standard_normal((8, 3))
    vectors, _ = folded(given_arrays(factors, 0.3, alpha), [history], decay=decay)
    confidence = {i: alpha * w for i, w in history_weights(history, decay).items()}
    assert_close(vectors[0, 0], fold_in(factors, confidence, 0.3))


@pytest.mark.rules("baselines-R3", "baselines-R13")
@pytest.mark.parametrize(("alpha", "iterations"), [(1.0, 1), (6.0, 1), (6.0, 4)])
def test_an_iteration_solves_for_the_users_and_then_for_the_items(alpha, iterations):
    rows = made(3)
    arrays = fitted(rows, 9, width=6, sweeps=iterations, regularization=0.7, confidence=alpha)
    rng = make_rng(0, "parameters")
    _, factors = (0.01 * rng.random((n, 6), np.float32) for n in (len(rows), 9))
    users_of_items = [[u for u, row in enumerate(rows) if i in row] for i in range(9)]
    for _ in range(iterations):
        users = [fold_in(factors, dict.fromkeys(row, alpha), 0.7) for row in rows]
        factors = [fold_in(users, dict.fromkeys(x, alpha), 0.7) for x in users_of_items]
    np.testing.assert_allclose(arrays["items"], factors, rtol=SOLVED, atol=SOLVED)
    assert (arrays["regularization"], arrays["alpha"]) == (0.7, alpha)


SMALL = fitted(made(5, users=20), 9, width=3)


@pytest.mark.rules("baselines-R1")
def test_the_same_sequences_and_seed_give_the_same_arrays():
    rows = made(7, users=30)
    first, second, third = (fitted(rows, 9, width=4, seed=seed)["items"] for seed in (0, 0, 1))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != third.tobytes()
    assert first.dtype == np.float32
    assert wals.item_factors(SMALL) is SMALL["items"]


@pytest.mark.parametrize("regularization", [0.0, 1e-12])
def test_least_squares_without_one_answer_are_refused(regularization):
    message = "^regularization: expected as much as makes the least squares solvable, or fewer"
    with pytest.raises(ConfigError, match=message):
        fitted([[0, 1], [1, 2]], 3, width=16, regularization=regularization)
    singular = given_arrays(np.zeros((3, 2)), 0.0, 1.0)
    with pytest.raises(ConfigError, match=message):
        folded(singular, [[0]])


BOTH = pytest.mark.parametrize(
    ("fit", "serve"),
    [
        (knn.fitted, knn.scored),
        (fitted, lambda histories, **x: folded(SMALL, histories, **x)[0]),
    ],
    ids=["item_knn", "wals"],
)


@BOTH
@pytest.mark.rules("baselines-R2")
def test_a_history_has_the_same_result_in_any_batch(fit, serve):
    histories = made(6, users=8)
    for history, result in zip(histories, serve(histories, decay=0.8), strict=True):
        assert serve([history], decay=0.8).tobytes() == result.tobytes()
    forward, reverse = (folded(SMALL, [order])[0] for order in ([1, 4, 2], [2, 4, 1]))
    assert forward.tobytes() == reverse.tobytes()


@BOTH
@pytest.mark.rules("baselines-R15")
def test_without_behaviours_the_result_is_zero(fit, serve):
    nothing, something = serve([[], [1]])
    assert not nothing.any()
    assert something.any()
    assert folded(SMALL, [[], [1]])[1].tolist() == [[True], [True]]


@BOTH
@pytest.mark.rules("baselines-R5")
@pytest.mark.parametrize("item", [-1, 9])
def test_an_item_outside_the_catalogue_raises(fit, serve, item):
    message = f"items: rows: expected indices from 0 to 8, got {item}"
    for call in (serve, lambda rows: fit(rows, 9)):
        with raises_exactly(ShapeError, message):
            call([[0], [item]])


@pytest.mark.rules("baselines-R4")
def test_without_the_package_only_the_fit_of_wals_raises(monkeypatch):
    monkeypatch.setattr(wals, "import_module", Mock(side_effect=ModuleNotFoundError))
    message = "model: expected the package implicit, which fits wals, got none"
    with raises_exactly(ConfigError, f"{message} installed; {install_extra('baselines')}"):
        fitted([[0, 1]], 2)
    folded(SMALL, [[0]])
    knn.scored([[0]], knn.fitted([[0, 1]], 2))
    item_knn.FAMILY.require_packages()
