"""Runs of DIN: their directory, how training resumes, and their lists and reports."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindref.errors import ConfigError, DataError, RunError
from mindref.evaluation import metrics
from mindref.models import features
from mindref.models.din_config import DinConfig
from mindref.models.parameters import flatten
from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recall import recommend_one
from mindref.recommender.serving.rerank import load_reranker, score_lists
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.rerank_trainer import (
    RerankTrainer,
    load_rerank_report,
    resume_reranker,
)
from mindref.run import array_files, checkpoint
from mindref.run.checkpoint import load_din_config, load_state, run_identity
from mindref.run.files import json_digest
from tests.list_requests import recalled
from tests.recommender.conftest import begun
from tests.recommender.test_rerank_training import SMALL
from tests.runs import change_json, content, stop_after

FILES = [
    "config.json", "items.tsv", "metrics.jsonl", "model.safetensors", "optimiser.safetensors",
    "report.json", "state.json",
]  # fmt: skip


def test_a_din_run_is_loaded_as_it_was_trained(mind_run, tmp_path):
    run = tmp_path / "din"
    made = begun(mind_run, run).train()
    made.evaluate()
    assert sorted(path.name for path in run.iterdir()) == FILES
    words = json.loads((run / "config.json").read_text())
    assert (words["settings"]["model"], words["recall"]["run"]) == ("din", str(mind_run.resolve()))
    assert (run / "items.tsv").read_bytes() == (mind_run / "items.tsv").read_bytes()
    model = load_reranker(run, mind_run)
    assert model.config == load_din_config(run)[0] == made.config == DinConfig(**SMALL)
    np.testing.assert_equal(flatten(model.params), flatten(made.state.params))
    np.testing.assert_equal(model.catalogue, made.model().catalogue)


@pytest.mark.rules("din-R23")
@pytest.mark.parametrize("step", [1, 3])
def test_a_stopped_training_goes_on_to_the_same_bytes(step, mind_run, stage, tmp_path):
    run = tmp_path / "din"
    assert not begun(mind_run, run).train(stop_after(step)).finished
    assert load_state(run)[0].moments.step == step
    with pytest.raises(RunError, match="trained model, got none, as the run was stopped"):
        load_reranker(run, mind_run)
    with pytest.raises(RunError, match="expected the report of a DIN run, got none: it was"):
        load_rerank_report(run)
    again = resume_reranker(run).train()
    assert again.finished
    again.evaluate()
    assert content(run, FILES) == content(stage, FILES)


@pytest.mark.rules("security-R2")
def test_a_stage_that_lacks_a_setting_of_today_is_still_its_own(mind_run, din):
    with change_json(din / "config.json") as words:
        del words["settings"]["product"]
    own = {"recall": words["recall"]["model"], "log": words["log"], "threads": words["threads"]}
    change_words(din, run=json_digest({"settings": words["settings"], **own}))
    assert load_reranker(din, mind_run).config == DinConfig(**SMALL)
    again = resume_reranker(din, recall=mind_run)
    assert again.config == DinConfig(**SMALL)


def change_words(folder, names=("model", "optimiser"), **changes):
    """Change the words beside the arrays of these files."""
    for name in names:
        path = folder / f"{name}.safetensors"
        arrays, words = array_files.load_arrays(path)
        array_files.save_arrays(path, arrays, {**words, **changes})


@pytest.mark.rules("security-R14")
@pytest.mark.parametrize("place", ["/a\0b", "/a\ud800b"], ids=repr)
def test_an_impossible_path_of_the_recall_run_is_refused(place, din):
    with change_json(din / "config.json") as words:
        words["recall"]["run"] = place
    with pytest.raises(RunError, match=r"config.json: expected the configuration of a DIN run"):
        resume_reranker(din)


@pytest.mark.rules("security-R1")
@pytest.mark.parametrize("place", ["candidates", "all.cases", "all.before", "within.gain"])
def test_a_report_of_other_words_is_refused(place, din):
    assert load_rerank_report(din)["candidates"]
    *part, last = place.split(".")
    with change_json(din / "report.json") as words:
        section = words[part[0]] if part else words
        value = section[last]
        section[last] = dict.fromkeys(value, 0.1) if isinstance(value, dict) else "x"
    with pytest.raises(RunError, match=r"report.json: expected the report of a DIN run, got"):
        load_rerank_report(din)


@pytest.mark.rules("din-R23", "security-R10")
@pytest.mark.parametrize("changes", [{"step": "x"}, {"step": -1}, {"model": "mind"}], ids=str)
def test_invalid_words_beside_the_arrays_are_refused(changes, mind_run, din):
    change_words(din, **changes)
    with pytest.raises(RunError, match=r"optimiser.safetensors: expected a state of mindref, got"):
        resume_reranker(din)
    with pytest.raises(RunError, match=r"model.safetensors: expected a model of mindref, got"):
        load_reranker(din, mind_run)


@pytest.mark.rules("din-R24")
def test_a_stage_ranks_for_no_other_run(mind_run, run_of, stage, tmp_path):
    other = run_of(backend="numpy", seed=1)
    moved = Path(shutil.copytree(mind_run, tmp_path / "moved"))
    assert load_reranker(stage, moved).config == DinConfig(**SMALL)
    with pytest.raises(RunError, match=r"the run that it was trained for, .*, another mod"):
        load_reranker(stage, other)
    with pytest.raises(RunError, match="another model; train the reranker anew"):
        resume_reranker(Path(shutil.copytree(stage, tmp_path / "copy")), other)
    with pytest.raises(RunError, match="another model"):
        recalled(other, history=[], reranker=stage, index="exact")


def test_a_recall_run_that_has_moved_is_named_once(mind_run, stage, din, tmp_path):
    with change_json(din / "config.json") as words:
        words["recall"]["run"] = str(tmp_path / "gone")
    with pytest.raises(RunError, match=r"gone/model.safetensors: expected a trained model, got No"):
        resume_reranker(din)
    before = load_din_config(din)[1]
    resume_reranker(din, mind_run)
    assert load_din_config(din)[1] == {**before, "recall": load_din_config(stage)[1]["recall"]}
    assert resume_reranker(din).recall_run == mind_run.resolve()


@pytest.mark.rules("din-R21")
def test_the_item_table_starts_as_that_of_the_run(mind_run):
    drawn = flatten(begun(mind_run, None).state.params)
    made = begun(mind_run, None, init_items="recall")
    table, copied = made.served.model.params.items, flatten(made.state.params)
    np.testing.assert_array_equal(copied.pop("items"), table)
    assert not np.array_equal(drawn.pop("items"), table)
    np.testing.assert_equal(copied, drawn)
    before = table.copy()
    made.train()
    np.testing.assert_array_equal(table, before)


def test_a_run_of_scores_is_refused_and_one_that_was_fitted_has_no_table(run_of, tmp_path):
    with pytest.raises(ConfigError, match="a run with vectors of items, got a run of random"):
        begun(run_of(model="random"), tmp_path / "din")
    assert not (tmp_path / "din").exists()
    fitted = run_of(model="popularity")
    with pytest.raises(ConfigError, match="init_items: expected random, or a run with a table"):
        begun(fitted, None, init_items="recall")
    assert begun(fitted, None).train().evaluate()["all"]["cases"] > 0


def test_a_log_that_changed_is_refused(mind_run, tmp_path):
    served = ServedModel.load(mind_run)
    served.facts["log"] = "another"
    with pytest.raises(DataError, match="log: expected the one that the run was trained on"):
        RerankTrainer(mind_run, served, DinConfig(**SMALL), tmp_path / "din")
    assert not (tmp_path / "din").exists()


def test_a_state_of_other_shapes_is_named(din):
    with change_json(din / "config.json") as words:
        words["settings"]["width"] = 9
    with pytest.raises(RunError, match=r"optimiser.safetensors: expected a file of the run of"):
        resume_reranker(din)
    change_words(din, ("optimiser",), run=run_identity(*load_din_config(din)))
    with pytest.raises(RunError, match=r"items: expected \(\(\d+, 9\), 'float32'\), got"):
        resume_reranker(din)


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


@pytest.mark.rules("din-R20")
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_the_report_is_of_the_test_cases_as_the_run_serves_them(exclude_seen, mind_run, tmp_path):
    recall_run = Path(shutil.copytree(mind_run, tmp_path / "recall"))
    config, facts = checkpoint.load_config(recall_run)
    facts["exclude_seen"] = exclude_seen
    params, catalogue, step, _ = checkpoint.load_best(recall_run)
    identity = checkpoint.run_identity(config, facts)
    checkpoint.save_model(recall_run, params, catalogue, step, config.model, identity)
    checkpoint.save_config(recall_run, config, facts)
    made = begun(recall_run, tmp_path / "din").train()
    report = made.evaluate()
    cases, served = made.prepared.split.test, made.served
    hits, within = {"before": [], "after": []}, 0
    candidates = made.candidates(cases, 20)[1].items
    for case in range(len(cases.users)):
        history = [served.items.ids[i] for i in served.servable.select(cases.histories).row(case)]
        request = ListRequest(histories=[history], n=20, exclude_seen=exclude_seen)
        dense = np.array([[served.dense[x.item] for x in recommend_one(served, request)[0]]])
        np.testing.assert_array_equal(candidates[case], dense[0])
        rows, _ = served.encode([history])
        profile = features.user_profiles(served.log, served.vocabulary, cases.users[[case]])
        order = np.argsort(-score_lists(made.model(), dense, rows, profile)[0], kind="stable")
        is_hit = np.isin(dense[0], cases.targets.row(case))
        within += int(is_hit.any())
        hits["before"].append(is_hit[:10].any())
        hits["after"].append(is_hit[order][:10].any())
    assert report["candidates"] == 20
    assert (report["all"]["cases"], report["within"]["cases"]) == (len(cases.users), within)
    for name, values in hits.items():
        assert report["all"][name]["hit_rate@10"]["value"] == pytest.approx(np.mean(values))
    for name in ("before", "after", "gain"):
        assert set(report["within"][name]) == {"hit_rate@10", "ndcg@10", "gauc"}
    assert load_rerank_report(tmp_path / "din") == {"run": str(tmp_path / "din"), **report}


def test_without_a_recalled_target_the_report_is_empty(mind_run, monkeypatch):
    made = begun(mind_run, None, steps=0).train()
    monkeypatch.setattr(metrics, "hit_mask", lambda items, targets: np.zeros(items.shape, bool))
    report = made.evaluate()
    assert (report["all"], report["within"]) == (None, None)
