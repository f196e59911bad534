"""The gradient of MaxMF against central differences, and which rows it names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.tolerances import same_math
from mindref.models import maxmf, warp
from mindref.models.parameters import catalogue_of_ids
from mindref.ops.embedding import RowGradient
from tests import kinked_gradients
from tests.models.maxmf_worlds import World, world, worlds


def check(w: World, pair_loss: str, rng: np.random.Generator) -> None:
    """Compare where neither a best interest nor a violator changes on the way."""
    _, saved = maxmf.loss(w.params, w.batch, w.catalogue, w.config, pair_loss=pair_loss)

    def function(*moved: Any) -> Any:
        params = maxmf.Params(*moved)
        out, other = maxmf.loss(params, w.batch, w.catalogue, w.config, pair_loss=pair_loss)
        return out, [*other.interest, other.pairs.weights > 0, other.pairs.weights]

    def backward(cotangent: Any) -> list[Any]:
        gradients = maxmf.backward(saved, float(cotangent))
        tables = zip(gradients, w.params, strict=True)
        return [gradient.dense(len(table)) for gradient, table in tables]

    kinked_gradients.check(function, backward, list(w.params), rng)


@pytest.mark.rules("maxmf-R5", "maxmf-R14", "maxmf-R15")
@pytest.mark.parametrize("pair_loss", warp.PAIR_LOSSES)
@given(data=st.data())
def test_the_gradient_agrees_with_central_differences(data: st.DataObject, pair_loss: str) -> None:
    check(data.draw(worlds()), pair_loss, np.random.default_rng(0))


@pytest.mark.rules("maxmf-R14")
@pytest.mark.parametrize("pair_loss", warp.PAIR_LOSSES)
def test_where_users_repeat_and_target_and_negative_share_an_interest(pair_loss: str) -> None:
    rng = np.random.default_rng(2)
    w = world(rng, (9, 1, 3, 4), np.zeros((9, 1), bool))
    w = w._replace(batch=w.batch._replace(rows=np.array([1, 1, 1, 0, 3, 2, 0, 2, 2])))
    _, saved = maxmf.loss(w.params, w.batch, w.catalogue, w.config, pair_loss=pair_loss)
    counted = saved.pairs.weights > 0
    shared = counted & (saved.interest[1] == saved.interest[0][:, None])
    assert shared.any(), "the best for the target is the best for the negative"
    assert (counted & ~shared).any(), "and is not"
    assert len(set(w.batch.shared.negatives)) < len(w.batch.shared.negatives), "negatives repeat"
    check(w, pair_loss, rng)


@pytest.mark.rules("maxmf-R15", "maxmf-R16")
@given(data=st.data())
def test_each_row_is_named_once_and_only_where_something_moves(data: st.DataObject) -> None:
    w = data.draw(worlds())
    _, saved = maxmf.loss(w.params, w.batch, w.catalogue, w.config)
    for gradient in maxmf.backward(saved):
        assert (np.diff(gradient.rows) > 0).all()
        assert gradient.values.any(axis=1).all()


@pytest.mark.rules("maxmf-R16")
def test_an_interest_that_was_not_chosen_keeps_still() -> None:
    w = world(np.random.default_rng(0), (1, 1, 2, 3), np.zeros((1, 1), bool))
    users = np.zeros((8, 3))
    users[4] = 1.0  # interest 0 of user 2 is the best for whatever points that way
    items = np.abs(w.params.items) + 0.1
    batch = w.batch._replace(rows=np.array([2]))
    catalogue = catalogue_of_ids(6, "float64")
    _, saved = maxmf.loss(maxmf.Params(items, users), batch, catalogue, w.config)
    gradients = maxmf.backward(saved)
    assert gradients.users.rows.tolist() == [4]
    assert len(gradients.items.rows) == 2, "the target and the first violator"


@pytest.mark.rules("maxmf-R5")
def test_a_pair_in_order_moves_nothing() -> None:
    w = world(np.random.default_rng(0), (3, 5, 2, 4))
    known = np.ones((3, len(w.batch.shared.negatives)), bool)
    batch = w.batch._replace(is_known=known)
    loss, saved = maxmf.loss(w.params, batch, w.catalogue, w.config)
    assert loss == 0
    assert [len(gradient.rows) for gradient in maxmf.backward(saved)] == [0, 0]


@pytest.mark.rules("maxmf-R17")
def test_moved_rows_are_shortened_and_no_others() -> None:
    items = np.array([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0], [0.0, 0.0]])
    params = maxmf.Params(items.copy(), np.array([[0.0, -2.0]]))
    moved = RowGradient(np.array([0, 1, 3]), np.ones((3, 2)))
    maxmf.project_moved_rows(
        params, maxmf.Gradients(moved, RowGradient(np.array([0]), np.ones((1, 2)))), 1.0
    )
    expected = [[0.6, 0.8], [0.3, 0.4], [6.0, 8.0], [0.0, 0.0]]
    np.testing.assert_allclose(params.items, expected, rtol=same_math(np.float64))
    np.testing.assert_array_equal(params.items[1:], items[1:], "untouched to the bit")
    assert params.users.tolist() == [[0.0, -1.0]]
