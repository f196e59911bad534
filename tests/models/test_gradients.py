"""The gradients of all families that train by steps, against central differences."""

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance import strategies
from mindref.models import din, maxmf, mind, mind_plus, warp, youtube_dnn
from mindref.models.parameters import flatten, unflatten
from mindref.ops.embedding import RowGradient
from tests import kinked_gradients
from tests.assertions import assert_close
from tests.models.worlds import (
    DIN_OPTIONS,
    LENGTHS,
    LOSS_OPTIONS,
    OPTIONS,
    PLUS_LOSSES,
    PLUS_OPTIONS,
    din_world,
    maxmf_world,
    maxmf_worlds,
    plus_world,
    world,
    youtube_world,
)

POWERS = [0.0, 0.5, 1.0, 2.0, np.inf]
EACH_GRADIENT = pytest.mark.parametrize("routing_gradient", ["all", "last"])
EACH_DIN_OPTION = pytest.mark.parametrize("options", DIN_OPTIONS, ids=str)
EACH_PAIR_LOSS = pytest.mark.parametrize("pair_loss", warp.PAIR_LOSSES)


def with_last_couplings_constant(w):
    """Return a world of one iteration whose initial logits give the last couplings of this one.

    Softmax of the log of weights that sum to one is those weights, so its loss is the same number,
    and its exact gradient is what `routing_gradient="last"` claims to be.
    """
    couplings = w.loss()[1].interests.routing.couplings
    once = w.with_histories(init_logits=np.log(np.where(couplings > 0, couplings, 1)))
    return once.with_config(iterations=1)


def passed_of(layers):
    """Return the side of every rectifier."""
    return [layer.passed for layer in layers if layer.passed is not None]


def sides(family, saved):
    """Return the side of every kink: rectifiers, signs of scores, the interest that is largest."""
    if family is din:
        unit = saved.logits.attention
        return passed_of([unit, *unit.layers, *saved.logits.layers])
    if family is maxmf:
        return [*saved.interest, saved.pairs.weights > 0, saved.pairs.weights]
    passed = passed_of(saved.interests.layers)
    if family is youtube_dnn:
        return passed
    if saved.attention is None:
        return [*passed, saved.softmax.target_slopes != 0, saved.softmax.negative_slopes != 0]
    scores, active = saved.attention.scores, saved.interests.active
    return [*passed, scores > 0, np.argmax(np.where(active, scores, -np.inf), axis=1)]


def check(w, seed=0, **options):
    """Compare the gradient along a random direction of all parameters at once."""
    loss, saved = w.loss(**options)
    named = flatten(w.params)
    last = getattr(w.config, "routing_gradient", "all") == "last" and w.family in (mind, mind_plus)
    differentiated = with_last_couplings_constant(w) if last else w

    def function(*moved):
        params = unflatten(dict(zip(named, moved, strict=True)), type(w.params))
        out, other = differentiated._replace(params=params).loss(**options)
        return out, sides(w.family, other)

    def backward(cotangent):
        gradients = w.dense(w.family.backward(saved, float(cotangent)))
        return [gradients[name] for name in named]

    inputs = list(named.values())
    assert_close(function(*inputs)[0], loss, "the loss that is differentiated", atol=0)
    kinked_gradients.check(function, backward, inputs, np.random.default_rng(seed))


@pytest.mark.rules("maxmf-R5", "maxmf-R14", "maxmf-R15", "maxmf-R16")
@EACH_PAIR_LOSS
@given(w=maxmf_worlds())
def test_the_gradient_of_maxmf(w, pair_loss):
    check(w, pair_loss=pair_loss)
    for gradient in w.gradients(pair_loss=pair_loss):
        assert (np.diff(gradient.rows) > 0).all()
        assert gradient.values.any(axis=1).all(), "a row of zeros must not be updated"


@pytest.mark.rules("din-R8")
@EACH_DIN_OPTION
@given(rng=strategies.generators(), axes=strategies.distinct_sizes(3))
def test_the_gradient_of_din(rng, axes, options):
    check(din_world(rng, axes, **options))


def check_repeats(w):
    """Check the gradient of a world where items repeat."""
    shared, histories = w.shared, w.histories
    assert len(set(histories.items[0])) < 17, "items repeat in a history"
    assert shared.target[0] in histories.items[0], "the target is in its history"
    assert shared.target[0] in shared.negatives, "a hit"
    assert len(set(shared.negatives)) < len(shared.negatives), "negatives repeat"
    check(w, 1)


@pytest.mark.rules("model-R9", "model-R10", "model-R11")
@pytest.mark.parametrize("options", [*OPTIONS, *({"power": p} for p in POWERS)], ids=str)
@EACH_GRADIENT
def test_the_gradient_of_mind(options, routing_gradient):
    settings = {"power": 3.0, "routing_gradient": routing_gradient, **options}
    mask = np.arange(17) < LENGTHS[:3]
    check_repeats(world(np.random.default_rng(1), (3, 17, 4, 5), mask, **settings))


@pytest.mark.rules("mind_plus-R14", "mind_plus-R18", "mind_plus-R19")
@pytest.mark.parametrize("options", [*PLUS_OPTIONS, *PLUS_LOSSES], ids=str)
@EACH_GRADIENT
@pytest.mark.parametrize("keep", [False, True])
def test_the_gradient_of_mind_plus(options, routing_gradient, keep):
    settings = {"routing_gradient": routing_gradient, "attention": "pooled", **options}
    check_repeats(plus_world(3, keep=keep, **settings))


@pytest.mark.rules("youtube_dnn-R8", "youtube_dnn-R9")
@pytest.mark.parametrize("options", LOSS_OPTIONS, ids=str)
@pytest.mark.parametrize("recency", [False, True])
def test_the_gradient_of_youtube_dnn(options, recency):
    mask = np.arange(17) < LENGTHS[:3]
    check_repeats(youtube_world(1, (3, 17, 5), mask, recency=recency, **options))


@pytest.mark.rules("maxmf-R14")
@EACH_PAIR_LOSS
def test_users_repeat_and_target_and_negative_share_an_interest(pair_loss):
    w = maxmf_world(np.random.default_rng(2), (9, 1, 3, 4), np.zeros((9, 1), bool))
    w = w._replace(batch=w.batch._replace(rows=np.array([1, 1, 1, 0, 3, 2, 0, 2, 2])))
    saved = w.loss(pair_loss=pair_loss)[1]
    counted = saved.pairs.weights > 0
    shared = counted & (saved.interest[1] == saved.interest[0][:, None])
    assert shared.any(), "the best for the target is the best for the negative"
    assert (counted & ~shared).any(), "and is not"
    assert len(set(w.shared.negatives)) < len(w.shared.negatives), "negatives repeat"
    check(w, 2, pair_loss=pair_loss)


@pytest.mark.rules("model-R10", "youtube_dnn-R8", "mind_plus-R18")
@pytest.mark.parametrize(
    "w",
    [
        world(np.random.default_rng(0), (4, 9, 3, 5)),
        youtube_world(0, (4, 9, 5)),
        *(plus_world(0, keep=True, contexts=2, recency="interests", **x) for x in PLUS_LOSSES),
    ],
)
def test_the_gradient_of_the_table_lists_each_row_once(w):
    """It has the rows of all three uses with a weight above zero."""
    rows = w.gradients().items.rows
    assert (np.diff(rows) > 0).all()
    shared, histories = w.shared, w.histories
    ids = np.concatenate([histories.items[histories.mask], shared.target, shared.negatives])
    assert set(rows) == set(w.catalogue.rows[ids][w.catalogue.weights[ids] > 0])


@pytest.mark.rules("maxmf-R17")
def test_moved_rows_are_shortened_and_no_others():
    items = np.array([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0], [0.0, 0.0]])
    params = maxmf.Params(items.copy(), np.array([[0.0, -2.0]]))
    moved = RowGradient(np.array([0, 1, 3]), np.ones((3, 2)))
    gradients = maxmf.Gradients(moved, RowGradient(np.array([0]), np.ones((1, 2))))
    maxmf.project_moved_rows(params, gradients, 1.0)
    expected = [[0.6, 0.8], [0.3, 0.4], [6.0, 8.0], [0.0, 0.0]]
    assert_close(params.items, expected, atol=0)
    np.testing.assert_array_equal(params.items[1:], items[1:], "untouched to the bit")
    assert params.users.tolist() == [[0.0, -1.0]]
