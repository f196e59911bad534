"""What MIND, MIND plus, YouTube DNN and MaxMF have in common: examples, loops, padding, dtypes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance.tolerances import GRADIENT, VANISHING, same_math
from mindref.errors import ShapeError
from mindref.models import mind, mind_plus, youtube_dnn
from mindref.models.parameters import Catalogue, Layer, Params, Sizes
from mindref.ops import squash
from tests import naive, spec_pages
from tests.assertions import assert_close, assert_example, raises_exactly
from tests.models.worlds import (
    PLUS_LOSSES,
    PLUS_OPTIONS,
    World,
    maxmf_world,
    plus_world,
    world,
    worlds,
    youtube_world,
    youtube_worlds,
)

MODEL, PLUS, YOUTUBE = (
    spec_pages.examples(page)[0] for page in ("model", "mind_plus", "youtube_dnn")
)


def example_world(family, example):
    """Return the world of a worked example."""

    def a(name):
        return np.array(example[name])

    layers = (Layer(a("layer_weight"), a("layer_bias")),)
    tables = [a("items"), a("profile")]
    if family is not youtube_dnn:
        tables.append(a("bilinear").reshape(-1, 2))
    if family is not mind:
        tables.append(a("positions").reshape(-1, 4) if family is youtube_dnn else a("positions"))
    kind = Params if family is mind else family.Params
    logits = a("init_logits") if family is mind else np.zeros((2, 4, 2))
    histories = mind.Histories(a("history"), a("mask"), logits, a("profile_rows"))
    logs = a("target_log_expected"), a("negative_log_expected")
    batch = mind.Batch(histories, a("target"), a("negatives"), *logs)
    if family is mind_plus:
        batch = mind_plus.Batch(batch, a("keep") if "keep" in example else None)
    catalogue = Catalogue(a("catalogue_rows"), a("catalogue_weights"))
    config = Config.of("mind", {"dtype": "float64", **example["settings"]})
    return World(kind(*tables, layers), batch, catalogue, config, Sizes(3, 5, 2, 1), family)


PLUS_EXAMPLES = [
    {**PLUS, **x, "settings": {**PLUS["settings"], **x["settings"]}} for x in PLUS["cases"]
]
EXAMPLES = [(mind, MODEL), *((mind_plus, x) for x in PLUS_EXAMPLES)]
EXAMPLES += [(youtube_dnn, {**YOUTUBE, "active": [[True]] * 2, **x}) for x in YOUTUBE["cases"]]


@pytest.mark.rules(
    "model-R1", "model-R2", "model-R3", "model-R4", "model-R6", "model-R8", "model-R9",
    "model-R10", "model-R17", "mind_plus-R1", "mind_plus-R3", "mind_plus-R4", "mind_plus-R6",
    "mind_plus-R8", "mind_plus-R9", "mind_plus-R10", "mind_plus-R14", "mind_plus-R17",
    "mind_plus-R18", "mind_plus-R19", "youtube_dnn-R1", "youtube_dnn-R2", "youtube_dnn-R4",
    "youtube_dnn-R5", "youtube_dnn-R8", "youtube_dnn-R9",
)  # fmt: skip
@pytest.mark.parametrize(("family", "example"), EXAMPLES)
def test_the_worked_example_matches_the_page(family, example):
    w = example_world(family, example)
    vectors, active, saved = w.interests()
    gradients = w.gradients()
    got = {f"d_{name.replace('layers.0.', 'layer_')}": x for name, x in w.dense(gradients).items()}
    assert_example({**got, "loss": w.loss()[0]}, example)
    if family is youtube_dnn:
        assert_example({"vectors": vectors[:, 0], "weights": saved.pooled.weights}, example)
    else:
        assert_example({"interests": vectors}, example)
    if family is mind:
        assert_example({"couplings": saved.routing.couplings[0]}, example)
    assert active.tolist() == example["active"]
    if family is not mind_plus:
        assert gradients.items.rows.tolist() == [0, 1, 2, 4], "row 3 only pads"


def check_loops(w):
    """Compare the interests and the loss with loops over numbers."""
    out, active, _ = w.interests()
    users = [
        [naive.user_vector(w, b)] if w.family is youtube_dnn else naive.user_interests(w, b)
        for b in range(len(w.histories.mask))
    ]
    for b, expected in enumerate(users):
        assert active[b].sum() == len(expected), f"user {b}"
        assert not out[b][~active[b]].any()
        assert_close(out[b][active[b]], expected, f"user {b}")
    assert_close(w.loss()[0], naive.loss(w, users), "loss")


@pytest.mark.rules(
    "model-R1", "model-R4", "model-R5", "model-R7", "model-R12", "model-R13", "model-R14",
    "youtube_dnn-R1", "youtube_dnn-R2", "youtube_dnn-R5", "youtube_dnn-R7",
)  # fmt: skip
@pytest.mark.parametrize("drawn", [worlds(), youtube_worlds()], ids=["mind", "youtube_dnn"])
@given(data=st.data())
def test_it_agrees_with_loops_over_numbers(data, drawn):
    check_loops(data.draw(drawn))


@pytest.mark.rules("model-R12")
@pytest.mark.parametrize(("axis", "weight"), [("interests", 1 / 2), ("behaviours", 1 / 4)])
def test_uniform_routing_has_equal_weights_along_its_axis(axis, weight):
    """Four behaviours have two active interests."""
    mask = np.ones((1, 4), bool)
    options = {"routing": "uniform", "routing_axis": axis}
    _, _, saved = world(np.random.default_rng(0), (1, 4, 3, 5), mask, **options).interests()
    assert len(saved.routing.iterations) == 1
    assert_close(saved.routing.couplings[0], np.tile([weight, weight, 0], (4, 1)), atol=VANISHING)


@pytest.mark.rules(
    "mind_plus-R1", "mind_plus-R3", "mind_plus-R4", "mind_plus-R6", "mind_plus-R7",
    "mind_plus-R8", "mind_plus-R9", "mind_plus-R10", "mind_plus-R11", "mind_plus-R12",
    "mind_plus-R14", "mind_plus-R17",
)  # fmt: skip
@pytest.mark.parametrize("options", [*PLUS_OPTIONS, *PLUS_LOSSES], ids=str)
@pytest.mark.parametrize("keep", [False, True])
def test_mind_plus_agrees_with_loops_over_numbers(options, keep):
    check_loops(plus_world(3, keep=keep, **{"attention": "pooled", **options}))


@pytest.mark.rules("model-R8", "model-R16", "mind_plus-R1", "youtube_dnn-R3")
@pytest.mark.parametrize("garbage", [0, 5, -3, 10**12])
@pytest.mark.parametrize(
    "drawn",
    [worlds(), youtube_worlds(), st.just(plus_world(0, keep=True, recency="interests"))],
    ids=["mind", "youtube_dnn", "mind_plus"],
)
@given(data=st.data())
def test_padding_anywhere_changes_nothing(data, drawn, garbage):
    w = data.draw(drawn)
    histories = w.histories
    users, length = histories.mask.shape
    positions = np.sort(data.draw(st.permutations(range(length + 3)))[:length])

    def spread(x, fill):
        wide = np.full((users, length + 3, *x.shape[2:]), fill, x.dtype)
        wide[:, positions] = x
        return wide

    wider = w.with_histories(
        items=spread(np.where(histories.mask, histories.items, garbage), garbage),
        mask=spread(histories.mask, False),
        init_logits=spread(histories.init_logits, np.nan),
    )
    if getattr(w.batch, "keep", None) is not None:
        wider = wider._replace(batch=wider.batch._replace(keep=spread(w.batch.keep, 3.0)))
    assert_close(wider.loss()[0], w.loss()[0], "loss", atol=0)
    gradients, expected = wider.gradients(), w.gradients()
    assert gradients.items.rows.tolist() == expected.items.rows.tolist()
    compare_gradients(w, gradients, expected)


def compare_gradients(w, gradients, expected):
    """Compare gradients, of log weights of several columns less strictly."""
    got, rtol = w.dense(gradients), GRADIENT if w.family is mind_plus else same_math(np.float64)
    for name, x in w.dense(expected).items():
        np.testing.assert_allclose(got[name], x, rtol=rtol, atol=VANISHING, err_msg=name)


def family_world(family, **settings):
    """Return a world of 3 users with 5 behaviours."""
    rng, full = np.random.default_rng(0), np.ones((3, 5), bool)
    if family == "youtube_dnn":
        return youtube_world(rng, (3, 5, 4), full, **settings)
    if family == "mind_plus":
        added = {"contexts": 2, "recency": "interests"}
        return plus_world(rng, (3, 5, 2, 4), full, keep=True, **added, **settings)
    make_world = maxmf_world if family == "maxmf" else world
    return make_world(rng, (3, 5, 2, 4), full, **settings)


NONE = np.zeros((3, 5), bool)
WITHOUT_BEHAVIOURS = [
    *(
        world(np.random.default_rng(0), (3, 5, 4, 6), NONE, squash=kind, **options)
        for kind in squash.KINDS
        for options in ({}, {"interest_count": "fixed"}, {"routing": "uniform"})
    ),
    *(
        plus_world(0, (3, 5, 4, 6), NONE, head=head, contexts=count)
        for head, count in (("layers", 2), ("residual", 2), ("none", 0))
    ),
    *(youtube_world(0, (3, 5, 6), NONE, recency=recency) for recency in (False, True)),
]


@pytest.mark.rules("model-R17", "mind_plus-R12", "youtube_dnn-R4", "youtube_dnn-R6")
@pytest.mark.parametrize("w", WITHOUT_BEHAVIOURS)
def test_without_behaviours_an_interest_depends_only_on_the_profile(w):
    out, active, saved = w.interests()
    assert active.sum(axis=1).tolist() == [1, 1, 1]
    assert w.family is not youtube_dnn or not saved.pooled.weights.any()
    assert len({tuple(row) for row in w.histories.profile}) > 1
    check_loops(w)
    assert out.any() == (w.config.head != "none")
    assert np.isfinite(w.loss()[0])
    gradients = w.dense(w.gradients())
    assert not any(gradients[x].any() for x in ("bilinear", "positions") if x in gradients)
    assert gradients["profile"].any() == (w.config.head != "none")


@pytest.mark.rules("model-R18")
@pytest.mark.parametrize("family", ["mind", "mind_plus", "youtube_dnn"])
@pytest.mark.parametrize("use", ["history", "target", "negatives"])
@pytest.mark.parametrize("item", [-1, 6])
def test_an_item_outside_the_catalogue_raises(family, use, item):
    w, three = family_world(family), np.array([0, item, 1])
    changed = {
        "history": w.with_histories(items=np.where(np.arange(5) == 2, item, np.ones((3, 5), int))),
        "target": w.with_shared(target=three),
        "negatives": w.with_shared(negatives=three, negative_log_expected=np.zeros(3)),
    }[use]
    with raises_exactly(ShapeError, f"items: rows: expected indices from 0 to 5, got {item}"):
        changed.loss()


@pytest.mark.rules("mind_plus-R5", "youtube_dnn-R10")
@pytest.mark.parametrize("recency", ["none", "shared", "interests", "youtube_dnn"])
def test_a_behaviour_older_than_the_table_raises(recency):
    full = np.ones((2, 5), bool)
    if recency == "youtube_dnn":
        w = youtube_world(0, (2, 5, 3), full)
        positions = w.params.positions[:, :4]
    else:
        w = plus_world(0, (2, 5, 2, 3), full, recency=recency)
        positions = w.params.positions[:4]
    with raises_exactly(ShapeError, "positions: rows: expected indices from 0 to 3, got 4"):
        w.with_params(positions=positions).interests()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("family", "options"),
    [
        *((family, {}) for family in ("mind", "youtube_dnn", "maxmf")),
        *(("mind_plus", options) for options in PLUS_LOSSES),
    ],
)
def test_inputs_are_unchanged_and_gradients_repeat_in_the_dtype_of_the_inputs(
    family, options, dtype
):
    w = family_world(family, dtype=dtype, **options)
    before = [x.tobytes() for x in w.arrays()]
    for x in w.arrays():
        x.setflags(write=False)
    loss, saved = w.loss()
    first, second = (list(w.dense(w.family.backward(saved)).values()) for _ in range(2))
    assert [x.tobytes() for x in first] == [x.tobytes() for x in second]
    assert [x.tobytes() for x in w.arrays()] == before
    interests = [] if family == "maxmf" else [w.interests()[0]]
    assert {x.dtype for x in [loss, *first, *interests]} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("w", "interests"),
    [
        (plus_world(0, contexts=0, recency="interests"), 4),
        (plus_world(0, contexts=2, recency="interests"), 4),
        (youtube_world(0, (5, 17, 5)), 1),
    ],
)
def test_no_users_have_no_interests(w, interests):
    nobody = mind.Histories(*(x[:0] for x in w.histories))
    out, active, _ = w.with_shared(histories=nobody).interests()
    assert (out.shape, active.shape) == ((0, interests, 5), (0, interests))
