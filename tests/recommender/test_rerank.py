"""The ranking stage: the order, the gain from it, and what no inner product could keep of it."""

import numpy as np
import pytest

from mindref.data.log import Ragged
from mindref.data.splits import EvaluationCases
from mindref.errors import DataError, ShapeError
from mindref.models import din, mind
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Sizes, catalogue_of_ids
from mindref.models.serving import Model
from mindref.recall.top_n import TopN
from mindref.recommender.serving import rerank as stage
from mindref.recommender.serving.rerank import rerank, rerank_gain
from tests.models.worlds import lively

HISTORIES = Ragged.of([[3, 1, 4, 1], [], [5, 9, 2]])
PROFILES = np.zeros((3, 0), np.int64)


def made(items=12, **settings):
    small = {"width": 4, "window": 3, "attention_hidden": (5,), "hidden": (6,)}
    config = DinConfig(**small | settings)
    rng = np.random.default_rng(0)
    params = lively(rng, din.init(rng, config, Sizes(items, items, 0, 0)))
    return Model(params, catalogue_of_ids(items, config.dtype), config)


def ranked(rows):
    """Lists in falling order of made-up scores, -1 for an empty place."""
    items = np.array(rows)
    scores = np.where(items >= 0, -np.arange(items.shape[1], dtype=np.float32), -np.inf)
    return TopN(items, scores, np.where(items >= 0, items % 3, -1))


LISTS = ranked([[7, 2, 5, 0], [6, 8, -1, -1], [3, 11, 10, -1]])


def score_one(reranker, history, items):
    users = mind.Histories(
        history[None], np.ones((1, len(history)), bool),
        np.zeros((1, len(history), 0), np.float32), PROFILES[:1],
    )  # fmt: skip
    arguments = users, np.array([items]), reranker.catalogue, reranker.config
    return din.logits(reranker.params, *arguments)[0][0]


@pytest.mark.rules("din-R18")
@pytest.mark.parametrize("pairs", [1, 1 << 18], ids=["one case a block", "all at once"])
def test_a_list_keeps_its_items_in_the_order_of_their_scores(pairs, monkeypatch):
    monkeypatch.setattr(stage, "PAIRS", pairs)
    some = made()
    after = rerank(some, LISTS, HISTORIES, PROFILES)
    moved = False
    for case, row in enumerate(LISTS.items):
        real = [int(i) for i in row if i >= 0]
        history = HISTORIES.row(case)[-some.config.window :]
        scores = {i: float(score_one(some, history, [i])[0]) for i in real}
        expected = sorted(real, key=lambda i: -scores[i])
        moved |= expected != real
        filled = len(real)
        assert after.items[case, :filled].tolist() == expected
        by_score = [scores[i] for i in expected]
        np.testing.assert_allclose(after.scores[case, :filled], by_score, rtol=1e-4)
        assert after.interests[case, :filled].tolist() == [i % 3 for i in expected]
        assert (after.items[case, filled:] == -1).all()
        assert (after.scores[case, filled:] == -np.inf).all()
        assert (after.interests[case, filled:] == -1).all()
    assert moved


@pytest.mark.rules("din-R18")
def test_equal_scores_keep_the_order_of_recall():
    some = made()
    last = some.params.layers[-1]
    flat = (*some.params.layers[:-1], last._replace(weight=np.zeros_like(last.weight)))
    equal = some._replace(params=some.params._replace(layers=flat))
    after = rerank(equal, LISTS, HISTORIES, PROFILES)
    np.testing.assert_array_equal(after.items, LISTS.items)


def test_lists_that_do_not_fit_and_scores_that_are_no_numbers_are_named():
    some = made()
    with pytest.raises(ShapeError, match="as many lists as histories and profiles, got 3, 2 and 3"):
        rerank(some, LISTS, Ragged.of([[1], [2]]), PROFILES)
    bad = some.params._replace(items=np.full_like(some.params.items, np.nan))
    with pytest.raises(DataError, match="rerank: scores: expected finite numbers"):
        rerank(some._replace(params=bad), LISTS, HISTORIES, PROFILES)
    nobody = TopN(*(x[:0] for x in LISTS))
    assert rerank(some, nobody, Ragged.of([]), PROFILES[:0]).items.shape == (0, 4)


@pytest.mark.rules("din-R19")
def test_the_gain_is_over_all_cases_and_over_those_that_an_order_can_change():
    before = ranked([[7, 2, 5, 0], [6, 8, 1, 2], [3, 11, 10, 4], [1, 2, 3, 4]])
    items = np.array([[2, 7, 5, 0], [8, 6, 1, 2], [3, 11, 4, 10], [4, 3, 2, 1]])
    after = TopN(items, before.scores, before.interests)
    # hit at rank 2 and then 1; beyond the list; at rank 3 and then 4; without a target
    cases = EvaluationCases(np.arange(4), Ragged.of([[]] * 4), Ragged.of([[2], [9], [10], []]))
    found = rerank_gain(before, after, cases, list_lengths=(1, 4), rng=np.random.default_rng(0))
    assert found["candidates"] == 4
    assert (found["all"]["cases"], found["within"]["cases"]) == (3, 2)
    value = {
        (part, when, name): found[part][when][name]["value"]
        for part in ("all", "within")
        for when in ("before", "after", "gain")
        for name in ("hit_rate@1", "ndcg@4")
    }
    gains = {2: 1 / np.log2(3), 1: 1.0, 3: 1 / np.log2(4), 4: 1 / np.log2(5)}
    for part, n in (("all", 3), ("within", 2)):
        assert value[part, "before", "hit_rate@1"] == 0
        assert value[part, "after", "hit_rate@1"] == pytest.approx(1 / n)
        assert value[part, "gain", "hit_rate@1"] == pytest.approx(1 / n)
        old, new = (gains[2] + gains[3]) / n, (gains[1] + gains[4]) / n
        assert value[part, "before", "ndcg@4"] == pytest.approx(old)
        assert value[part, "gain", "ndcg@4"] == pytest.approx(new - old)
    # case by case: one gains, one loses
    assert found["within"]["gain"]["ndcg@4"]["low"] == pytest.approx(gains[4] - gains[3])


@pytest.mark.rules("din-R19")
def test_the_gain_of_the_area_is_that_of_each_case():
    before = ranked([[7, 2, 5, 0], [6, 8, 1, -1], [3, 11, 10, -1]])
    items = np.array([[5, 7, 2, 0], [8, 6, 1, -1], [3, 11, 10, -1]])
    after = TopN(items, before.scores, before.interests)
    cases = EvaluationCases(np.arange(3), Ragged.of([[]] * 3), Ragged.of([[5], [8], [9]]))
    found = rerank_gain(before, after, cases, list_lengths=(1,), rng=np.random.default_rng(0))
    found = found["within"]
    # areas 1/3 of 4 candidates, 1/2 of 3; then 1 and 1; weighted by the candidates
    assert found["before"]["gauc"]["value"] == pytest.approx((4 / 3 + 3 / 2) / 7)
    assert found["after"]["gauc"]["value"] == pytest.approx(1)
    assert found["gain"]["gauc"]["value"] == pytest.approx((4 * 2 / 3 + 3 / 2) / 7)
    assert found["gain"]["gauc"]["low"] == pytest.approx(1 / 2), "one case, drawn twice"


def test_two_lists_of_other_items_cannot_be_compared():
    cases = EvaluationCases(np.arange(3), HISTORIES, Ragged.of([[7], [6], [3]]))
    other = ranked([[7, 2, 5, 1], [6, 8, -1, -1], [3, 11, 10, -1]])
    with pytest.raises(ShapeError, match="rerank_gain: expected two orders of the same candidates"):
        rerank_gain(LISTS, other, cases, list_lengths=(1,), rng=np.random.default_rng(0))
    nowhere = cases._replace(targets=Ragged.of([[1], [1], [1]]))
    with pytest.raises(DataError, match="a case with a target among its candidates"):
        rerank_gain(LISTS, LISTS, nowhere, list_lengths=(1,), rng=np.random.default_rng(0))
