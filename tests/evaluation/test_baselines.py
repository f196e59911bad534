"""The baseline popularity of an evaluation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.log import Ragged
from mindref.evaluation.baselines import popularity_top_n
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
