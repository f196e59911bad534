"""Own counts: scores of repeated items, and the order of the other items."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.models import own_counts
from mindref.models.parameters import Sizes, catalogue_of_ids
from mindref.models.serving import Model
from mindref.recommender.serving.top_n_lists import recommend_batch
from tests.assertions import assert_close

RANKS = {"ranks": np.array([2, 1, 3, 4, 5])}  # of the worked example in specs/baselines.md


@pytest.mark.rules("baselines-R2", "baselines-R6", "baselines-R22", "baselines-R23")
@given(
    rows=st.lists(st.lists(st.integers(0, 4), max_size=15), max_size=4),
    decay=st.sampled_from([1.0, 0.5, 1e-6]),
)
def test_repeated_items_are_first_then_the_popular_ones(rows, decay):
    """The window is shorter than many histories. With decay 1e-6, scores underflow."""
    config = Config.of("mind", {"model": "own_counts", "history_decay": decay, "window": 2})
    model = Model(RANKS, catalogue_of_ids(5, "float32"), config)
    profiles = np.zeros((len(rows), 0), np.int64)
    ranked, _ = recommend_batch(model, Ragged.of(rows), profiles, n=6)
    by_popularity = [1, 0, 2, 3, 4]
    for row, found, scores in zip(rows, ranked.items.tolist(), ranked.scores, strict=True):
        values = {j: -(rank + 1) / 5 for rank, j in enumerate(by_popularity)}
        for item in set(row):
            values[item] = sum(decay**r for r, x in enumerate(reversed(row)) if x == item)
        assert_close(scores[:5], sorted(values.values(), reverse=True))
        assert_close([values[x] for x in found[:5]], scores[:5])
        new = [x for x in found if x >= 0 and x not in row]
        assert new == [x for x in by_popularity if x not in row]
        assert found[5] == -1


@pytest.mark.rules("baselines-R22")
def test_the_example_of_the_page():
    config = Config.of("mind", {"model": "own_counts", "history_decay": 0.5})
    fitted = own_counts.fit_ranks(
        Ragged.of([[0, 1, 2], [1, 3], [0, 2, 0, 1], [3, 1]]), Sizes(5, 5, 0, 0), config
    )
    assert fitted["ranks"].tolist() == RANKS["ranks"].tolist()
    scores = own_counts.score_own_counts(RANKS, Ragged.of([[3, 0, 2, 0]]), config)
    assert scores.to_dense().tolist() == [[1.25, -0.2, 0.5, 0.125, -1.0]]
