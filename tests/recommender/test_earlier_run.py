"""Training on all interactions, and settings, log and steps from an earlier run."""

import numpy as np
import pytest

import mindref
from mindref.data.protocols import EVALUATION_PROTOCOLS
from mindref.errors import ConfigError, RunError
from mindref.models import registry
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.plan import plan_training
from mindref.recommender.training.rerank_trainer import RerankTrainer
from mindref.recommender.training.trainer import resume_run
from mindref.run import checkpoint
from mindref.run.source import Source
from tests.list_requests import recalled
from tests.recommender.test_rerank_training import SMALL as DIN_SMALL
from tests.runs import content, kept_report, loaded, stop_after, trainer


def plan(changes=None, **options):
    """Return the plan of a training without a preset."""
    options = {"protocol": None, "exclude_seen": None, **options}
    data, reading = options.pop("data", None), options.pop("reading", {})
    return plan_training(options.pop("preset", None), changes or {}, data, reading, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run whose best step is not the last one."""
    made = trainer(
        tmp_path_factory.mktemp("finished") / "run", backend="numpy", window=5, patience=9
    )
    values = iter([0.1, 0.9, 0.2])
    made.validate = lambda params: next(values)
    made.train().evaluate()
    return made.run


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A finished run of the split none."""
    run = tmp_path_factory.mktemp("everything") / "run"
    trainer(run, protocol="none", backend="numpy").train().evaluate()
    return run


@pytest.mark.rules("model-R52")
@pytest.mark.parametrize("model", registry.RECALL_FAMILIES)
def test_the_model_of_a_training_on_everything_is_that_of_the_last_step(tmp_path, model):
    run = tmp_path / "run"
    made = trainer(run, protocol="none", model=model, backend="numpy").train()
    assert made.finished
    report = made.evaluate()
    assert (report["metrics"], report["cases"], report["split"]) == ({}, 0, "none")
    assert report == kept_report(run)
    assert report["untrained"]["items"] == 0
    params, _, step, _ = checkpoint.load_best(run)
    assert step == 7
    np.testing.assert_equal(checkpoint.flatten(params), checkpoint.flatten(made.state.params))
    assert mindref.load(run).recommend(user="customer-0001", n=3)
    assert {validation.value for validation in made.validations} == {None}


@pytest.mark.rules("model-R52")
@pytest.mark.parametrize("step", [2, 3, 6])
def test_a_stopped_training_on_everything_resumes_to_the_same_bytes(everything, tmp_path, step):
    run = tmp_path / "run"
    made = trainer(run, protocol="none", backend="numpy")
    made.train(stop_after(step))
    assert not (run / "model.safetensors").exists()
    with pytest.raises(RunError, match="go on with: mindref train --resume"):
        mindref.load(run)
    for _ in range(2):  # the second time there is nothing left to train
        resumed = resume_run(run)
        assert resumed.train().finished
        assert content(run) == content(everything)


def test_all_interactions_are_training_data_and_histories(everything):
    made, log = resume_run(everything), loaded().log
    assert made.prepared.split.train.values.tobytes() == log.interactions.values.tobytes()
    assert sum(mindref.load(everything).served.items.counts) == len(log.interactions.values)
    lengths = [answer.length for answer in recalled(everything)]
    assert lengths == log.interactions.lengths.tolist()


@pytest.mark.rules("model-R54")
def test_evaluating_a_run_without_held_out_interactions_is_an_error(everything, monkeypatch):
    monkeypatch.setattr(Source, "read", lambda self: pytest.fail("the log was read"))
    monkeypatch.setattr(ServedModel, "load", lambda *x: pytest.fail("the model was loaded"))
    expected = " or ".join(EVALUATION_PROTOCOLS)
    message = f"split: expected {expected}, got none, with which a run is trained on all"
    for options in ({}, {"data": everything}, {"protocol": "none"}):
        with pytest.raises(ConfigError, match=message):
            evaluate_run(everything, **options)


@pytest.mark.rules("model-R54")
def test_another_split_evaluates_it_with_a_warning(everything):
    report = evaluate_run(everything, protocol="leave_last_out")
    assert report["metrics"]["test"]["model"]
    (line,) = report["warnings"]
    count = report["cases"]
    assert line == (
        f"{count} of {count} test targets are training interactions of {everything} (split none)."
        " The metrics are too high."
    )


@pytest.mark.rules("model-R54")
def test_din_needs_a_recall_run_with_test_cases(everything):
    from mindref.models.din_config import DinConfig

    served = ServedModel.load(everything)
    with pytest.raises(RunError, match="--recall: expected a run with test cases, got one of the"):
        RerankTrainer(everything, served, DinConfig(**DIN_SMALL), None)


@pytest.mark.rules("model-R51")
def test_a_number_of_steps_is_enough_and_a_fitted_family_needs_none():
    made = plan({"steps": 5}, preset="mind", protocol="none")
    assert (made.config.steps, made.protocol) == (5, "none")
    assert plan({"model": "popularity"}, protocol="none").config.model == "popularity"
    for settings, message in (
        ({}, "expected a number of steps, got no number; pass a number, for example"),
        ({"steps": 4, "patience": 3}, "patience: expected 0 with the split none, got 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            mindref.MIND(**settings).fit(loaded().log, split="none")


@pytest.mark.rules("model-R53")
def test_steps_of_a_run_are_those_of_its_best_validation(finished, everything):
    made = plan(steps_of=finished, protocol="none")
    config = made.config
    assert (config.steps, config.window, config.backend) == (6, 5, "numpy")
    assert config.patience == 0, "nothing is validated"
    assert made.source == Source.of(None, {"users": 60, "items": 120})
    assert (made.exclude_seen, made.start) == (True, None)
    config = plan({"window": 4, "steps": 9}, steps_of=finished, protocol="none").config
    assert (config.steps, config.window) == (9, 4), "given settings"
    assert plan(steps_of=everything, protocol="none").config.steps == 7, "without validation"


@pytest.mark.rules("model-R53")
def test_the_steps_of_a_stopped_run_are_an_error(tmp_path):
    trainer(tmp_path / "stopped", backend="numpy").train(stop_after(4))
    message = "best step: expected a report, got no report, because the training was stopped"
    with pytest.raises(RunError, match=message):
        plan(steps_of=tmp_path / "stopped", protocol="none")


@pytest.mark.rules("model-R53")
def test_the_steps_after_a_start_need_the_start(finished, tmp_path):
    run = tmp_path / "update"
    made = trainer(run, start=plan(start_from=finished).start, backend="numpy").train()
    made.evaluate()
    with pytest.raises(ConfigError, match="expected --start-from with it, got no --start-from; it"):
        plan(steps_of=run, protocol="none")
    again = plan(steps_of=run, start_from=finished, protocol="none")
    assert again.config.steps == made.state.best_step
    assert again.start is not None


@pytest.mark.rules("model-R51", "model-R55")
def test_the_settings_of_the_start_are_the_default_ones(finished, everything, tmp_path):
    made = plan({"steps": 3}, start_from=finished)
    config = made.config
    assert (config.steps, config.window, config.patience) == (3, 5, 9)
    assert (made.protocol, made.exclude_seen) == ("leave_last_out", True)
    assert made.start.run == str(finished)
    made = plan(start_from=finished, data=tmp_path / "new.csv", exclude_seen=False)
    assert (made.source, made.exclude_seen) == (Source.of(tmp_path / "new.csv"), False)
    made = plan(start_from=finished, data=tmp_path / "new.csv", reading={"format": "pairs"})
    assert made.source.options == {"format": "pairs"}
    made = plan(start_from=everything)
    assert (made.protocol, made.config.steps) == ("none", 7)
