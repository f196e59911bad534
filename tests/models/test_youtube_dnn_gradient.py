"""The gradient of YouTube DNN against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance.tolerances import VANISHING, same_math
from mindref.models import mind, youtube_dnn
from tests import kinked_gradients
from tests.models.worlds import World
from tests.models.youtube_dnn_worlds import OPTIONS, arrays, dense, drawn, made, of_arrays


def check(w: World, rng: np.random.Generator) -> None:
    _, saved = youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)

    def function(*moved: Any) -> Any:
        params = of_arrays(moved)
        out, other = youtube_dnn.loss(params, w.batch, w.catalogue, w.config)
        return out, [x.passed for x in other.interests.layers if x.passed is not None]

    def backward(cotangent: Any) -> list[Any]:
        return dense(youtube_dnn.backward(saved, float(cotangent)), w.params)

    kinked_gradients.check(function, backward, arrays(w.params), rng)


@pytest.mark.rules("youtube_dnn-R8", "youtube_dnn-R9")
@given(w=drawn())
def test_the_gradient_agrees_with_central_differences(w: World) -> None:
    check(w, np.random.default_rng(0))


@pytest.mark.rules("youtube_dnn-R8", "youtube_dnn-R9")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("recency", [False, True])
def test_the_gradient_holds_for_every_setting(options: dict[str, Any], recency: bool) -> None:
    mask = np.arange(17) < np.array([[17], [0], [5]])
    w = made(1, (3, 17, 5), mask, recency=recency, **options)
    assert len(set(w.batch.histories.items[0])) < 17, "items repeat in a history"
    assert w.batch.target[0] in w.batch.histories.items[0], "the target is in its history"
    assert w.batch.target[0] in w.batch.negatives, "a hit"
    check(w, np.random.default_rng(1))


@pytest.mark.rules("youtube_dnn-R8")
def test_the_gradient_of_the_table_names_each_row_once_and_adds_the_three_uses() -> None:
    w = made(0, (4, 9, 5))
    _, saved = youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)
    items = youtube_dnn.backward(saved).items
    assert (np.diff(items.rows) > 0).all()
    used = [w.batch.histories.items[w.batch.histories.mask], w.batch.target, w.batch.negatives]
    ids = np.concatenate(used)
    counted = w.catalogue.weights[ids] > 0
    assert set(items.rows) == set(w.catalogue.rows[ids][counted])


@pytest.mark.rules("youtube_dnn-R9")
def test_the_gradient_of_the_log_weights_sums_to_zero_and_ends_where_behaviours_do() -> None:
    mask = np.arange(9) < np.array([[4], [1], [0]])
    w = made(0, (3, 9, 5), mask)
    _, saved = youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)
    d_positions = youtube_dnn.backward(saved).positions
    assert d_positions.shape == (1, 9)
    assert d_positions[0, :4].all()
    assert not d_positions[0, 4:].any()
    np.testing.assert_allclose(d_positions.sum(), 0, rtol=0, atol=VANISHING)


@pytest.mark.rules("youtube_dnn-R9")
def test_without_log_weights_there_is_no_gradient_of_them() -> None:
    w = made(0, (3, 9, 5), recency=False)
    _, saved = youtube_dnn.loss(w.params, w.batch, w.catalogue, w.config)
    assert youtube_dnn.backward(saved).positions.shape == (0, 9)


def test_the_vector_alone_has_the_gradient_of_its_own() -> None:
    """What a family of one vector hands to somebody else's loss."""
    w = made(2, (3, 6, 4))

    def function(*moved: Any) -> Any:
        given_ = (of_arrays(moved), w.batch.histories, w.catalogue, w.config)
        out, _, saved = youtube_dnn.user_vectors(*given_)
        return out, [x.passed for x in saved.layers if x.passed is not None]

    _, _, saved = youtube_dnn.user_vectors(w.params, w.batch.histories, w.catalogue, w.config)

    def backward(cotangent: Any) -> list[Any]:
        found = youtube_dnn.user_vectors_backward(cotangent, saved)
        return dense(youtube_dnn.Gradients(*found), w.params)

    kinked_gradients.check(function, backward, arrays(w.params), np.random.default_rng(5))


def test_one_behaviour_weighs_one_whatever_the_log_weights() -> None:
    w = made(0, (3, 4, 5), np.arange(4) < np.ones((3, 1), int))
    plain = w._replace(params=w.params._replace(positions=w.params.positions[:0]))
    given_ = w.batch.histories, w.catalogue, w.config
    one, other = (youtube_dnn.user_vectors(x.params, *given_)[0] for x in (w, plain))
    np.testing.assert_allclose(one, other, rtol=same_math(np.float64))
    assert isinstance(w.batch.histories, mind.Histories)
