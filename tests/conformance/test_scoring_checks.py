"""The reference of the level `serve`: maximum over active interests."""

import numpy as np
import pytest

from mindref.backend import Capabilities
from mindref.conformance.runner.claims import LEVELS, claims_of, missing_members
from mindref.conformance.runner.composed_backend import reference_model
from mindref.errors import ShapeError
from mindref.recall.exact import search_top_n
from tests.conformance.small import Right

INTERESTS = np.array([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]], [[-1.0, -1.0], [np.nan, 0.0], [0, 0]]])
ACTIVE = np.array([[True, True, False], [True, False, False]])
ITEMS = np.array([[3.0, 1.0], [-1.0, -2.0], [0.0, 0.5]])


def score(interests=INTERESTS, active=ACTIVE, items=ITEMS):
    return reference_model().scores(interests, active, items)


@pytest.mark.rules("backend-R24", "backend-R25")
def test_a_score_is_the_largest_product_of_an_active_interest():
    assert score().tolist() == [[3.0, -1.0, 1.0], [-4.0, 3.0, -0.5]]


@pytest.mark.slow  # compiles the search
@pytest.mark.rules("backend-R24")
def test_scores_are_those_of_the_exact_search():
    finite = np.nan_to_num(INTERESTS)
    found = search_top_n(finite, ACTIVE, ITEMS, n=3)
    assert (np.take_along_axis(score(finite), found.items, axis=1) == found.scores).all()


@pytest.mark.rules("backend-R26")
def test_a_user_without_an_active_interest_has_the_score_minus_infinity():
    active = ACTIVE & np.array([[True], [False]])
    assert np.isneginf(score(active=active)[1]).all()
    assert score(items=ITEMS[:0]).shape == (2, 0)
    assert (score(items=ITEMS[::-1]) == score()[:, ::-1]).all()


@pytest.mark.rules("backend-R27")
@pytest.mark.parametrize(
    "change",
    [
        {"interests": INTERESTS[:, :2]},
        {"active": ACTIVE[:, :1]},
        {"items": ITEMS[:, :1]},
        {"items": ITEMS.astype(np.float32)},
        {"active": ACTIVE.astype(int)},
        {"interests": np.ones((2, 3, 2), int), "items": np.ones((3, 2), int)},
    ],
)
def test_invalid_arrays_raise(change):
    with pytest.raises(ShapeError):
        score(**change)


@pytest.mark.rules("backend-R13")
def test_the_level_serve_needs_the_method_scores():
    claims = Capabilities((), levels=("serve",))
    assert LEVELS["serve"] == ("scores",)
    (message,) = missing_members(Right(), claims)
    assert message == "level serve is claimed, but the backend has no method scores"
    assert claims_of(Right(operators=(), levels=("serve",)), "mine:Mine").levels == ("serve",)
