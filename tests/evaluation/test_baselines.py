"""The two baselines of an evaluation: items by popularity, and items by chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.log import Ragged
from mindref.evaluation import baselines
from mindref.evaluation.baselines import popularity_top_n, random_top_n
from mindref.recall.exact import search_top_n


@pytest.mark.rules("metrics-R24")
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_popularity_equals_the_top_n_search_of_counts(seed, n):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, 9)
    exclude = Ragged.of([rng.integers(0, 9, rng.integers(0, 12)) for _ in range(5)])
    ranked = popularity_top_n(counts, 5, n=n, exclude=exclude)
    one, items = np.ones((5, 1, 1)), counts[:, None].astype(float)
    expected = search_top_n(one, one[..., 0] > 0, items, n=n, exclude=exclude)
    np.testing.assert_equal(ranked, expected)


@pytest.mark.rules("metrics-R25")
@pytest.mark.parametrize("n", [2, 30, 60])
def test_random_lists_are_distinct_uniform_and_the_same_in_any_blocks(n):
    exclude = Ragged.of([[0, 5], []] * 1000)
    rng = np.random.default_rng(3)
    ranked = random_top_n(rng, 40, 2000, n=n, exclude=exclude)
    for case, row in enumerate(ranked.items):
        filled = row[row >= 0]
        assert len(set(filled.tolist())) == len(filled) == min(n, 38 if case % 2 == 0 else 40)
        assert (row[len(filled) :] == -1).all(), "empty places stand last"
    assert not np.isin(ranked.items[::2], [0, 5]).any()
    for rank in range(2):
        share = np.bincount(ranked.items[1::2, rank], minlength=40) / 1000
        np.testing.assert_allclose(share, 1 / 40, atol=0.025, err_msg="five standard errors")
    assert (ranked.interests[ranked.items >= 0] == 0).all()
    assert np.isneginf(ranked.scores[ranked.items < 0]).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "BLOCK", 300)
        blocked = random_top_n(np.random.default_rng(3), 40, 2000, n=n, exclude=exclude)
    np.testing.assert_array_equal(ranked.items, blocked.items)
