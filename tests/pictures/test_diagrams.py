"""The shapes and numbers in the diagrams without a module are those of the code."""

import re
from collections import Counter
from itertools import count, pairwise

import numpy as np
import pytest

from mindref.data.batches import pad_histories
from mindref.data.negatives import make_sampler
from mindref.models import mind
from mindref.models.serving import Model, item_matrix, serving_logits
from mindref.ops import routing
from mindref.study.models.user_rules import split_last
from mindref.study.top_items import find_top_items
from mindref.study.tracing import trace_pair
from tests.models.worlds import world
from tests.pictures import TEXT, builtin_user, parse_picture
from tests.pictures.test_captions import numbers_before, read_caption

EACH_GRADIENT = pytest.mark.parametrize("gradient", ["all", "last"])
AXES = {
    "B": 3, "L": 17, "K": 4, "D": 7, "S": 9, "N": 6, "n": 5, "B K": 12, "G Q": 22, "D + G Q": 29,
    "G": 2,
}  # fmt: skip
"""Axis letters of specs/model.md -> size in `model_shapes`; all sizes differ."""


def texts(name):
    """Return the texts of a picture, in the order of the file."""
    return ["".join(text.itertext()) for text in parse_picture(name).iter(TEXT)]


def model_shapes():
    """Return the shapes of one call of the loss and of serving, by the names of the picture."""
    users, length, interests, width = (AXES[letter] for letter in "BLKD")
    mask = np.ones((users, length), bool)
    options = {"hidden": [12], "profile_width": 11}
    w = world(np.random.default_rng(0), (users, length, interests, width), mask, **options)
    _, saved = w.loss()
    vectors, active, s1 = w.interests()
    items = item_matrix(Model(w.params, w.catalogue, w.config))
    served = [find_top_items(v, x, items, n=5) for v, x in zip(vectors, active, strict=True)]
    arrays = {
        "histories": w.histories.items,
        "user features": w.histories.profile,
        "initial logits b": w.histories.init_logits,
        "item vectors e": s1.routing.history,
        "profile vectors": mind.profile_vectors(w.params, w.histories.profile)[0],
        "matrix S": s1.routing.bilinear,
        "capsules u": s1.routing.iterations[-1].capsules,
        "joined rows [u ; q]": s1.layers[0].x,
        "interests v": vectors,
        "target vector": saved.attention.target,
        "user vector": saved.softmax.user,
        "negatives": saved.softmax.negatives,
        "loss": np.zeros(()),
        "item matrix": items,
        "scores, max over K": np.stack([user.best for user in served]),
        "top n items": np.stack([user.order for user in served]),
    }
    return {name: x.shape for name, x in arrays.items()}


def test_the_shapes_in_the_data_flow_are_those_of_the_model():
    assert len(set(AXES.values())) == len(AXES)
    pairs = [pair for pair in pairwise(texts("model_shapes")) if re.fullmatch(r"\(.*\)", pair[1])]
    drawn = {
        name: tuple(AXES[axis] for axis in shape[1:-1].split(", ") if axis) for name, shape in pairs
    }
    assert drawn == model_shapes()


PASSED = [
    "d_b[1]", "d_w[1]", "d_z[1]", "d_u[1]", "d_b[2]", "d_b[1]", "d_b[2]", "d_w[2]", "d_z[2]",
    "d_u[2]", "d_Se", "from_z[1]", "from_a[1]", "from_z[2]",
]  # fmt: skip
"""Derivative of each edge in `routing_gradients`; the last three are the terms of d_Se."""
LAST = {"d_z[2]", "d_u[2]", "d_Se", "from_z[2]"}
"""The derivatives that exist if gradient is "last"."""


def traced_derivatives(gradient):
    """Return the derivatives of two iterations of the default user that are not zero."""
    pair = builtin_user.builtin_pair(iterations=2, routing_gradient=gradient)
    values = dict(trace_pair(pair, phases=("forward", "backward")).values)
    return {name: values[name] for name in PASSED if name in values and np.any(values[name])}


@EACH_GRADIENT
def test_the_marked_paths_are_those_of_the_gradient(gradient):
    derivatives = traced_derivatives(gradient)
    assert set(derivatives) == (set(PASSED) if gradient == "all" else LAST)
    terms = sum(derivatives.get(name, 0) for name in PASSED[-3:])
    np.testing.assert_allclose(terms, derivatives["d_Se"], atol=1e-12)
    pair = builtin_user.builtin_pair(iterations=2, routing_gradient=gradient)
    saved = mind.loss(*pair)[1].interests.routing
    d_logits = routing.backward(np.ones_like(saved.iterations[-1].capsules), saved)[2]
    assert np.any(d_logits) == ("d_b[1]" in derivatives)


def test_the_paths_and_norms_in_the_picture_are_those_of_the_gradients():
    classes = Counter(line.get("class") for line in parse_picture("routing_gradients"))
    both = [traced_derivatives(gradient) for gradient in ("all", "last")]
    live = sum(name in derivatives for derivatives in both for name in PASSED)
    assert (classes["line s1"], classes["axis dash"]) == (live + 1, 2 * len(PASSED) - live + 1)
    norms = [np.linalg.norm(x[name]) for x in both for name in PASSED[-3:] if name in x]
    drawn = [float(x) for x in texts("routing_gradients") if re.fullmatch(r"\d+\.\d\d", x)]
    np.testing.assert_allclose(sorted(drawn), sorted(norms), rtol=0, atol=0.0051)
    assert "2r − 1 terms" in read_caption("routing_gradients")
    assert len(both[0].keys() & set(PASSED[-3:])) == 2 * 2 - 1


USERS, DRAWS = 5, 6


def score_batch():
    """Return a batch of the built-in model with one accidental hit, and p of its negatives."""
    study, users = builtin_user.study_model(), np.arange(USERS)
    params, catalogue, config = study.model
    behaviours, target = split_last(study, users)
    history, mask = pad_histories(behaviours, config.window)
    logits = serving_logits(config, len(study.item_ids), history)
    histories = mind.Histories(history, mask, logits, study.profiles[users])
    sampler = make_sampler(config.sampler, study.counts, size=DRAWS, alpha=config.alpha)
    draws = (sampler.draw(np.random.default_rng(seed), target) for seed in count())
    drawn = next(
        x for x in draws if (x.ids == target[:, None]).sum() == 1 and len(set(x.ids)) == DRAWS
    )
    logs = drawn.target_log_expected, drawn.log_expected
    batch = mind.Batch(histories, target, drawn.ids, *logs)
    _, saved = mind.loss(params, batch, catalogue, config)
    return batch, saved.softmax.p_negatives


def test_the_probabilities_in_the_matrix_are_those_of_the_batch():
    batch, p_negatives = score_batch()
    hits = batch.negatives == batch.target[:, None]
    assert not p_negatives[hits].any()
    rows = np.column_stack([1 - p_negatives.sum(axis=1), np.where(hits, np.nan, p_negatives)])
    words = ["hit" if np.isnan(p) else f"{100 * p:.1f}" for p in rows.flat]
    drawn = texts("shared_negatives")
    assert [x for x in drawn if re.fullmatch(r"hit|\d+\.\d|< 0\.1", x)] == words
    logs = [f"{x:.2f}".replace("-", "−") for x in (*batch[3], *batch[4])]
    assert Counter(x for x in drawn if re.fullmatch(r"−?\d+\.\d\d", x)) == Counter(logs)
    titles = builtin_user.study_model().titles
    for item in (*batch.target, *batch.negatives):
        assert any(titles[item].startswith(x.rstrip("…")) for x in drawn), titles[item]


def test_the_users_and_negatives_of_the_matrix():
    caption = read_caption("shared_negatives")
    assert numbers_before("users", caption) == [USERS]
    assert numbers_before("negatives", caption) == [DRAWS]
