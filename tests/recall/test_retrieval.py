"""Retrieval with an index: merged lists, filters and limits per interest, against brute force."""

import numpy as np
import pytest
from scipy import sparse

from mindref.data.log import Ragged
from mindref.errors import DataError, ShapeError
from mindref.recall import ExactIndex, merge_lists, nearest_items, retrieval, retrieve_top_n
from mindref.recall.exact import search_top_n, unite_lists
from mindref.recall.retrieval import AllowLists, ItemFilter, ListSearch, list_length
from tests.recall.annoy_trees import index_of, vectors
from tests.recall.brute_force import as_lists, brute_force

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
    seen = ItemFilter(exclude=exclude)
    together = retrieve_top_n(index, interests, active, n=9, item_filter=seen)
    for c in range(30):
        case = np.array([c])
        alone = retrieve_top_n(
            index, interests[case], active[case], n=9, item_filter=seen.take(case)
        )
        for ours, theirs in zip(alone, together, strict=True):
            np.testing.assert_array_equal(ours[0], theirs[c])


def excluding(*items):
    return ItemFilter(exclude=Ragged.of([items]))


@pytest.mark.rules("recall-R20", "recall-R21")
def test_a_list_is_filled_by_over_fetching_or_by_an_exact_search(monkeypatch):
    active = np.ones((1, 2), np.bool_)
    index = Half(ITEMS, [0, 1, 2, 3, 4])
    ranked = retrieve_top_n(index, INTERESTS[None], active, n=2, item_filter=excluding(0, 3, 3))
    assert (index.asked, ranked.items.tolist()) == (2 + 2, [[1, 2]])
    short = Half(ITEMS, [1, 4])
    ranked = retrieve_top_n(short, INTERESTS[None], active, n=3, item_filter=excluding(4))
    assert ranked.items.tolist() == [[0, 1, 2]]
    assert retrieve_top_n(short, INTERESTS[None][:0], active[:0], n=3).items.shape == (0, 3)
    monkeypatch.setattr(retrieval, "search_top_n", None)  # nothing may fall back to it
    index, one = Half(ITEMS, [0, 3, 2, 1]), np.array([[[1.0, 0]]])
    ranked = retrieve_top_n(index, one, active[:, :1], n=2, item_filter=excluding(0, 3))
    assert ranked.items.tolist() == [[2, 1]]


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


INF = float("inf")


def random_filter(rng, cases, count, share):
    """Return a random filter, with allow lists of some cases, and excluded items."""
    is_allowed = None if share is None else rng.random(count) < share
    rows = [rng.integers(0, count, rng.integers(0, count)) for _ in range(cases)]
    has_list = rng.random(cases) < 0.4
    lists = Ragged.of([row if has_list[c] else row[:0] for c, row in enumerate(rows)])
    only = AllowLists(lists, has_list) if rng.random() < 0.5 else None
    hidden = [rng.integers(0, count, rng.integers(0, 1 + count // 3)) for _ in range(cases)]
    return ItemFilter(is_allowed, only, Ragged.of(hidden))


def check_filters(index, rng, items, n, share, per_interest, score):
    """Lists of an index must be those of brute force. Vectors of integers have many ties."""
    cases, width = 6, items.shape[1]
    interests = np.rint(3 * rng.standard_normal((cases, 3, width)) + 1).astype(items.dtype)
    interests[3] = interests[3, 0]  # equal interests
    active = rng.random((cases, 3)) < 0.7
    limits = random_filter(rng, cases, len(items), share)._replace(per_interest=per_interest)
    ranked = retrieve_top_n(index, interests, active, n=n, item_filter=limits, score=score)
    expected = brute_force(interests, active, items, n, score, limits)
    got = [[(item, interest) for item, _, interest in row] for row in as_lists(ranked)]
    assert got == [[(item, interest) for item, _, interest in row] for row in expected]
    limit = n if per_interest is None else per_interest
    assert max(np.bincount(row[row >= 0]).max(initial=0) for row in ranked.interests) <= limit


@pytest.mark.rules("recall-R42", "recall-R44", "recall-R45", "recall-R8")
@pytest.mark.parametrize("score", ["max", "sum"])
def test_exact_lists_equal_brute_force(score):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        items = np.rint(3 * rng.standard_normal((int(rng.integers(1, 60)), 3)))
        share = (None, 0, 0.05, 0.5, 1)[rng.integers(5)]
        per_interest = (None, 1, 3, 9)[rng.integers(4)]
        n = int(rng.integers(1, 40))
        check_filters(ExactIndex(items), rng, items, n, share, per_interest, score)


@pytest.mark.rules(
    "recall-R13", "recall-R19", "recall-R42", "recall-R43", "recall-R44", "recall-R45"
)
@pytest.mark.parametrize("score", ["max", "sum"])
def test_lists_of_an_index_equal_brute_force(score):
    items = vectors(600, seed=3)
    index = index_of(items)
    for seed, share in enumerate([None, 0.05, 0.3, 0.5, 0.97]):
        for per_interest in (None, 4):
            rng = np.random.default_rng(seed)
            check_filters(index, rng, items, 15, share, per_interest, score)


@pytest.mark.rules("recall-R42")
def test_more_than_one_block_of_items_is_searched():
    rng, items = np.random.default_rng(1), vectors(1500)
    for share in (0.02, 0.4, 0.9):
        check_filters(ExactIndex(items), rng, items, 20, share, None, "max")
    with pytest.raises(ShapeError, match=r"is_allowed: expected bool \(9,\), got bool \(8,\)"):
        search_top_n(*users(9), n=2, is_allowed=np.ones(8, np.bool_))


def users(count):
    """Return one user with two interests, and items on a line."""
    items = np.stack([np.arange(count, 0, -1.0), np.zeros(count)], axis=1)
    return np.array([[[1.0, 0], [0.5, 0]]]), np.ones((1, 2), np.bool_), items


@pytest.mark.rules("recall-R43")
@pytest.mark.parametrize(
    ("allowed", "requested"), [(range(0, 80, 2), 2 * 2 * 2), (range(70, 79), 0), (range(80), 4)]
)
def test_an_index_is_asked_for_more_items_if_few_are_allowed(allowed, requested):
    interests, active, items = users(80)
    is_allowed = np.isin(np.arange(80), list(allowed))
    index = Half(items, np.arange(80))
    limits = ItemFilter(is_allowed)
    ranked = retrieve_top_n(index, interests, active, n=2, item_filter=limits)
    assert ranked.items.tolist() == [list(allowed)[:2]]
    assert index.asked == requested


@pytest.mark.rules("recall-R43")
def test_a_case_whose_interest_has_few_allowed_candidates_is_searched_exactly():
    """Interest 1 lists 8 items that are not allowed. Its allowed items are the best of all."""
    items = np.zeros((80, 2))
    items[:40, 0] = np.arange(40, 0, -1)
    items[40:, 1] = 100 - np.arange(40)
    interests, active = np.array([[[1.0, 0], [0, 1]]]), np.ones((1, 2), np.bool_)
    is_allowed = np.isin(np.arange(80), [*range(20), *range(60, 80)])
    index = Half(items, np.arange(80))
    ranked = retrieve_top_n(index, interests, active, n=2, item_filter=ItemFilter(is_allowed))
    assert ranked.items.tolist() == [[60, 61]]
    assert index.asked == 8


@pytest.mark.rules("recall-R44")
def test_an_allow_list_of_a_case_needs_no_index(monkeypatch):
    interests, active, items = users(50)
    index = Half(items, [])
    only = AllowLists(Ragged.of([[9, 4, 4, 30, 2]]), np.ones(1, np.bool_))
    limits = ItemFilter(only=only, exclude=Ragged.of([[4]]))
    ranked = retrieve_top_n(index, interests, active, n=5, item_filter=limits)
    assert ranked.items.tolist() == [[2, 9, 30, -1, -1]]
    assert index.asked == 0
    both = np.repeat(interests, 2, axis=0), np.repeat(active, 2, axis=0)
    limits = ItemFilter(only=AllowLists(Ragged.of([[], [3]]), np.array([False, True])))
    monkeypatch.setattr(retrieval, "NUMBERS", 1)
    ranked = retrieve_top_n(ExactIndex(items), *both, n=2, item_filter=limits)
    assert ranked.items.tolist() == [[0, 1], [3, -1]]


@pytest.mark.rules("recall-R45", "recall-R6")
@pytest.mark.parametrize("numbers", [1, 1 << 22])
def test_a_rare_interest_is_found_at_the_end_of_the_catalogue(monkeypatch, numbers):
    """Interest 1 is the best one of the last item only."""
    monkeypatch.setattr(retrieval, "NUMBERS", numbers)
    interests, _, items = users(400)
    items[399] = [0.5, 5]
    interests[0, 1, 1] = 1
    both = np.repeat(interests, 2, axis=0), np.array([[True, True], [True, False]])
    limits = ItemFilter(per_interest=3)
    ranked = retrieve_top_n(ExactIndex(items), *both, n=4, item_filter=limits)
    assert ranked.items.tolist() == [[0, 1, 2, 399], [0, 1, 2, -1]]
    assert ranked.interests.tolist() == [[0, 0, 0, 1], [0, 0, 0, -1]]


@pytest.mark.rules("recall-R42", "recall-R44")
def test_scores_are_masked():
    scores = np.arange(8.0).reshape(2, 4)
    limits = ItemFilter(np.array([True, True, False, True]))
    assert limits.mask_scores(scores).tolist() == [[0, 1, -INF, 3], [4, 5, -INF, 7]]
    only = AllowLists(Ragged.of([[], [], [0, 2, 3]]), np.array([True, False, True]))
    limits = limits._replace(only=only)
    for cases, expected in (
        ([1, 2], [[0, 1, -INF, 3], [4, -INF, -INF, 7]]),
        ([0, 1], [[-INF] * 4, [4, 5, -INF, 7]]),
    ):
        assert limits.take(np.array(cases)).mask_scores(scores).tolist() == expected
    assert ItemFilter().mask_scores(scores) is scores


@pytest.mark.rules("recall-R59")
@pytest.mark.parametrize("kind", ["exact", "half"])
@pytest.mark.parametrize("limit", ["none", "exclude", "is_allowed", "only", "per_interest"])
@pytest.mark.parametrize("has_ties", [False, True])
def test_lists_with_added_scores_are_those_of_all_items_by_the_sums(
    kind, limit, has_ties, monkeypatch
):
    monkeypatch.setattr(retrieval, "NUMBERS", 30)  # several blocks of cases
    rng = np.random.default_rng(3)
    cases, items, n = 6, 40, 7
    table, interests = (
        rng.normal(size=(items, 4)).astype(np.float32),
        rng.normal(size=(cases, 2, 4)).astype(np.float32),
    )
    active = np.ones((cases, 2), np.bool_)
    active[::2, 1] = False
    added = sparse.random(cases, items, 0.2, "csr", np.float32, rng) * 3
    if has_ties:
        table, interests, added = np.rint(table), np.rint(interests), added.ceil()
    filters = {
        "exclude": ItemFilter(exclude=Ragged.of([[0, 3, 9, 9]] * cases)),
        "is_allowed": ItemFilter(is_allowed=np.arange(items) % 3 > 0),
        "only": ItemFilter(
            only=AllowLists(
                Ragged.of([[*range(c, 30, 2)] for c in range(cases)]), np.arange(cases) > 1
            )
        ),
        "per_interest": ItemFilter(per_interest=3),
    }
    item_filter = filters.get(limit, ItemFilter())
    index = ExactIndex(table) if kind == "exact" else Half(table, np.arange(items))
    ranked = ListSearch(index, interests, active, n, item_filter, "max", added).top_n()
    products = np.where(active[..., None], interests @ table.T, -np.inf)
    sums = item_filter.mask_scores(products.max(axis=1) + added.toarray())
    if limit == "exclude":
        sums[:, [0, 3, 9]] = -np.inf
    order = np.argsort(-sums, axis=1, kind="stable")
    for case, ids in enumerate(order):
        best = products[case].argmax(axis=0)[ids]
        if limit == "per_interest":
            ids = ids[[np.count_nonzero(best[:i] == k) < 3 for i, k in enumerate(best)]]
        ids = ids[:n]
        assert ranked.items[case, : len(ids)].tolist() == ids.tolist()
        np.testing.assert_allclose(ranked.scores[case, : len(ids)], sums[case, ids], rtol=1e-5)
        expected = products[case].argmax(axis=0)[ids]
        assert ranked.interests[case, : len(ids)].tolist() == expected.tolist()
