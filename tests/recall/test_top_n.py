"""Top-n lists by scores (recall-R40), compared with a naive sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError, ShapeError
from mindref.models import random_scores, serving
from mindref.models.family import SparseScores
from mindref.models.parameters import catalogue_of_ids
from mindref.recall.retrieval import ItemFilter
from mindref.recall.top_n import top_n_by_score, top_n_by_sparse_score
from mindref.recommender.serving import top_n_lists
from tests.assertions import raises_exactly
from tests.list_requests import recalled
from tests.runs import trained

INF = float("inf")


def naive(row, n, hidden):
    """Return a list by the definition, with Python's sort, padded."""
    able = [(i, x) for i, x in enumerate(row) if i not in hidden and x != -INF]
    best = sorted(able, key=lambda place: (-place[1], place[0]))[:n]
    return [(i, x, 0) for i, x in best] + [(-1, -INF, -1)] * (n - len(best))


@st.composite
def problems(draw):
    """Scores (C, N) with few different values, so that there are many ties, and excluded items."""
    cases, items = draw(st.integers(0, 4)), draw(st.integers(1, 30))
    values = st.sampled_from([-INF, -2.0, -0.0, 0.0, 0.5, 3.0, INF])
    row = st.lists(values, min_size=items, max_size=items)
    scores = np.array(draw(st.lists(row, min_size=cases, max_size=cases)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    some = st.lists(st.integers(0, items - 1), max_size=items + 3)  # with repeats, or everything
    hidden = draw(st.none() | st.lists(some, min_size=cases, max_size=cases))
    exclude = None if hidden is None else Ragged.of(hidden)
    return scores.reshape(cases, items).astype(dtype), draw(st.integers(1, 35)), exclude


@pytest.mark.rules("recall-R4", "recall-R7", "recall-R8", "recall-R40")
@given(problems())
def test_lists_by_score_agree_with_a_naive_sort(problem):
    scores, n, exclude = problem
    before = scores.copy()
    found = top_n_by_score(scores, n=n, exclude=exclude)
    assert [x.shape for x in found] == [(len(scores), n)] * 3
    for case, row in enumerate(scores.tolist()):
        hidden = set() if exclude is None else set(exclude.row(case).tolist())
        places = zip(*(x[case].tolist() for x in found), strict=True)
        assert list(places) == naive(row, n, hidden)
    np.testing.assert_array_equal(scores, before, err_msg="the scores that were given")


@pytest.mark.rules("recall-R4", "recall-R8", "recall-R40")
@given(problems())
def test_lists_by_sparse_scores_equal_those_of_dense_scores(problem):
    scores, n, exclude = problem
    scores = np.where((scores > 0) & (scores < INF), scores, 0).astype(np.float64)
    entries = sparse.csr_matrix(scores)
    entries.data[entries.data == 3] = 0  # a stored zero
    for base_scores in (np.zeros(scores.shape[1]), -(np.arange(scores.shape[1]) % 5) - 1.0):
        order = np.argsort(-base_scores, kind="stable")
        dense = SparseScores(entries, base_scores, order).to_dense()
        got = top_n_by_sparse_score(
            entries, base_scores=base_scores, order=order, n=n, exclude=exclude
        )
        np.testing.assert_equal(got, top_n_by_score(dense, n=n, exclude=exclude))


@pytest.mark.rules("recall-R40")
def test_invalid_arguments_are_refused():
    scores = np.zeros((2, 3))
    for error, message, changes in (
        (ConfigError, "top_n_by_score: n: expected an integer of at least 1, got 0", {"n": 0}),
        (ShapeError, "exclude: expected 2 rows, one per case, got 1", {"exclude": [[0]]}),
        (DataError, "exclude: expected item ids from 0 to 2, got 3 to 3", {"exclude": [[], [3]]}),
    ):
        exclude = Ragged.of(changes.pop("exclude", [[], []]))
        with pytest.raises(error, match=message):
            top_n_by_score(scores, **{"n": 1, "exclude": exclude, **changes})
    scores[1, 2] = np.nan
    for exclude in (None, Ragged.of([[], [2]])):
        with raises_exactly(DataError, "top_n_by_score: scores: expected numbers, got NaN"):
            top_n_by_score(scores, n=2, exclude=exclude)


@pytest.mark.rules("recall-R40")
@pytest.mark.parametrize("held", [1, 45, 1 << 23])
def test_lists_of_a_model_do_not_depend_on_the_block_size(held):
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 9, length) for length in (3, 0, 12, 1, 5, 2, 7)]
    histories, profiles = Ragged.of(rows), np.zeros((7, 0), np.int64)
    nothing = catalogue_of_ids(9, "float32")
    params = {"count": np.array(9)}
    model = serving.Model(params, nothing, Config.of("mind", {"model": "random", "window": 4}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "SCORES", held)
        found, no_interests = top_n_lists.recommend_batch(
            model, histories, profiles, n=5, item_filter=ItemFilter(exclude=histories)
        )
    assert no_interests is None
    for case, row in enumerate(rows):
        last = Ragged.of([row[-4:]])
        (scores,) = random_scores.draw_random_scores(params, last, model.config)
        assert found.items[case].tolist() == [
            item for item, _, _ in naive(scores.tolist(), 5, set(row.tolist()))
        ]


def test_a_model_with_scores_has_no_approximate_index(tmp_path):
    run = trained(tmp_path / "run", model="random")
    with pytest.raises(ConfigError, match="--index: expected auto or exact, got annoy"):
        recalled(run, users=["customer-0001"], n=5, index="annoy")
