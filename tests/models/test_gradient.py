"""The gradient of the whole model against central differences, for both gradients of routing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.conformance.tolerances import same_math
from mindref.models import mind
from mindref.models.parameters import catalogue_of_ids, flatten, flatten_gradients, unflatten
from mindref.ops import label_attention, sampled_softmax
from mindref.ops.embedding import RowGradient
from tests import kinked_gradients
from tests.models.worlds import OPTIONS, World, world, worlds

POWERS = [0.0, 0.5, 1.0, 2.0, 3.0, np.inf]


def with_last_couplings_constant(w: World, saved: mind.Saved) -> World:
    """Return a world of one round whose initial logits give the last couplings of this one.

    Softmax of the log of weights that sum to one is those weights, so its loss is the same number,
    and its exact gradient is what `routing_gradient="last"` claims to be.
    """
    couplings = saved.interests.routing.couplings
    init_logits = np.log(np.where(couplings > 0, couplings, 1))
    histories = w.batch.histories._replace(init_logits=init_logits)
    config = dataclasses.replace(w.config, iterations=1)
    return w._replace(batch=w.batch._replace(histories=histories), config=config)


def sides(saved: mind.Saved) -> list[Any]:
    """Return the side of every kink: rectifiers, signs of scores, the largest score."""
    scores, active = saved.attention.scores, saved.interests.active
    passed = [layer.passed for layer in saved.interests.layers if layer.passed is not None]
    return [*passed, scores > 0, np.argmax(np.where(active, scores, -np.inf), axis=1)]


def check(w: World, rng: np.random.Generator) -> None:
    loss, saved = mind.loss(w.params, w.batch, w.catalogue, w.config)
    named = flatten(w.params)
    reference = w
    if w.config.routing_gradient == "last":
        reference = with_last_couplings_constant(w, saved)

    def function(*moved: Any) -> Any:
        params = unflatten(dict(zip(named, moved, strict=True)))
        out, other = mind.loss(params, reference.batch, reference.catalogue, reference.config)
        return out, sides(other)

    def backward(cotangent: Any) -> list[Any]:
        gradients = flatten_gradients(mind.backward(saved, float(cotangent)))
        return [
            g.dense(len(named[name])) if isinstance(g, RowGradient) else g
            for name, g in gradients.items()
        ]

    same = function(*named.values())[0]
    np.testing.assert_allclose(
        same, loss, rtol=same_math(np.float64), err_msg="the loss that is differentiated"
    )
    kinked_gradients.check(function, backward, list(named.values()), rng)


@pytest.mark.rules("model-R9", "model-R10", "model-R11")
@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("routing_gradient", ["all", "last"])
@given(data=st.data())
@pytest.mark.slow(every=3)
def test_the_gradient_of_the_model_agrees_with_central_differences(
    data: st.DataObject, routing_gradient: str, power: float
) -> None:
    w = data.draw(worlds(power=power, routing_gradient=routing_gradient))
    if power in (0.5, 2.0):  # near a score of zero the power bends more than any step can follow
        _, saved = mind.loss(w.params, w.batch, w.catalogue, w.config)
        assume(np.abs(saved.attention.scores[saved.interests.active]).min() > 0.03)
    check(w, np.random.default_rng(0))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("routing_gradient", ["all", "last"])
def test_the_gradient_holds_for_every_named_option(
    options: dict[str, Any], routing_gradient: str
) -> None:
    rng = np.random.default_rng(1)
    settings = {"power": 3.0, "routing_gradient": routing_gradient, **options}
    mask = np.arange(17) < np.array([[17], [0], [5]])  # four interests, none to speak of, two
    w = world(rng, (3, 17, 4, 5), mask, **settings)
    assert len(set(w.batch.histories.items[0])) < 17, "items repeat in a history"
    assert w.batch.target[0] in w.batch.histories.items[0], "the target is in its history"
    assert w.batch.target[0] in w.batch.negatives, "a hit"
    assert len(set(w.batch.negatives)) < len(w.batch.negatives), "negatives repeat"
    check(w, rng)


@pytest.mark.rules("model-R11")
def test_the_two_gradients_of_routing_differ_and_the_losses_do_not() -> None:
    gradients = []
    for kind in ("all", "last"):
        w = world(np.random.default_rng(0), (3, 9, 3, 5), routing_gradient=kind)
        loss, saved = mind.loss(w.params, w.batch, w.catalogue, w.config)
        gradients.append((loss, mind.backward(saved).bilinear))
    assert gradients[0][0] == gradients[1][0]
    assert not np.allclose(gradients[0][1], gradients[1][1])


@pytest.mark.rules("model-R9")
def test_the_target_is_reached_as_logit_and_as_query() -> None:
    w = world(np.random.default_rng(0), (3, 9, 3, 5), power=2.0)
    histories, negatives = w.batch.histories, w.batch.negatives % 5
    items = np.where(histories.mask, histories.items % 5, 0)
    # item 5 is every target and nothing else, so its row holds both uses and nothing more
    batch = w.batch._replace(
        histories=histories._replace(items=items), target=np.full(3, 5), negatives=negatives
    )
    _, saved = mind.loss(w.params, batch, catalogue_of_ids(6, "float64"), w.config)
    d_user, d_logit, _ = sampled_softmax.backward(1.0, saved.softmax)
    _, d_query = label_attention.backward(d_user, saved.attention)
    assert d_query.any()
    expected = (d_logit + d_query).sum(axis=0)
    np.testing.assert_allclose(
        mind.backward(saved).items.dense(10)[5],
        expected,
        rtol=same_math(np.float64),
        err_msg="both uses",
    )


@pytest.mark.rules("model-R10")
def test_the_gradient_of_the_table_names_each_row_once() -> None:
    w = world(np.random.default_rng(0), (4, 9, 3, 5))
    _, saved = mind.loss(w.params, w.batch, w.catalogue, w.config)
    rows = mind.backward(saved).items.rows
    assert (np.diff(rows) > 0).all()
