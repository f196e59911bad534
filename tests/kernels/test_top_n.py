"""The compiled parts of exact top-n search, compared with Python's sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.errors import ConfigError, DataError, ShapeError
from mindref.evaluation.top_n import rescore_candidates
from mindref.kernels import top_n

SEEDS = st.integers(0, 2**32 - 1)


def random_scores(rng, *shape):
    """Whole numbers, so that many are equal, or normal numbers."""
    if rng.random() < 0.5:
        return rng.integers(-4, 5, shape).astype(np.float32)
    return rng.standard_normal(shape).astype(np.float32)


def expected_ids(scores, count):
    """Return the ids of the `count` largest scores above -inf, the lower id among equals."""
    ids = [i for i in range(len(scores)) if scores[i] > -np.inf]
    return sorted(sorted(ids, key=lambda i: (-scores[i], i))[:count])


@pytest.mark.rules("recall-R1", "recall-R4", "recall-R7")
@given(SEEDS, st.integers(1, 9), st.sampled_from([1, 31, 32, 33, 100]))
def test_pools_contain_the_top_n_of_all_blocks(seed, count, width):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 3, 3)  # of products of each user, none among them
    bounds = np.concatenate([[0], np.cumsum(rows)])
    products = random_scores(rng, int(bounds[-1]), 500)
    seen = np.unique(np.stack([rng.integers(0, 3, 60), rng.integers(0, 500, 60)], axis=1), axis=0)
    pools = top_n.empty_pools(3, count, np.float32)
    for first in range(0, 500, width):
        block = products[:, first : first + width].copy()
        inside = (seen[:, 1] >= first) & (seen[:, 1] < first + width)
        top_n.pool_block(block, bounds, first, seen[inside] - [0, first], count, *pools)
    top_n.finish_pools(pools.ids, pools.scores, pools.sizes, count)
    for u in range(3):
        of_user = products[bounds[u] : bounds[u + 1]]
        scores = of_user.max(axis=0) if len(of_user) else np.full(500, -np.inf)
        scores[seen[seen[:, 0] == u, 1]] = -np.inf
        expected = expected_ids(scores, count)
        assert pools.ids[u, : len(expected)].tolist() == expected
        assert (pools.ids[u, len(expected) :] == -1).all()


@pytest.mark.rules("recall-R7")
@given(SEEDS, st.integers(1, 40))
def test_pruning_keeps_the_best_items_in_order_and_returns_a_floor(seed, count):
    rng = np.random.default_rng(seed)
    scores = random_scores(rng, 41)
    ids = np.arange(41)
    moved = scores.copy()
    floor = top_n.prune_pool(ids, moved, count)
    assert ids[:count].tolist() == expected_ids(scores, count)
    np.testing.assert_array_equal(moved[:count], scores[ids[:count]])
    last = np.sort(scores)[-count]
    assert floor <= last
    assert np.count_nonzero(scores > floor) <= count, "an item outside the top n is not added"


@given(SEEDS, st.integers(1, 30))
def test_nth_largest_counts_ties(seed, m):
    scores = random_scores(np.random.default_rng(seed), 30)
    assert top_n.nth_largest(scores.copy(), m) == np.sort(scores)[-m]


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1.0, 3e38])
def test_pruning_with_subnormal_and_very_large_scores(scale):
    scores = (np.array([0.1, 1, -1, 0.5, 1, 0, -0.5]) * scale).astype(np.float32)
    for count in range(1, 7):
        ids = np.arange(7)
        top_n.prune_pool(ids, scores.copy(), count)
        assert ids[:count].tolist() == expected_ids(scores, count)


@pytest.mark.rules("recall-R1", "recall-R3", "recall-R5", "recall-R7", "recall-R8")
@given(SEEDS, st.booleans())
def test_candidates_are_sorted(seed, by_sum):
    rng = np.random.default_rng(seed)
    interests = rng.integers(-2, 3, (3, 2, 3)).astype(np.float64)
    items = rng.integers(-2, 3, (30, 3)).astype(np.float64)
    active = rng.random((3, 2)) < 0.7
    ids = np.array([rng.permutation(np.r_[np.full(5, -1), :30])[:20] for _ in range(3)])
    n = int(rng.integers(1, 25))
    best, best_interest = np.full((3, n), -1), np.full((3, n), -1)
    scores = np.full((3, n), -np.inf)
    top_n.sort_candidates(interests, active, items, ids, by_sum, best, scores, best_interest)
    for c in range(3):
        expected = []
        for i in ids[c][ids[c] >= 0].tolist() if active[c].any() else []:
            products = np.where(active[c], interests[c] @ items[i], -np.inf)
            value = products[active[c]].sum() if by_sum else products.max()
            expected.append((-value, i, products.argmax()))
        expected = sorted(expected)[:n]
        length = len(expected)
        assert best[c].tolist() == [i for _, i, _ in expected] + [-1] * (n - length)
        assert scores[c, :length].tolist() == [-value for value, _, _ in expected]
        assert best_interest[c].tolist() == [k for _, _, k in expected] + [-1] * (n - length)


VALID = {
    "interests": np.ones((3, 2, 5)),
    "active": np.ones((3, 2), bool),
    "items": np.ones((9, 5)),
    "candidates": np.array([[0, 8, -1], [1, 2, 3], [-1, -1, -1]]),
}
INVALID = {
    "an id beyond the items": ({"candidates": np.full((3, 2), 9)}, DataError),
    "ids that are no integers": ({"candidates": np.zeros((3, 2))}, DataError),
    "candidates of more cases": ({"candidates": np.zeros((4, 2), int)}, ShapeError),
    "candidates of fewer cases": ({"candidates": np.zeros((2, 2), int)}, ShapeError),
    "candidates of no case": ({"candidates": np.zeros(3, int)}, ShapeError),
    "interests of another width": ({"interests": np.ones((3, 2, 6))}, ShapeError),
    "interests that are narrower": ({"interests": np.ones((3, 2, 4))}, ShapeError),
    "interests of another type": ({"interests": np.ones((3, 2, 5), np.float32)}, ShapeError),
    "items of another type": ({"items": np.ones((9, 5), np.float32)}, ShapeError),
    "items of integers": ({"items": np.ones((9, 5), int)}, ShapeError),
    "active of another shape": ({"active": np.ones((3, 3), bool)}, ShapeError),
    "no place in the list": ({"n": 0}, ConfigError),
    "another score": ({"score": "mean"}, ConfigError),
}


@pytest.mark.parametrize(("change", "error"), INVALID.values(), ids=INVALID)
def test_invalid_candidates_raise(change, error):
    """Compiled code would read outside the arrays."""
    good = {**VALID, "n": 2}
    assert rescore_candidates(**good).items.tolist() == [[0, 8], [1, 2], [-1, -1]]
    with pytest.raises(error, match=r"^top_n"):
        rescore_candidates(**{**good, **change})
