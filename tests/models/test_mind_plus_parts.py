"""MIND plus part by part: weights by age, contexts, votes and heads."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mindref.conformance.tolerances import same_math
from mindref.errors import ShapeError
from mindref.models import mind, mind_plus
from mindref.models.mind_plus import ages, contexts
from mindref.ops import routing
from tests.assertions import assert_close, raises_exactly
from tests.models.worlds import World, plus_config, plus_world

SAME = same_math(np.float64)


def with_config(w: World, **changes: Any) -> World:
    return w._replace(config=dataclasses.replace(w.config, **changes))


@pytest.mark.rules("mind_plus-R1")
def test_ages_count_the_behaviours_that_follow_and_not_the_places() -> None:
    config = plus_config(recency="interests", interests=2, contexts=1)
    positions = np.arange(12.0).reshape(4, 3) + 1  # row a is 3 a + 1, 3 a + 2, 3 a + 3
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], bool)
    found, _ = ages.forward(positions, mask, config)
    expected = [[7, 0, 4, 1, 0], [0, 0, 0, 0, 0], [0, 4, 0, 0, 1]]
    np.testing.assert_array_equal(found[..., 0], expected)
    np.testing.assert_array_equal(found[mask], found[mask][:, :1] + [0, 1, 2])


@pytest.mark.rules("mind_plus-R3")
@pytest.mark.parametrize(("recency", "own"), [("none", 0), ("shared", 1), ("interests", 3)])
@pytest.mark.parametrize("count", [0, 2])
def test_recency_sets_the_number_of_weights_of_an_age(recency: str, own: int, count: int) -> None:
    config = plus_config(recency=recency, interests=3, contexts=count, window=5)
    positions = np.random.default_rng(0).standard_normal((5, own + count))
    assert ages.start(config).shape == positions.shape
    found, _ = ages.forward(positions, np.ones((1, 5), bool), config)
    back = positions[::-1]
    of_interests = {
        "none": np.zeros((5, 3)),
        "shared": back[:, [0, 0, 0]] if own else None,
        "interests": back[:, :own],
    }[recency]
    np.testing.assert_array_equal(found[0], np.concatenate([of_interests, back[:, own:]], axis=1))


@pytest.mark.rules("mind_plus-R4")
@pytest.mark.parametrize("votes", ["matrix", "items"])
def test_weights_that_differ_separate_interests_even_with_zero_logits(votes: str) -> None:
    for recency in ("none", "shared", "interests"):
        w = plus_world(0, recency=recency, votes=votes, contexts=1)
        out, active, _ = w.with_histories(init_logits=0 * w.histories.init_logits).interests()
        several = active.sum(axis=1) > 1
        assert several.any()
        alike = np.allclose(out[several, 0], out[several, 1], rtol=SAME)
        assert alike == (recency != "interests"), recency


@pytest.mark.rules("mind_plus-R5")
@pytest.mark.parametrize("recency", ["none", "shared", "interests"])
def test_a_behaviour_older_than_the_table_raises(recency: str) -> None:
    w = plus_world(0, (2, 5, 2, 3), np.ones((2, 5), bool), recency=recency)
    with raises_exactly(ShapeError, "positions: rows: expected indices from 0 to 3, got 4"):
        w.with_params(positions=w.params.positions[:4]).interests()


@pytest.mark.rules("mind_plus-R6", "mind_plus-R7")
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"squash": "unit"}, {"routing": "uniform"}, {"routing_axis": "behaviours"}],
    ids=str,
)
def test_a_context_is_routing_with_one_interest(options: dict[str, Any], count: int) -> None:
    w = plus_world(0, contexts=count, recency="interests", iterations=3, **options)
    mask = w.histories.mask
    history, log_weights, of_contexts = parts_of_contexts(w)
    assert of_contexts.shape == (4, count * 5)
    assert not of_contexts[1].any(), "no behaviours"
    arrays = (
        history,
        mask,
        w.params.bilinear,
        np.full((*mask.shape, 1), 3.0),
        np.ones((4, 1), bool),
    )
    for m in range(count):
        one = log_weights[..., 4 + m : 5 + m]
        numbers = {"iterations": 2, "gradient": "last", "kind": w.config.squash}
        alone, _ = routing.forward(*arrays, one, **numbers)
        assert_close(of_contexts.reshape(4, count, 5)[:, m], alone[:, 0], str(m))


def parts_of_contexts(w: World) -> tuple[Any, Any, Any]:
    """Return vectors of the behaviours, log weights, and the contexts of a world with K = 4."""
    history, _ = mind.behaviour_vectors(w.params, w.histories, w.catalogue)
    log_weights, _ = ages.forward(w.params.positions, w.histories.mask, w.config)
    given_ = (w.params.bilinear, history, w.histories.mask, log_weights[..., 4:], w.config)
    return history, log_weights, contexts.forward(*given_, mind_plus.reference)[0]


@pytest.mark.rules("mind_plus-R8")
def test_votes_of_items_are_those_of_the_identity_and_there_is_no_matrix() -> None:
    w = plus_world(0, votes="items", recency="interests", contexts=2, iterations=3)
    identity = with_config(w, votes="matrix").with_params(bilinear=np.eye(5))
    assert w.params.bilinear.shape == w.gradients().bilinear.shape == (0, 0)
    assert w.loss()[0] == identity.loss()[0]
    assert identity.gradients().bilinear.any()
    np.testing.assert_array_equal(w.gradients().items.values, identity.gradients().items.values)


@pytest.mark.rules("mind_plus-R11")
def test_without_a_head_no_layer_is_learned() -> None:
    w = plus_world(0, head="none")
    assert w.params.layers == ()
    assert w.gradients().layers == ()
