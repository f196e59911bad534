"""What a ranking stage serves, what its report says, and why it cannot be indexed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mindref.conformance.tolerances import same_math
from mindref.evaluation import metrics
from mindref.models import features
from mindref.models.serving import compute_interests
from mindref.recommender import din_indexability
from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recommend import recommend_one
from mindref.recommender.serving.rerank import score_lists
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.rerank_trainer import (
    load_rerank_report,
    load_reranker,
    open_reranker,
)
from mindref.recommender.training.trainer import Hooks
from mindref.run import checkpoint
from mindref.run.training_data import sample_cases
from tests.list_requests import recalled
from tests.recommender.conftest import begun


@pytest.mark.rules("din-R25")
def test_a_list_is_the_best_of_the_candidates_by_din(mind_run, stage):
    ranker, served = load_reranker(stage, mind_run), ServedModel.load(mind_run)
    names = list(served.log.user_ids)[:7]
    plain = list(recalled(mind_run, users=names, n=20, index="exact"))
    after = list(recalled(mind_run, users=names, n=6, index="exact", reranker=stage))
    moved = False
    for user, (old, new) in enumerate(zip(plain, after, strict=True)):
        candidates = np.array([[served.dense[x.item] for x in old.items]])
        rows, profiles, _ = served.encode_users([names[user]])
        scores = score_lists(ranker, candidates, rows, profiles)[0]
        order = np.argsort(-scores, kind="stable")[:6]
        assert [x.item for x in new.items] == [old.items[i].item for i in order]
        np.testing.assert_allclose([x.score for x in new.items], scores[order], rtol=1e-4)
        assert [x.interest for x in new.items] == [old.items[i].interest for i in order]
        moved |= {x.item for x in new.items} != {x.item for x in old.items[:6]}
    assert moved


@pytest.mark.rules("recall-R42", "recall-R44", "recall-R45")
def test_filters_choose_the_candidates_and_the_limit_holds_in_the_order_of_din(mind_run, stage):
    served = ServedModel.load(mind_run)
    names, items = list(served.log.user_ids)[:7], list(served.dense)
    limits = {"only": {names[0]: items[:40]}, "exclude": items[50:60]}
    whole = {"n": 20, "index": "exact", "reranker": stage, **limits}
    everything = list(recalled(mind_run, users=names, **whole))
    assert {x.item for x in everything[0].items} <= set(items[:40])
    cut = 0
    for per_interest in (2, 5):
        lists = recalled(mind_run, users=names, **{**whole, "n": 6}, per_interest=per_interest)
        for old, new in zip(everything, lists, strict=True):
            assert not {x.item for x in old.items} & set(items[50:60])
            expected, counts = [], [0] * 4
            for x in old.items:
                counts[x.interest] += 1
                expected += [x] if counts[x.interest] <= per_interest else []
            assert [x.item for x in new.items] == [x.item for x in expected[:6]]
            cut += expected[:6] != old.items[:6]
    assert cut


@pytest.fixture
def trained_stage(stage):
    """The DIN run, its cases, and their profiles and 20 candidates."""
    made = open_reranker(stage).load_trained()
    return made, made.prepared.split.test, *made.candidates(made.prepared.split.test, 20)


@pytest.mark.rules("din-R26")
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_the_report_is_of_the_test_cases_as_the_run_serves_them(exclude_seen, mind_run, tmp_path):
    place = Path(shutil.copytree(mind_run, tmp_path / "recall"))
    config, facts = checkpoint.load_config(place)
    facts["exclude_seen"] = exclude_seen
    params, catalogue, step = checkpoint.load_best(place)
    whose = config.model, checkpoint.run_identity(config, facts)
    checkpoint.save_model(place, params, catalogue, step, *whose)
    checkpoint.save_config(place, config, facts)
    made = begun(place, tmp_path / "din")
    made.train(Hooks())
    found = made.evaluate()
    cases, served = made.prepared.split.test, made.served
    hits = {"before": [], "after": []}
    listed_by_stage = made.candidates(cases, 20)[1].items
    within = 0
    for case in range(len(cases.users)):
        history = [served.items.ids[i] for i in served.servable.select(cases.histories).row(case)]
        request = ListRequest(histories=[history], n=20, exclude_seen=exclude_seen)
        listed, _ = recommend_one(served, request)
        dense = np.array([[served.dense[x.item] for x in listed]])
        rows, _ = served.encode([history])
        user = cases.users[case : case + 1]
        profile = features.user_profiles(served.log, served.vocabulary, user)
        order = np.argsort(-score_lists(made.model(), dense, rows, profile)[0], kind="stable")
        target = cases.targets.row(case)
        np.testing.assert_array_equal(listed_by_stage[case], dense[0])
        within += int(np.isin(dense, target).any())
        for name, items in (("before", dense[0]), ("after", dense[0][order])):
            hits[name].append(float(np.isin(items[:10], target).any()))
    assert found["candidates"] == 20
    assert (found["all"]["cases"], found["within"]["cases"]) == (len(cases.users), within)
    for name, values in hits.items():
        assert found["all"][name]["hit_rate@10"]["value"] == pytest.approx(np.mean(values))
    for name in ("before", "after", "gain"):
        assert set(found["within"][name]) == {"hit_rate@10", "ndcg@10", "gauc"}
    assert load_rerank_report(tmp_path / "din") == {"run": str(tmp_path / "din"), **found}


def test_where_no_target_is_recalled_there_is_nothing_to_judge(mind_run, tmp_path, monkeypatch):
    made = begun(mind_run, tmp_path / "din", steps=0)
    made.train(Hooks())
    monkeypatch.setattr(metrics, "hit_mask", lambda items, targets: np.zeros(items.shape, bool))
    found = made.evaluate()
    assert (found["all"], found["within"]) == (None, None)


@pytest.mark.rules("din-R20", "din-R21")
def test_the_demonstration_is_of_the_parameters_that_were_trained(mind_run, stage, tmp_path):
    found = din_indexability.measure_indexability(open_reranker(stage).load_trained(), users=30)
    made = open_reranker(stage)
    made.best = load_reranker(stage, mind_run).params
    assert found == din_indexability.measure_indexability(made, users=30)
    untrained = open_reranker(stage)
    assert found != din_indexability.measure_indexability(untrained, users=30)
    assert (found["users"], found["shape"]) == (30, [30, found["items"]])
    assert list(found["by_rank"]) == ["4", "8", "16", "30"], "width 8, and no more than there are"
    assert found["by_rank"]["30"]["overlap"] == 1
    assert -1 <= found["turning_most"] <= found["turning"] <= 1


@pytest.mark.rules("din-R28")
def test_the_run_that_recalls_passes_the_test_that_a_ranking_stage_fails(stage):
    made = open_reranker(stage).load_trained()
    whole = din_indexability.measure_indexability(made, users=60)
    found, model = whole["recall"], made.served.model
    cases = sample_cases(made.prepared.split.test, 60, made.config.seed)
    histories = made.served.servable.select(cases.histories)
    active = compute_interests(model, histories, made.candidates(cases, 1)[0]).active
    assert active.sum() > whole["users"], "or the next line asks nothing"
    assert found["interests"] == whole["users"] > found["width"] == model.config.width
    assert found["rank"] == found["width"]
    assert found["missed"] < same_math(np.float64)
    assert found["overlap"] == 1


@pytest.mark.rules("din-R28")
def test_the_control_has_a_row_for_each_interest_that_is_active_and_not_zero(trained_stage):
    made, cases, profiles, _ = trained_stage
    histories = made.served.servable.select(cases.histories)
    found = compute_interests(made.served.model, histories, profiles)
    alive = found.active & found.vectors.any(axis=2)
    assert alive.sum() < alive.size
    asked, width = (made.served, cases.histories, profiles), made.served.model.config.width
    kept = din_indexability.retained_of_recall(*asked, alive.size, 5)
    assert kept["interests"] == alive.sum()
    # a matrix with no more rows than its width is no control
    assert din_indexability.retained_of_recall(*asked, width, 5) is None
    assert din_indexability.retained_of_recall(*asked, width + 1, 5) is not None
