"""Exact search as an index."""

import numpy as np
import pytest

from mindref.data.log import Ragged
from mindref.recall import ExactIndex, nearest_items, retrieve_top_n


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


@pytest.mark.rules("recall-R4")
def test_excluded_items_are_not_recommended():
    index = ExactIndex(np.array([[3.0], [2.0], [1.0]]))
    ranked = retrieve_top_n(
        index, np.ones((2, 1, 1)), np.ones((2, 1), np.bool_), n=2, exclude=Ragged.of([[], [0]])
    )
    assert ranked.items.tolist() == [[0, 1], [1, 2]]
