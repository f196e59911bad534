"""Exact search as an index, merging K lists, and retrieval with an index that misses items."""

import numpy as np
import pytest

from mindref.data.log import Ragged
from mindref.errors import DataError
from mindref.recall import ExactIndex, merge_lists, nearest_items, retrieval, retrieve_top_n
from mindref.recall.exact import search_top_n, unite_lists
from mindref.recall.retrieval import list_length
from tests.recall.annoy_trees import index_of, vectors

ITEMS = np.array([[3.0, 0], [0, 1], [1, 1], [2, 0], [0, 0]])
INTERESTS = np.array([[1.0, 0], [0, 2]])
NONE = np.zeros(0, np.int64)


class Half:
    """An index that finds only some items, and records the requests."""

    kind = "half"
    warning = None
    recall = None
    choice_reason = None

    def __init__(self, items, known):
        self.items, self.known, self.asked = items, np.array(known), 0

    def candidates(self, queries, n):
        self.asked = n
        order = np.argsort(-(queries @ self.items[self.known].T), axis=1, kind="stable")[:, :n]
        ids = np.full((len(queries), n), -1)
        ids[:, : order.shape[1]] = self.known[order]
        return ids


def merged(lists, exclude=NONE, n=4, score="max"):
    active = np.ones((1, 2), np.bool_)
    hidden, ids = Ragged.of([exclude]), np.array([lists])
    return merge_lists(ids, INTERESTS[None], active, ITEMS, n=n, exclude=hidden, score=score)


@pytest.mark.rules("recall-R4", "recall-R7", "recall-R8", "recall-R18", "recall-R19")
def test_an_item_is_merged_once_with_its_best_score():
    assert merged([[0, 2, 3], [2, 1, 0]]).items.tolist() == [[0, 1, 2, 3]]
    # item 2 is worth 1 to interest 0, which found it, and 2 to interest 1, which did not
    ranked = merged([[0, 2], [-1, -1]])
    assert ranked.items.tolist() == [[0, 2, -1, -1]]
    assert ranked.scores.tolist() == [[3, 2, -np.inf, -np.inf]]
    assert ranked.interests.tolist() == [[0, 1, -1, -1]]
    # an excluded item, and ties by id
    assert merged([[3, 0], [2, 1]], exclude=np.array([0])).items.tolist() == [[1, 2, 3, -1]]


@pytest.mark.rules("recall-R10", "recall-R8")
def test_search_finds_the_largest_products():
    rng = np.random.default_rng(0)
    items, queries = rng.standard_normal((50, 6)), rng.standard_normal((4, 6))
    found = nearest_items(ExactIndex(items), queries, 60)
    products = queries @ items.T
    assert found.ids[:, :50].tolist() == np.argsort(-products, axis=1).tolist()
    np.testing.assert_allclose(found.scores[:, :50], -np.sort(-products, axis=1))
    assert (found.ids[:, 50:] == -1).all()
    assert np.isneginf(found.scores[:, 50:]).all()
    few = ExactIndex(items).candidates(queries, 9)
    assert few.tolist() == np.argsort(-products, axis=1)[:, :9].tolist()


@pytest.mark.rules("recall-R20")
def test_the_requested_length_is_rounded_up_by_at_most_an_eighth():
    least = np.arange(1, 5000)
    asked = list_length(least)
    assert (asked >= least).all()
    assert (asked <= least + least // 8).all()
    assert len(np.unique(asked)) < 100
    assert list_length(np.array([4, 70, 1024])).tolist() == [4, 72, 1024]


@pytest.mark.rules("recall-R6", "recall-R20")
def test_excluded_items_of_a_user_do_not_change_other_lists():
    rng, items = np.random.default_rng(4), vectors(500)
    index = index_of(items, effort=60)
    interests, active = vectors(90, seed=9).reshape(30, 3, 8), rng.random((30, 3)) < 0.8
    exclude = Ragged.of([rng.choice(500, rng.integers(0, 90), replace=False) for _ in range(30)])
    together = retrieve_top_n(index, interests, active, n=9, exclude=exclude)
    for c in range(30):
        some = slice(c, c + 1)
        hidden = Ragged.of([exclude.row(c)])
        alone = retrieve_top_n(index, interests[some], active[some], n=9, exclude=hidden)
        for ours, theirs in zip(alone, together, strict=True):
            np.testing.assert_array_equal(ours[0], theirs[c])


@pytest.mark.rules("recall-R20", "recall-R21")
def test_a_list_is_filled_by_over_fetching_or_by_an_exact_search(monkeypatch):
    active = np.ones((1, 2), np.bool_)
    index = Half(ITEMS, [0, 1, 2, 3, 4])
    ranked = retrieve_top_n(index, INTERESTS[None], active, n=2, exclude=Ragged.of([[0, 3, 3]]))
    assert (index.asked, ranked.items.tolist()) == (2 + 2, [[1, 2]])
    short = Half(ITEMS, [1, 4])
    ranked = retrieve_top_n(short, INTERESTS[None], active, n=3, exclude=Ragged.of([[4]]))
    assert ranked.items.tolist() == [[0, 1, 2]]
    assert retrieve_top_n(short, INTERESTS[None][:0], active[:0], n=3).items.shape == (0, 3)
    monkeypatch.setattr(retrieval, "search_top_n", None)  # nothing may fall back to it
    index, one = Half(ITEMS, [0, 3, 2, 1]), np.array([[[1.0, 0]]])
    ranked = retrieve_top_n(index, one, active[:, :1], n=2, exclude=Ragged.of([[0, 3]]))
    assert ranked.items.tolist() == [[2, 1]]


def check_retrieval(index, items, score):
    """Lists of an index that finds all items must be those of the exact search."""
    rng = np.random.default_rng(8)
    interests = vectors(60, seed=9).reshape(20, 3, 8)
    interests[3] = 0
    active = rng.random((20, 3)) < 0.7
    active[5] = False
    exclude = Ragged.of([rng.choice(600, rng.integers(0, 50), replace=False) for _ in range(20)])
    settings = {"n": 15, "exclude": exclude, "score": score}
    got = retrieve_top_n(index, interests, active, **settings)
    np.testing.assert_equal(got, search_top_n(interests, active, items, **settings))


@pytest.mark.rules("recall-R13", "recall-R18", "recall-R19", "recall-R20")
@pytest.mark.parametrize("score", ["max", "sum"])
def test_retrieval_from_complete_trees_equals_the_exact_search(score):
    check_retrieval(index_of(vectors(600)), vectors(600), score)


@pytest.mark.rules("recall-R4", "recall-R18")
def test_a_union_has_no_duplicates_and_no_excluded_items():
    rng = np.random.default_rng(0)
    lists = rng.integers(-1, 40, (1500, 30))  # three parts of 512 cases
    hidden = [rng.integers(0, 40, rng.integers(0, 9)) for _ in lists]
    united = unite_lists(lists, Ragged.of(hidden), 40)
    for row, found, unseen in zip(lists, united, hidden, strict=True):
        expected = dict.fromkeys(i for i in row.tolist() if i >= 0 and i not in unseen)
        assert found[: len(expected)].tolist() == list(expected)
        assert (found[len(expected) :] == -1).all()
    for wrong in (-2, 40):
        with pytest.raises(DataError, match=f"item ids from -1 to 39, got .*{wrong}"):
            unite_lists(np.array([[3, wrong]]), Ragged.of([[]]), 40)
