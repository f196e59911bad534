"""Untrained items in runs: lists, histories, indexes, reports and export."""

import warnings

import numpy as np
import pytest

import mindref
from mindref.cli.reports import untrained_lines
from mindref.data.log import Ragged
from mindref.errors import DataError
from mindref.models import registry
from mindref.models.serving import item_matrix
from mindref.recommender.evaluate_run import evaluate_lists, evaluate_run, recommend_cases
from mindref.recommender.serving.rerank import rerank
from mindref.recommender.training.rerank_trainer import resume_reranker
from mindref.recommender.training.trainer import resume_run
from mindref.study.case_study.numbers import make_item_list
from mindref.study.models.study_model import choose_user, open_study_model, sample_pair
from mindref.study.tracing import TrainingPair, displayed_items
from mindref.study.user_summary import list_top_items
from tests.assertions import nonempty
from tests.list_requests import recalled
from tests.runs import loaded, trained, trainer

pytestmark = pytest.mark.filterwarnings("ignore:1 of 1 requests have no known behaviour")
LOG = loaded().log
LENGTH = 200  # more than the catalogue has items


@pytest.fixture(scope="module", params=list(registry.RECALL_FAMILIES))
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "run"
    made = trainer(path, model=request.param)
    made.train()
    made.evaluate()
    return path


def untrained_ids(run):
    served = mindref.load(run).served
    return [served.items.ids[i] for i in np.flatnonzero(~served.servable.is_servable)]


@pytest.mark.rules("model-R41", "model-R43")
def test_no_list_of_a_run_has_an_untrained_item(run):
    untrained, model = set(untrained_ids(run)), mindref.load(run)
    never = np.flatnonzero(np.array(model.served.items.counts) == 0)
    assert {LOG.item_ids[i] for i in nonempty(never)} <= untrained
    servable = set(LOG.item_ids) - untrained
    for answer in nonempty(recalled(run, n=LENGTH, exclude_seen=False)):
        assert sorted(x.item for x in answer.items) == sorted(servable)
    with warnings.catch_warnings(action="ignore"):
        listed = {x.item for x in model.recommend([], n=LENGTH)}
    assert listed == servable, "the popular items: recall-R51"


@pytest.mark.rules("model-R44")
def test_an_untrained_item_of_a_history_is_not_read(run):
    model, untrained = mindref.load(run), untrained_ids(run)
    history = list(model.served.dense)[:3]
    mixed = [history[0], untrained[0], *history[1:], *untrained]
    with pytest.warns(UserWarning, match="items that are not in the catalogue or untrained"):
        assert model.recommend(mixed) == model.recommend(history)
    with pytest.raises(DataError, match=r"history: expected the id .*; name an item that occ"):
        model.recommend(untrained)
    (answer,) = recalled(run, history=mixed)
    assert (answer.length, answer.unknown) == (3, [untrained[0], *untrained])


@pytest.mark.rules("model-R44")
def test_evaluation_does_not_read_untrained_items(mind_run):
    made = resume_run(mind_run)
    untrained = np.array([LOG.item_ids.index(x) for x in untrained_ids(mind_run)])
    cases = made.evaluation_set(made.prepared.split.test)
    histories = cases.cases.histories
    rows = [np.concatenate([row, untrained]) for row in map(histories.row, range(len(histories)))]
    mixed = cases._replace(cases=cases.cases._replace(histories=Ragged.of(rows)))
    expected, got = (recommend_cases(made.model(), x, 10)[0] for x in (cases, mixed))
    np.testing.assert_array_equal(got.items, expected.items)
    np.testing.assert_array_equal(got.scores, expected.scores)


@pytest.mark.rules("model-R45", "model-R43")
def test_the_report_counts_untrained_items_and_their_targets_stay_cases(run):
    made, report = resume_run(run), evaluate_run(run)
    untrained = np.array([LOG.item_ids.index(x) for x in untrained_ids(run)])
    targets, length = made.prepared.split.test.targets.values, len(LOG.item_ids)
    missed = int(np.isin(targets, untrained).sum())
    assert report["untrained"] == {
        "items": len(untrained), "item_share": len(untrained) / length, "with_features": 0,
        "targets": missed, "target_share": missed / len(targets),
    }  # fmt: skip
    assert report["untrained"] == made.evaluate()["untrained"]
    assert report["cases"] == len(targets)
    test = made.evaluation_set(made.prepared.split.test)
    reports, _ = evaluate_lists(made.model(), test, made.backend, [length])
    for name in ("model", "item_knn", "popularity"):
        metrics = reports[name].metrics
        assert metrics[f"hit_rate@{length}"]["value"] <= 1 - missed / len(targets)
        assert metrics[f"coverage@{length}"]["value"] == 1 - len(untrained) / length, name


@pytest.mark.rules("model-R45")
def test_the_line_about_untrained_items_names_those_that_are_never_recommended():
    counts = {"items": 7, "item_share": 0.07, "with_features": 2, "target_share": 0.1}
    (line,) = untrained_lines(counts)
    assert line.startswith("untrained items (in no training example): 7 (7.0% of the catalogue,")
    assert "catalogue, 10.0% of the targets); 5 of them" in line
    assert "; 5 of them have no trained features and are never recommended" in line
    assert untrained_lines({**counts, "items": 0}) == []


@pytest.mark.rules("model-R42", "model-R43")
def test_an_untrained_item_with_features_is_served_by_its_features(tmp_path):
    run = trained(tmp_path / "run", item_features=("shelf",))
    model = mindref.load(run)
    served = model.served
    (item, *_) = np.flatnonzero((np.array(served.items.counts) == 0) & served.servable.is_servable)
    row = served.model.catalogue.rows[item, 1]
    np.testing.assert_array_equal(item_matrix(served.model)[item], served.model.params.items[row])
    assert LOG.item_ids[item] in [x.item for x in model.recommend([], n=LENGTH)]
    report = evaluate_run(run)["untrained"]
    assert report["items"] >= report["with_features"] > 0


@pytest.mark.rules("model-R43", "model-R44")
def test_the_study_leaves_untrained_items_out(mind_run):
    study_model = open_study_model(mind_run)
    untrained = {LOG.item_ids.index(x) for x in untrained_ids(mind_run)}
    assert not untrained & set(study_model.histories.values.tolist())
    sampled = sample_pair(study_model, choose_user(study_model, "median").user)
    model = study_model.model
    pair = TrainingPair(model.params, sampled.batch, model.catalogue, model.config)
    displayed = displayed_items(pair).tolist()
    assert len(displayed) == len(LOG.item_ids) - len(untrained)
    assert not untrained & set(displayed)
    item = make_item_list(study_model, "all", item_matrix(model)[0], np.array([0]), LENGTH)
    assert len(item.items) == len(displayed) - 1
    vectors, active = np.zeros((4, 8)), np.ones(4, bool)
    listed = {x.item for x in list_top_items(pair, vectors, active)}
    assert listed == set(displayed[: len(listed)])


@pytest.mark.rules("model-R44")
def test_din_does_not_read_untrained_items(din):
    made = resume_reranker(din).train()
    untrained = np.flatnonzero(~made.served.servable.is_servable)
    cases = made.prepared.split.test
    profiles, listed = made.candidates(cases, 10)
    rows = [np.append(cases.histories.row(c), untrained) for c in range(len(cases.users))]
    expected, got = (
        rerank(made.model(), listed, histories, profiles)
        for histories in (cases.histories, Ragged.of(rows))
    )
    np.testing.assert_array_equal(got.scores, expected.scores)
