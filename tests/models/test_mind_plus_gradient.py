"""The gradient of MIND plus against central differences, over all settings of the family."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.tolerances import GRADIENT, VANISHING, same_math
from mindref.models import mind_plus
from mindref.models.parameters import catalogue_of_ids
from mindref.ops import label_attention, sampled_softmax
from tests import kinked_gradients
from tests.models.mind_plus_worlds import (
    LOSSES,
    OPTIONS,
    World,
    arrays,
    dense,
    drawn,
    made,
    of_arrays,
)


def differentiated(w: World, couplings: Any) -> World:
    """Return the world whose exact gradient is asked for.

    For "last" it is that of one round whose initial logits give the last couplings of this one.
    """
    if w.config.routing_gradient == "all":
        return w
    init_logits = np.log(np.where(couplings > 0, couplings, 1))
    shared = w.batch.shared
    histories = shared.histories._replace(init_logits=init_logits)
    batch = w.batch._replace(shared=shared._replace(histories=histories))
    return w._replace(batch=batch, config=dataclasses.replace(w.config, iterations=1))


def sides(saved: mind_plus.Saved) -> list[Any]:
    """Return the side of every kink: rectifiers, the interest that an item is scored by."""
    found = [x.passed for x in saved.interests.head.layers if x.passed is not None]
    if saved.attention is None:
        best: Any = saved.softmax
        return [*found, best.target_slopes != 0, best.negative_slopes != 0]
    scores, active = saved.attention.scores, saved.interests.active
    return [*found, scores > 0, np.argmax(np.where(active, scores, -np.inf), axis=1)]


def check(w: World, rng: np.random.Generator) -> None:
    loss, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    other = differentiated(w, saved.interests.routing.couplings)

    def function(*moved: Any) -> Any:
        params = of_arrays(moved, w.params)
        out, kept = mind_plus.loss(params, other.batch, other.catalogue, other.config)
        return out, sides(kept)

    def backward(cotangent: Any) -> list[Any]:
        return dense(mind_plus.backward(saved, float(cotangent)), w.params)

    same = function(*arrays(w.params))[0]
    rtol = same_math(np.float64)
    np.testing.assert_allclose(same, loss, rtol=rtol, err_msg="the loss that is differentiated")
    kinked_gradients.check(function, backward, arrays(w.params), rng)


@pytest.mark.rules("mind_plus-R18", "mind_plus-R19")
@pytest.mark.parametrize("of_loss", LOSSES, ids=str)
@pytest.mark.parametrize("routing_gradient", ["all", "last"])
@given(data=st.data())
@pytest.mark.slow(every=3)
def test_the_gradient_agrees_with_central_differences(
    data: st.DataObject, routing_gradient: str, of_loss: dict[str, Any]
) -> None:
    w = data.draw(drawn(routing_gradient=routing_gradient, **of_loss))
    check(w, np.random.default_rng(0))


@pytest.mark.rules("mind_plus-R14", "mind_plus-R18", "mind_plus-R19")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("routing_gradient", ["all", "last"])
@pytest.mark.parametrize("keep", [False, True])
def test_the_gradient_holds_for_every_setting(
    options: dict[str, Any], routing_gradient: str, keep: bool
) -> None:
    given_ = {"routing_gradient": routing_gradient, "attention": "pooled", **options}
    w = made(1, keep=keep, **given_)
    shared = w.batch.shared
    assert len(set(shared.histories.items[0])) < 17, "items repeat in a history"
    assert shared.target[0] in shared.histories.items[0], "the target is in its history"
    assert shared.target[0] in shared.negatives, "a hit"
    check(w, np.random.default_rng(1))


@pytest.mark.rules("mind_plus-R18")
@pytest.mark.parametrize("of_loss", LOSSES, ids=str)
def test_the_gradient_of_the_table_names_each_row_once(of_loss: dict[str, Any]) -> None:
    w = made(0, keep=True, contexts=2, recency="interests", **of_loss)
    _, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    items = mind_plus.backward(saved).items
    assert (np.diff(items.rows) > 0).all()
    shared = w.batch.shared
    used = [shared.histories.items[shared.histories.mask], shared.target, shared.negatives]
    ids = np.concatenate(used)
    counted = w.catalogue.weights[ids] > 0
    assert set(items.rows) == set(w.catalogue.rows[ids][counted])


@pytest.mark.rules("mind_plus-R18")
def test_the_target_is_reached_as_logit_and_as_query() -> None:
    w = made(0, power=2.0, recency="interests")
    shared = w.batch.shared
    histories = shared.histories
    items = np.where(histories.mask, histories.items % 5, 0)
    # item 5 is every target and nothing else, so its row holds both uses and nothing more
    batch = w.batch._replace(
        shared=shared._replace(
            histories=histories._replace(items=items),
            target=np.full(4, 5),
            negatives=shared.negatives % 5,
        )
    )
    _, saved = mind_plus.loss(w.params, batch, catalogue_of_ids(6, "float64"), w.config)
    d_user, d_logit, _ = sampled_softmax.backward(1.0, saved.softmax)  # type: ignore[arg-type]
    assert saved.attention is not None
    _, d_query = label_attention.backward(d_user, saved.attention)
    assert d_query.any()
    np.testing.assert_allclose(
        mind_plus.backward(saved).items.dense(10)[5],
        (d_logit + d_query).sum(axis=0),
        rtol=same_math(np.float64),
        err_msg="both uses",
    )


@pytest.mark.rules("mind_plus-R19")
@pytest.mark.parametrize("recency", ["shared", "interests"])
def test_the_gradient_by_age_ends_where_behaviours_do(recency: str) -> None:
    mask = np.arange(9) < np.array([[4], [1], [0]])
    given_ = {"recency": recency, "contexts": 2, "interest_count": "fixed", "attention": "pooled"}
    w = made(0, (3, 9, 2, 5), mask, **given_)
    _, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
    d_positions = mind_plus.backward(saved).positions
    assert d_positions.shape == (9, {"shared": 3, "interests": 4}[recency])
    assert d_positions[:4].all()
    assert not d_positions[4:].any()


@pytest.mark.rules("mind_plus-R19")
def test_the_gradient_of_a_shared_weight_is_the_sum_over_interests() -> None:
    """A table of each interest whose columns are all alike is the same model."""
    one = made(0, recency="shared", contexts=2)
    columns = [0, 0, 0, 0, 1, 2]
    config = dataclasses.replace(one.config, recency="interests")
    positions = one.params.positions[:, columns]
    each = one._replace(config=config, params=one.params._replace(positions=positions))
    found = []
    for w in (one, each):
        _, saved = mind_plus.loss(w.params, w.batch, w.catalogue, w.config)
        found.append(mind_plus.backward(saved).positions)
    summed = np.concatenate([found[1][:, :4].sum(axis=1, keepdims=True), found[1][:, 4:]], axis=1)
    np.testing.assert_allclose(found[0], summed, rtol=GRADIENT, atol=VANISHING)
    assert found[0][:, 0].any()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_interests_alone_have_the_gradient_of_their_own(options: dict[str, Any]) -> None:
    """What a family hands to somebody else's loss; an inactive interest sends nothing back."""
    w = made(2, routing_gradient="all", keep=True, **options)

    def function(*moved: Any) -> Any:
        given_ = (of_arrays(moved, w.params), w.batch.shared.histories, w.catalogue, w.config)
        out, _, saved = mind_plus.mind_plus_interests(*given_, keep=w.batch.keep)
        return out, [x.passed for x in saved.head.layers if x.passed is not None]

    given_ = (w.params, w.batch.shared.histories, w.catalogue, w.config)
    _, active, saved = mind_plus.mind_plus_interests(*given_, keep=w.batch.keep)
    assert not active.all()

    def backward(cotangent: Any) -> list[Any]:
        found = mind_plus.mind_plus_interests_backward(cotangent, saved)
        return dense(mind_plus.Gradients(*found), w.params)

    kinked_gradients.check(function, backward, arrays(w.params), np.random.default_rng(5))
