"""The pictures of specs/pictures show what the code computes, and their captions are true."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import count, pairwise

import numpy as np
import pytest

from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.data.negatives import make_sampler
from mindref.models import mind
from mindref.models.mind_plus import ages
from mindref.models.serving import Model, item_matrix, serving_logits
from mindref.ops import label_attention, routing, squash
from mindref.ops.pooled_softmax import pool_scores
from mindref.ops.routing import count_active_interests
from mindref.study.models.study_model import choose_user, open_study_model, sample_pair
from mindref.study.models.user_rules import MIN_BEHAVIOURS, split_last
from mindref.study.top_items import find_top_items
from mindref.study.tracing import TrainingPair, trace_pair
from tests import spec_pages
from tests.models.worlds import world

FOLDER = spec_pages.SPECS / "pictures"
PAGES = {
    "active_interests": "routing",
    "label_attention": "label_attention",
    "model_shapes": "model",
    "pooled_score": "pooled_softmax",
    "routing_gradients": "routing",
    "routing_iterations": "routing",
    "setting_effects": "evidence",
    "shared_negatives": "sampled_softmax",
    "squash": "squash",
    "weights_by_age": "mind_plus",
}
"""Picture -> the page that displays the picture."""
TAG = "{http://www.w3.org/2000/svg}"
PX = 0.06  # coordinates are rounded to 0.1 px
WORDS = ("one", "two", "three", "four", "five", "six")


def parse_picture(name):
    """Return the elements of a picture."""
    return ET.parse(FOLDER / f"{name}.svg").getroot()


def texts(name):
    """Return the texts of a picture, in the order of the file."""
    return ["".join(text.itertext()) for text in parse_picture(name).iter(f"{TAG}text")]


def read_caption(picture):
    """Return the paragraph below a picture."""
    text = spec_pages.text(PAGES[picture])
    return re.search(rf"\(pictures/{picture}\.svg\)\n\n(.+)", text)[1]


def numbers_before(words, caption):
    """Return the numbers that precede some words in a caption, as a word."""
    named = re.findall(rf"(\w+) {words}", caption)
    return [WORDS.index(word.lower()) + 1 for word in named if word.lower() in WORDS]


@cache
def study_model():
    """Return the built-in model of the study."""
    return open_study_model()


@cache
def builtin_pair(user=None, **settings):
    """Return the training pair of a user, by default the default user, with changed settings."""
    model = study_model().model
    params, catalogue, config = model.params, model.catalogue, model.config
    row = choose_user(study_model()).user if user is None else user
    sampled = sample_pair(study_model(), row)
    return TrainingPair(params, sampled.batch, catalogue, replace(config, **settings))


def test_each_picture_has_a_page_that_displays_and_describes_it():
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.svg" for name in PAGES}
    for name, page in PAGES.items():
        alt = re.findall(rf"^!\[(.+)\]\(pictures/{name}\.svg\)\n\n\S", spec_pages.text(page), re.M)
        assert len(alt) == 1, name
        root = parse_picture(name)
        assert root.get("aria-labelledby").split() == [root[0].get("id"), root[1].get("id")]
        assert "prefers-color-scheme:dark" in root[2].text


def drawn_points(shape):
    """Return the points (N, 2) of a line in px."""
    return np.array([point.split(",") for point in shape.get("points").split()], float)


def curves(picture):
    """Return the curves of a plot, in the order of the file."""
    lines = parse_picture(picture).iter(f"{TAG}polyline")
    return [drawn_points(x) for x in lines if re.match(r"line s\d", x.get("class"))]


def test_the_curves_of_squash():
    n = np.linspace(0, 5, 101)
    out, saved = squash.forward(np.stack([n, np.zeros_like(n)], axis=1))
    values = (np.linalg.norm(out, axis=1), saved.across[:, 0], saved.along[:, 0])
    for curve, value in zip(curves("squash"), values, strict=True):
        px = np.stack([60 + 610 * n / 5, 322 - 270 * value], axis=1)
        np.testing.assert_allclose(curve, px, atol=PX)


def test_the_curves_of_the_pooled_score():
    product = np.linspace(-1, 3, 101)
    for curve, sharpness in zip(curves("pooled_score"), (0, 1, 4, np.inf), strict=True):
        products = np.stack([np.ones_like(product), product])[None]
        (score,), _ = pool_scores(products, np.ones((1, 2), bool), sharpness)
        px = np.stack([60 + 137.5 * (product + 1), 300 - 80 * score], axis=1)
        np.testing.assert_allclose(curve, px, atol=PX)


def test_the_curves_of_the_weights_by_age():
    settings = {"model": "mind_plus", "interests": 4, "window": 20, "recency": "interests"}
    weights = np.exp(ages.start(Config.of("mind", settings)))
    for curve, column in zip(curves("weights_by_age"), weights.T, strict=True):
        px = np.stack([60 + 610 * np.arange(20) / 19, 322 - 270 * column], axis=1)
        np.testing.assert_allclose(curve, px, atol=PX)


def attention_weights(scores, power):
    """Return the weights (K,) of interests with these scores."""
    interests = np.array(scores)[None, :, None]
    active = np.ones(interests.shape[:2], bool)
    _, saved = label_attention.forward(interests, np.ones((1, 1)), active, power=power)
    return saved.weights.out[0]


SCORES = ((1.5, 0.25, -0.75), (0.75, 0.25, -0.5))


def test_the_curves_of_label_aware_attention():
    powers = np.array([1e-9, *np.linspace(0.05, 12, 120)])
    drawn = [curve for curve in curves("label_attention") if len(curve) == len(powers)]
    for panel, scores in enumerate(SCORES):
        weights = np.array([attention_weights(scores, power) for power in powers])
        left = 48 + 345 * panel + 300 * (powers / 12 + 0.33) / 1.61
        for curve, values in zip(drawn[3 * panel : 3 * panel + 3], weights.T, strict=True):
            np.testing.assert_allclose(curve, np.stack([left, 316 - 240 * values], 1), atol=PX)


def test_a_large_finite_power_gives_nearly_equal_weights_and_infinity_does_not():
    caption = read_caption("label_attention")
    assert "At p = infinity, the largest score has all the weight" in caption
    assert "a large finite p gives nearly equal weights" in caption
    np.testing.assert_allclose(attention_weights(SCORES[1], 12), 1 / 3, atol=0.01)
    assert np.abs(attention_weights(SCORES[1], 1e-9) - 1 / 3).max() > 0.1, "the jump at p = 0"
    assert attention_weights(SCORES[1], np.inf).max() == 1


@pytest.mark.parametrize(("interests", "colour"), [(5, "f1"), (3, "f2")])
def test_one_more_interest_each_time_the_behaviours_double(interests, colour):
    caption = read_caption("active_interests")
    (start,) = numbers_before("behaviours on", caption)
    (growth,) = numbers_before("each time n doubles", caption)
    counts = count_active_interests(np.arange(41), interests)
    doubled = count_active_interests(2 * np.arange(start, 41), interests)
    np.testing.assert_array_equal(doubled, np.minimum(counts[start:] + growth, interests))
    markers = [x for x in parse_picture("active_interests") if x.get("class") == f"mark {colour}"]
    heights = [float(x.get("cy")) if x.get("cy") else drawn_points(x)[1, 1] for x in markers]
    np.testing.assert_allclose(heights, 292 - 240 * counts / 5.6, atol=PX)


def most_separated_routing():
    """Return titles and coupling weights (r, L, K) of the user in `routing_iterations`.

    Each of the three active interests has the largest weight of a film in the last iteration. Of
    these users, the mean of the films' largest weights is largest for this user.
    """
    found = []
    for user in np.flatnonzero(study_model().histories.lengths >= MIN_BEHAVIOURS):
        pair = builtin_pair(int(user))
        saved = mind.loss(*pair)[1].interests
        mask, active = pair.batch.histories.mask[0], np.flatnonzero(saved.active[0])
        steps = saved.routing.iterations
        weights = np.array([x.weights.out[0][mask][:, active] for x in steps])
        if len(active) == 3 and len(set(weights[-1].argmax(axis=1))) == 3:
            items = pair.batch.histories.items[0][mask]
            found.append((weights[-1].max(axis=1).mean(), items, weights))
    _, items, weights = max(found, key=lambda x: x[0])
    return [study_model().titles[item] for item in items], weights


def test_the_bars_of_the_routing_iterations_are_the_coupling_weights():
    titles, weights = most_separated_routing()
    caption, drawn = read_caption("routing_iterations"), texts("routing_iterations")
    assert numbers_before("iterations", caption) == [len(weights)]
    assert numbers_before("active interests", caption) == [weights.shape[2]]
    order = np.lexsort((-weights[-1].max(axis=1), weights[-1].argmax(axis=1)))
    assert [x for x in drawn if x in titles] == [titles[i] for i in order]
    bars = [x for x in parse_picture("routing_iterations") if x.get("height") == "17"]
    widths = np.array([float(x.get("width")) for x in bars]).reshape(weights.shape)
    np.testing.assert_allclose(widths, np.maximum(132 * weights[:, order] - 1, 0), atol=PX)
    assert (np.diff(weights.max(axis=2).mean(axis=1)) > 0).all(), "more separated each time"


EACH_GRADIENT = pytest.mark.parametrize("gradient", ["all", "last"])
AXES = {
    "B": 3, "L": 17, "K": 4, "D": 7, "S": 9, "N": 6, "n": 5, "B K": 12, "G Q": 22, "D + G Q": 29,
    "G": 2,
}  # fmt: skip
"""Axis letters of specs/model.md -> size in `model_shapes`; all sizes differ."""


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
    pair = builtin_pair(iterations=2, routing_gradient=gradient)
    values = dict(trace_pair(pair, phases=("forward", "backward")).values)
    return {name: values[name] for name in PASSED if name in values and np.any(values[name])}


@EACH_GRADIENT
def test_the_marked_paths_are_those_of_the_gradient(gradient):
    derivatives = traced_derivatives(gradient)
    assert set(derivatives) == (set(PASSED) if gradient == "all" else LAST)
    terms = sum(derivatives.get(name, 0) for name in PASSED[-3:])
    np.testing.assert_allclose(terms, derivatives["d_Se"], atol=1e-12)
    pair = builtin_pair(iterations=2, routing_gradient=gradient)
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
    study, users = study_model(), np.arange(USERS)
    params, catalogue, config = study.model.params, study.model.catalogue, study.model.config
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
    titles = study_model().titles
    for item in (*batch.target, *batch.negatives):
        assert any(titles[item].startswith(x.rstrip("…")) for x in drawn), titles[item]


def test_the_users_and_negatives_of_the_matrix():
    caption = read_caption("shared_negatives")
    assert numbers_before("users", caption) == [USERS]
    assert numbers_before("negatives", caption) == [DRAWS]
