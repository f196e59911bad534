"""A ranking stage in a run directory: what it holds, to whom it belongs, that it goes on alike."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindref.errors import ConfigError, DataError, RunError
from mindref.models.din_config import DinConfig
from mindref.models.parameters import flatten
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.rerank_trainer import (
    RerankTrainer,
    load_rerank_report,
    load_reranker,
    resume_reranker,
)
from mindref.recommender.training.trainer import Hooks
from mindref.run import array_files
from mindref.run.checkpoint import load_din_config, load_state, run_identity
from mindref.run.files import json_digest
from tests.list_requests import recalled
from tests.recommender.conftest import begun
from tests.recommender.test_rerank_training import SMALL
from tests.runs import change_json, stop_after, trained

FILES = [
    "config.json", "items.tsv", "metrics.jsonl", "model.safetensors", "optimiser.safetensors",
    "report.json", "state.json",
]  # fmt: skip


def test_a_stage_is_a_run_directory_and_is_loaded_as_it_was_trained(mind_run, tmp_path):
    run = tmp_path / "din"
    made = begun(mind_run, run)
    made.train(Hooks())
    made.evaluate()
    assert sorted(path.name for path in run.iterdir()) == FILES
    words = json.loads((run / "config.json").read_text())
    assert words["settings"]["model"] == "din"
    assert words["recall"]["run"] == str(mind_run.resolve())
    assert (run / "items.tsv").read_bytes() == (mind_run / "items.tsv").read_bytes()
    found = load_reranker(run, mind_run)
    assert found.config == load_din_config(run)[0] == made.config == DinConfig(**SMALL)
    np.testing.assert_equal(flatten(found.params), flatten(made.state.params))
    np.testing.assert_equal(found.catalogue, made.model().catalogue)


@pytest.mark.rules("din-R23")
@pytest.mark.parametrize("step", [1, 3])
def test_a_stopped_training_goes_on_to_the_same_bytes(step, mind_run, stage, tmp_path):
    run = tmp_path / "din"
    assert not begun(mind_run, run).train(stop_after(step)).finished
    assert load_state(run)[0].moments.step == step
    assert not (run / "model.safetensors").exists()
    assert not (run / "report.json").exists()
    with pytest.raises(RunError, match="trained model, got none, as the run was stopped"):
        load_reranker(run, mind_run)
    with pytest.raises(RunError, match="expected the report of a DIN run, got none: it was"):
        load_rerank_report(run)
    again = resume_reranker(run)
    assert again.train().finished
    again.evaluate()
    for name in FILES:
        assert (run / name).read_bytes() == (stage / name).read_bytes(), name


@pytest.mark.rules("security-R2")
def test_a_stage_that_lacks_a_setting_of_today_is_still_its_own(mind_run, din):
    with change_json(din / "config.json") as words:
        del words["settings"]["product"]
    own = {"recall": words["recall"]["model"], "log": words["log"], "threads": words["threads"]}
    change_words(din, run=json_digest({"settings": words["settings"], **own}))
    assert load_reranker(din, mind_run).config == DinConfig(**SMALL)
    again = resume_reranker(din, recall=mind_run)
    assert again.load_trained().config == again.config


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


@pytest.mark.rules("din-R23")
@pytest.mark.parametrize("killed", [0, 3])
def test_a_kill_loses_the_steps_after_the_last_that_was_saved(
    killed, mind_run, stage, tmp_path, monkeypatch
):
    monkeypatch.setattr(DinConfig, "evaluate_every", 2)
    run, name = tmp_path / "din", "model.safetensors"

    def kill(step, loss):
        if step == killed:
            raise KeyboardInterrupt

    made = begun(mind_run, run)
    if killed:
        with pytest.raises(KeyboardInterrupt):
            made.train(Hooks(on_step=kill))
    (run / f".{name}.0123456789ab.tmp").write_text("half")
    again = resume_reranker(run)
    assert again.state.moments.step == max(0, killed - 1)
    again.train(Hooks())
    assert not list(run.glob(".*"))
    assert (run / name).read_bytes() == (stage / name).read_bytes()


@pytest.mark.rules("din-R24")
def test_a_stage_ranks_for_no_other_run(mind_run, stage, tmp_path):
    other = trained(tmp_path / "other", backend="numpy", seed=1)
    moved = Path(shutil.copytree(mind_run, tmp_path / "moved"))
    assert load_reranker(stage, moved).config == DinConfig(**SMALL)
    with pytest.raises(RunError, match=r"the run that it was trained for, .*, another mod"):
        load_reranker(stage, other)
    with pytest.raises(RunError, match="another model; train the reranker anew"):
        resume_reranker(Path(shutil.copytree(stage, tmp_path / "copy")), other)
    with pytest.raises(RunError, match="another model"):
        recalled(other, history=[], reranker=stage, index="exact")


@pytest.mark.rules("din-R24")
def test_a_stage_recalls_nothing_and_a_run_ranks_nothing(mind_run, stage):
    with pytest.raises(RunError, match="expected a recall run, got a DIN run; name "):
        ServedModel.load(stage)
    with pytest.raises(RunError, match="expected a DIN run, got a recall run; name"):
        load_reranker(mind_run, mind_run)


def test_a_recall_run_that_has_moved_is_named_once(mind_run, stage, din, tmp_path):
    with change_json(din / "config.json") as words:
        words["recall"]["run"] = str(tmp_path / "gone")
    with pytest.raises(RunError, match=r"gone/model.safetensors: expected a trained model, got No"):
        resume_reranker(din)
    before = load_din_config(din)[1]
    resume_reranker(din, mind_run)
    assert load_din_config(din)[1] == {**before, "recall": load_din_config(stage)[1]["recall"]}
    assert resume_reranker(din).recall_run == mind_run.resolve()


@pytest.mark.rules("din-R27")
def test_the_item_table_starts_as_that_of_the_run(mind_run, tmp_path):
    drawn = begun(mind_run, tmp_path / "drawn").state.params
    begins = begun(mind_run, tmp_path / "begun", init_items="recall")
    np.testing.assert_array_equal(begins.state.params.items, begins.served.model.params.items)
    assert not np.array_equal(drawn.items, begins.served.model.params.items)
    for name, x in flatten(drawn).items():
        if name != "items":
            np.testing.assert_array_equal(x, flatten(begins.state.params)[name])
    before = begins.served.model.params.items.copy()
    begins.train(Hooks())
    np.testing.assert_array_equal(begins.served.model.params.items, before)


def test_a_run_of_scores_is_refused_and_one_that_was_fitted_has_no_table(tmp_path):
    scores = trained(tmp_path / "random", model="random")
    with pytest.raises(ConfigError, match="a run with vectors of items, got a run of random"):
        begun(scores, tmp_path / "din")
    assert not (tmp_path / "din").exists()
    fitted = trained(tmp_path / "popularity", model="popularity")
    with pytest.raises(ConfigError, match="init_items: expected random, or a run with a table"):
        begun(fitted, tmp_path / "din", init_items="recall")
    made = begun(fitted, tmp_path / "din")
    assert made.train().finished
    assert made.evaluate()["all"]["cases"] > 0


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
