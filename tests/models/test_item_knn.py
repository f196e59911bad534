"""Item k-nearest-neighbours: what is similar to what, and what a history is answered with."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy import sparse

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.errors import ConfigError
from mindref.models import item_knn
from mindref.models.item_knn import interaction_weights
from mindref.models.parameters import Sizes
from mindref.process.threads import one_blas_thread
from tests import spec_pages
from tests.assertions import assert_close, assert_example, raises_exactly

EXAMPLE = spec_pages.examples("baselines")[0]


def made(seed, users=12, items=9):
    """Return sequences with repeats; the last item is met by nobody, a user met nothing."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, items - 1, n).tolist() for n in rng.integers(1, 8, users - 1)]
    return [*rows, []]


def fitted(rows, items, needed=None, **changes):
    config = Config(model="item_knn", **changes)
    return item_knn.fit_item_knn(Ragged.of(rows), Sizes(items, items, 0, 0), config, needed=needed)


SMALL = fitted(made(5, users=20), 9, neighbours=4)


def scored(histories, arrays=SMALL, decay=1.0):
    config = Config(model="item_knn", history_decay=decay)
    return item_knn.score_neighbours(arrays, Ragged.of(histories), config).to_dense()


def dense(arrays):
    """Return the fitted similarities of items (N, N)."""
    items = len(arrays["indptr"]) - 1
    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    return sparse.csr_matrix(parts, shape=(items, items)).toarray()


def history_weights(history, decay):
    """Return the weight of each item of a history: that of the latest interaction with it."""
    return {item: decay ** (len(history) - 1 - i) for i, item in enumerate(history)}


@pytest.mark.rules("baselines-R3", "baselines-R6", "baselines-R9", "baselines-R11")
@pytest.mark.parametrize("case", EXAMPLE["cases"], ids=lambda case: case["similarity"])
def test_the_worked_example_matches_the_page(case):
    items = EXAMPLE["items"]
    numbers = {name: EXAMPLE[name] for name in ("k1", "b")}
    numbers |= {"similarity": case["similarity"], "neighbours": items}
    arrays = fitted(EXAMPLE["sequences"], items, **numbers)
    found = scored([EXAMPLE["history"]], arrays, decay=EXAMPLE["decay"])
    assert_example({"similar": dense(arrays), "scores": found[0]}, case)


@pytest.mark.rules("baselines-R10")
@pytest.mark.parametrize("neighbours", [1, 3, 500])
def test_each_item_keeps_its_most_similar_ones(neighbours):
    rows = made(4, users=40)
    whole, kept = (dense(fitted(rows, 9, neighbours=n)) for n in (9, neighbours))
    assert ((kept > 0).sum(axis=1) == np.minimum((whole > 0).sum(axis=1), neighbours)).all()
    expected = -np.sort(-whole, axis=1)[:, :neighbours]
    assert_close(-np.sort(-kept, axis=1)[:, :neighbours], expected, atol=0)
    assert_close(kept[kept > 0], whole[kept > 0], "places", atol=0)


@pytest.mark.rules("baselines-R16")
def test_of_equal_similarities_the_lower_ids_are_kept():
    rows = [[4, 0, 1, 2, 3]] * 3 + [[5, 6]]
    kept = dense(fitted(rows, 7, neighbours=2, similarity="cosine"))
    np.testing.assert_array_equal(kept[:5] > 0, [[True, True, *[False] * 5]] * 5)
    np.testing.assert_array_equal(kept[5:, 5:] > 0, True)


@pytest.mark.rules("baselines-R1", "baselines-R16")
@pytest.mark.parametrize("block", [1, 7, 20, item_knn.BLOCK])
def test_a_second_fit_in_blocks_of_any_size_gives_the_same_bytes(block, monkeypatch):
    whole = fitted(made(8, users=40), 9, neighbours=3)
    assert [x.dtype for x in whole.values()] == [np.float64, np.int64, np.int64]
    monkeypatch.setattr(item_knn, "BLOCK", block)
    for name, array in fitted(made(8, users=40), 9, neighbours=3).items():
        assert array.tobytes() == whole[name].tobytes()


@pytest.mark.rules("baselines-R3", "baselines-R9", "baselines-R10")
@pytest.mark.parametrize(
    ("recommender", "options"),
    [
        *(
            (BM25Recommender, {"similarity": "bm25", "k1": k1, "b": b})
            for k1, b in [(1.2, 0.3), (100, 0.5), (0.2, 0.0)]
        ),
        (TFIDFRecommender, {"similarity": "tfidf"}),
        (CosineRecommender, {"similarity": "cosine"}),
    ],
)
@pytest.mark.filterwarnings("ignore:Method expects CSR input")
def test_similarities_equal_those_of_implicit(recommender, options):
    numbers = {name.upper(): x for name, x in options.items() if name != "similarity"}
    model = recommender(K=20, num_threads=1, **numbers)
    rows = made(9, users=300, items=60)
    with one_blas_thread():
        model.fit(interaction_weights(Ragged.of(rows), 60), show_progress=False)
    got = dense(fitted(rows, 60, neighbours=20, **options))
    expected = model.similarity.toarray()
    # of equal similarities at the last place, each may keep another one
    assert_close(-np.sort(-got, axis=1), -np.sort(-expected, axis=1))
    both = (got > 0) & (expected > 0)
    assert_close(got[both], expected[both])
    assert both.sum() > 0.95 * (expected > 0).sum()


@pytest.mark.rules("baselines-R9")
def test_a_fit_without_interactions_has_no_similarities():
    assert not dense(fitted([[], []], 3)).any()
    assert not scored([[0, 1]], fitted([[], []], 3)).any()


@pytest.mark.rules("baselines-R3", "baselines-R6", "baselines-R11")
@settings(max_examples=25)
@given(
    histories=st.lists(st.lists(st.integers(0, 8), max_size=9), max_size=5),
    decay=st.sampled_from([1.0, 0.9, 0.5]),
)
def test_the_latest_interaction_with_an_item_weighs_its_similarities(histories, decay):
    scores, similar = scored(histories, decay=decay), dense(SMALL)
    assert scores.shape == (len(histories), 9)
    for row, history in zip(scores, histories, strict=True):
        weights = history_weights(history, decay)
        expected = [sum(w * similar[i][j] for i, w in weights.items()) for j in range(9)]
        assert_close(row, expected, str(history))


@pytest.mark.rules("baselines-R6", "baselines-R12")
def test_an_invalid_number_or_similarity_raises():
    for decay in (0.0, -0.5, 1.5, float("nan")):
        message = f"decay: expected a number above 0 and at most 1, got {decay}"
        with raises_exactly(ConfigError, message):
            interaction_weights(Ragged.of([[0]]), 9, decay=decay)
    with raises_exactly(ConfigError, "similarity: expected bm25 or tfidf or cosine, got 'jaccard'"):
        fitted([[0, 1]], 2, similarity="jaccard")


@pytest.mark.rules("baselines-R21")
@pytest.mark.parametrize("needed", [[], [0], [8], [5, 2, 5], range(9)])
def test_a_fit_for_some_items_has_their_rows(needed):
    rows = made(6, users=40)
    whole = fitted(rows, 9, neighbours=3)
    part = fitted(rows, 9, neighbours=3, needed=np.array(needed, np.int64))
    for item in range(9):
        entries = slice(*part["indptr"][item : item + 2])
        expected = slice(*whole["indptr"][item : item + 2]) if item in needed else slice(0)
        for name in ("data", "indices"):
            assert part[name][entries].tobytes() == whole[name][expected].tobytes()
    assert [x.dtype for x in part.values()] == [x.dtype for x in whole.values()]


@pytest.mark.rules("baselines-R21")
def test_the_memory_of_a_fit_is_bounded_by_the_kept_similarities(monkeypatch):
    rng = np.random.default_rng(0)
    items, neighbours, block = 2000, 500, 20_000
    rows = [rng.integers(0, items, 80) for _ in range(400)]
    monkeypatch.setattr(item_knn, "BLOCK", block)
    weights = 80 * 400 * 8 * 20  # arrays of one number for each interaction
    tracemalloc.start()
    try:
        arrays = fitted(rows, items, neighbours=neighbours)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(arrays["data"]) > 0.5 * items * neighbours
    assert peak < 16 * neighbours * items + weights + 100 * block
