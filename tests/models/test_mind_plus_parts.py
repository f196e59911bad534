"""MIND plus part by part: weights by age, contexts, votes and heads."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.tolerances import GRADIENT, VANISHING, same_math
from mindref.errors import ShapeError
from mindref.models import mind, mind_plus
from mindref.models.mind_plus import ages, contexts
from mindref.models.parameters import Layer
from mindref.ops import routing
from tests.models.mind_plus_worlds import (
    World,
    config_of,
    dense,
    drawn,
    interests_of,
    loss_of,
    made,
)

SAME = same_math(np.float64)


@pytest.mark.rules("mind_plus-R1")
def test_ages_count_the_behaviours_that_follow_and_not_the_places() -> None:
    config = config_of(recency="interests", interests=2, contexts=1)
    positions = np.arange(12.0).reshape(4, 3) + 1  # row a is 3 a + 1, 3 a + 2, 3 a + 3
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], bool)
    found, _ = ages.forward(positions, mask, config)
    expected = [[7, 0, 4, 1, 0], [0, 0, 0, 0, 0], [0, 4, 0, 0, 1]]
    np.testing.assert_array_equal(found[..., 0], expected)
    np.testing.assert_array_equal(found[mask], found[mask][:, :1] + [0, 1, 2])


@pytest.mark.rules("mind_plus-R1")
@pytest.mark.parametrize("garbage", [0, 5, -3, 10**12])
@given(data=st.data())
def test_padding_anywhere_changes_nothing(data: st.DataObject, garbage: int) -> None:
    w = data.draw(drawn(attention="pooled", recency="interests"))
    shared, histories = w.batch.shared, w.batch.shared.histories
    users, places = histories.mask.shape
    at = np.sort(data.draw(st.permutations(range(places + 3)))[:places])

    def spread(x: Any, fill: Any) -> Any:
        wide = np.full((users, places + 3, *x.shape[2:]), fill, x.dtype)
        wide[:, at] = x
        return wide

    wider = histories._replace(
        items=spread(np.where(histories.mask, histories.items, garbage), garbage),
        mask=spread(histories.mask, False),
        init_logits=spread(histories.init_logits, 7.0),
    )
    keep = None if w.batch.keep is None else spread(w.batch.keep, 3.0)
    batches = [w.batch, mind_plus.Batch(shared._replace(histories=wider), keep)]
    results = [mind_plus.loss(w.params, b, w.catalogue, w.config) for b in batches]
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=SAME, err_msg="loss")
    first, second = (mind_plus.backward(saved) for _, saved in results)
    assert first.items.rows.tolist() == second.items.rows.tolist()
    for x, y in zip(dense(first, w.params), dense(second, w.params), strict=True):
        np.testing.assert_allclose(x, y, rtol=GRADIENT, atol=VANISHING, err_msg="gradient")


@pytest.mark.rules("mind_plus-R3")
@pytest.mark.parametrize(("recency", "own"), [("none", 0), ("shared", 1), ("interests", 3)])
@pytest.mark.parametrize("count", [0, 2])
def test_recency_says_how_many_weights_an_age_has(recency: str, own: int, count: int) -> None:
    config = config_of(recency=recency, interests=3, contexts=count, window=5)
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
def test_weights_that_differ_tell_interests_apart_from_zero_logits(votes: str) -> None:
    for recency in ("none", "shared", "interests"):
        w = without_noise(made(0, recency=recency, votes=votes, contexts=1))
        out, active, _ = interests_of(w)
        several = active.sum(axis=1) > 1
        assert several.any()
        alike = np.allclose(out[several, 0], out[several, 1], rtol=SAME)
        assert alike == (recency != "interests"), recency


def without_noise(w: World) -> World:
    """Return the world with zero initial logits, as from sigma = 0."""
    shared = w.batch.shared
    histories = shared.histories._replace(init_logits=0 * shared.histories.init_logits)
    return w._replace(batch=w.batch._replace(shared=shared._replace(histories=histories)))


@pytest.mark.rules("mind_plus-R4")
@pytest.mark.parametrize("iterations", [1, 3])
def test_a_heavy_age_is_the_behaviour_that_stands_there(iterations: int) -> None:
    """One behaviour that counts for an interest leaves the vote of this behaviour alone."""
    settings = {"recency": "interests", "head": "none", "squash": "unit", "iterations": iterations}
    w = made(0, (1, 5, 2, 3), np.ones((1, 5), bool), **settings)
    histories = w.batch.shared.histories
    vectors, _ = mind.item_vectors(w.params, histories.items[0], w.catalogue)
    votes = vectors @ w.params.bilinear.T
    for back in range(5):
        positions = np.where(np.arange(5) == back, 300.0, -300.0)[:, None] * [1, 0]
        w = w._replace(params=w.params._replace(positions=positions))
        vote = votes[4 - back]
        expected = vote / np.linalg.norm(vote)
        np.testing.assert_allclose(interests_of(w)[0][0, 0], expected, rtol=SAME, err_msg=str(back))


@pytest.mark.rules("mind_plus-R5")
@pytest.mark.parametrize("recency", ["none", "shared", "interests"])
def test_a_behaviour_older_than_the_table_is_named(recency: str) -> None:
    w = made(0, (2, 5, 2, 3), np.ones((2, 5), bool), recency=recency)
    short = w._replace(params=w.params._replace(positions=w.params.positions[:4]))
    with pytest.raises(ShapeError) as caught:
        interests_of(short)
    assert str(caught.value) == "positions: rows: expected indices from 0 to 3, got 4"


@pytest.mark.rules("mind_plus-R6", "mind_plus-R7")
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"squash": "unit"}, {"routing": "uniform"}, {"routing_axis": "behaviours"}],
    ids=str,
)
def test_a_context_is_routing_with_one_interest(options: dict[str, Any], count: int) -> None:
    w = made(0, contexts=count, recency="interests", iterations=3, **options)
    mask = w.batch.shared.histories.mask
    history, _ = mind.behaviour_vectors(w.params, w.batch.shared.histories, w.catalogue)
    log_weights, _ = ages.forward(w.params.positions, mask, w.config)
    given_ = (history, mask, w.params.bilinear)
    found, _ = contexts.forward(
        w.params.bilinear, history, mask, log_weights[..., 4:], w.config, mind_plus.reference
    )
    assert found.shape == (4, count * 5)
    assert not found[1].any(), "no behaviours"
    for m in range(count):
        one = log_weights[..., 4 + m : 5 + m]
        alone, _ = routing.forward(
            *given_,
            np.full((*mask.shape, 1), 3.0),
            np.ones((4, 1), bool),
            one,
            iterations=2,
            gradient="last",
            kind=w.config.squash,
        )
        got = found.reshape(4, count, 5)[:, m]
        np.testing.assert_allclose(got, alone[:, 0], rtol=SAME, atol=VANISHING, err_msg=str(m))


@pytest.mark.rules("mind_plus-R7")
def test_contexts_do_not_feel_each_other() -> None:
    w = made(0, contexts=3)
    before = inputs(w)[..., 9:]
    positions = w.params.positions + 5 * np.eye(3)[1]
    after = inputs(w._replace(params=w.params._replace(positions=positions)))[..., 9:]
    changed = [not np.allclose(before[..., s], after[..., s]) for s in np.split(np.arange(15), 3)]
    assert changed == [False, True, False]


def inputs(w: World) -> Any:
    """Return what the layers are given (B, K, D + P + M D), one window of D columns at a time."""
    width = w.config.width
    parts = []
    count = width + 4 + w.config.contexts * width  # the profile has four numbers
    for at in range(count):
        picks = np.zeros((count, width))
        picks[at, 0] = 1
        layers = (Layer(picks, np.zeros(width)),)
        parts.append(interests_of(w._replace(params=w.params._replace(layers=layers)))[0][..., 0])
    return np.stack(parts, axis=-1)


@pytest.mark.rules("mind_plus-R9")
def test_capsule_profile_and_contexts_stand_side_by_side_in_this_order() -> None:
    w = made(0, contexts=2, recency="interests")
    found = inputs(w)
    active = interests_of(w)[1]
    bare = w._replace(config=dataclasses.replace(w.config, contexts=0, head="none"))
    bare = bare._replace(params=bare.params._replace(positions=w.params.positions[:, :4]))
    histories = w.batch.shared.histories
    profile, _ = mind.profile_vectors(w.params, histories.profile)
    history, _ = mind.behaviour_vectors(w.params, histories, w.catalogue)
    log_weights, _ = ages.forward(w.params.positions, histories.mask, w.config)
    given_ = (w.params.bilinear, history, histories.mask, log_weights[..., 4:], w.config)
    beside, _ = contexts.forward(*given_, mind_plus.reference)
    expected = [interests_of(bare)[0], profile[:, None], beside[:, None]]
    for part, want in zip(np.split(found, [5, 9], axis=2), expected, strict=True):
        shape = part.shape
        want = np.where(active[..., None], np.broadcast_to(want, shape), 0)
        np.testing.assert_allclose(part, want, rtol=SAME, atol=VANISHING)


@pytest.mark.rules("mind_plus-R8")
def test_votes_of_items_are_those_of_the_identity_and_there_is_no_matrix() -> None:
    w = made(0, votes="items", recency="interests", contexts=2, iterations=3)
    assert w.params.bilinear.shape == (0, 0)
    _, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    assert mind_plus.backward(saved).bilinear.shape == (0, 0)
    config = dataclasses.replace(w.config, votes="matrix")
    params = w.params._replace(bilinear=np.eye(5))
    other = mind_plus.loss(params, w.batch, w.catalogue, config)
    assert loss_of(w) == other[0]
    assert mind_plus.backward(other[1]).bilinear.any()
    np.testing.assert_array_equal(
        mind_plus.backward(saved).items.values, mind_plus.backward(other[1]).items.values
    )


@pytest.mark.rules("mind_plus-R10", "mind_plus-R11")
@pytest.mark.parametrize("last_relu", [False, True])
def test_the_head_is_layers_or_their_sum_with_the_capsule_or_the_capsule(last_relu: bool) -> None:
    w = made(0, recency="interests", last_relu=last_relu)
    found = {}
    for head in ("layers", "residual", "none"):
        changed = w._replace(config=dataclasses.replace(w.config, head=head))
        found[head] = interests_of(changed)[0]
    sums = found["layers"] + found["none"]
    np.testing.assert_allclose(found["residual"], sums, rtol=SAME, atol=VANISHING)
    assert found["layers"].any()
    lengths = np.linalg.norm(found["none"], axis=2)
    assert 0 < lengths.max() < 1, "a capsule as it is"


@pytest.mark.rules("mind_plus-R11")
def test_without_a_head_no_layer_is_learned() -> None:
    w = made(0, head="none")
    assert w.params.layers == ()
    _, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    assert mind_plus.backward(saved).layers == ()


@pytest.mark.rules("mind_plus-R12")
@pytest.mark.parametrize("head", ["layers", "residual"])
def test_bias_profile_and_contexts_cannot_revive_an_inactive_interest(head: str) -> None:
    w = made(0, head=head, contexts=2, recency="interests")
    layers = tuple(layer._replace(bias=layer.bias + 10) for layer in w.params.layers)
    params = w.params._replace(profile=w.params.profile + 10, layers=layers)
    out, active, _ = interests_of(w._replace(params=params))
    assert active.sum(axis=1).tolist() == [4, 1, 2, 1]
    assert not out[~active].any()
    assert out[active].all()
