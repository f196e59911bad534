"""A run directory is whole, or says what of it is not and what to do."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from mindref.config import Config
from mindref.errors import RunError
from mindref.models.parameters import Catalogue, copy_params, flatten
from mindref.recommender import load
from mindref.recommender.training.trainer import resume_run
from mindref.run import array_files, checkpoint
from mindref.training import loop
from mindref.training.loop import Validation
from tests.runs import content, stop_after, trained, trainer


def test_what_was_saved_is_loaded(finished):
    made = resume_run(finished)
    params, catalogue = checkpoint.load_model(finished)
    state, validations = checkpoint.load_state(finished)
    assert [validation.step for validation in validations] == [3, 6]
    for tables in (flatten(params), *checkpoint.state_tables(state), catalogue._asdict()):
        for name, array in tables.items():
            assert array.flags.writeable, f"{name} cannot be trained"
            assert array.flags.c_contiguous, name
    np.testing.assert_equal(catalogue, made.served_catalogue)
    np.testing.assert_array_equal(load_file(finished / "model.safetensors")["items"], params.items)
    config, facts = checkpoint.load_config(finished)
    assert config == made.config
    assert facts == json.loads(json.dumps({"settings": config.family_settings(), **made.facts()}))


def test_infinity_and_lists_survive_the_configuration(tmp_path):
    config = Config.of("mind", {"power": float("inf"), "hidden": (3, 4)})
    facts = trainer().facts()
    checkpoint.save_config(tmp_path, config, facts)
    assert checkpoint.load_config(tmp_path)[0] == config
    json.loads((tmp_path / "config.json").read_text(), parse_constant=pytest.fail)


def test_arrays_of_any_memory_layout_survive(tmp_path):
    """safetensors 0.8 writes such arrays without an error and reads them back wrong."""
    square = np.arange(12.0).reshape(3, 4)
    arrays = {
        "transposed": square.T,
        "strided": square[:, ::2],
        "reversed": square[::-1],
        "fortran": np.asfortranarray(square),
        "broadcast": np.broadcast_to(square[0], (2, 4)),
        "empty": np.zeros((0, 8), np.float32),
        "integers": np.arange(5),
    }
    words = {"format": array_files.FORMAT, "more": [1, "two"]}
    array_files.save_arrays(tmp_path / "x", arrays, words)
    found, words = array_files.load_arrays(tmp_path / "x")
    np.testing.assert_equal(found, arrays)
    assert {n: x.dtype for n, x in found.items()} == {n: x.dtype for n, x in arrays.items()}
    assert words["more"] == [1, "two"]


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    """Several words in a header of safetensors come in another order every time."""
    arrays = {name: np.arange(3.0) for name in "abcdef"}
    words = {"format": array_files.FORMAT, **{name: name for name in "qwertyuiop"}}
    for number in range(8):
        names = sorted(arrays, reverse=number % 2 == 0)
        array_files.save_arrays(tmp_path / str(number), {n: arrays[n] for n in names}, words)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_profile_table_without_rows_survives(tmp_path):
    made = trainer(tmp_path / "run")
    assert made.state.params.profile.shape == (0, 8)
    checkpoint.save_model(tmp_path, made.best, made.prepared.task.catalogue, step=3)
    params, catalogue = checkpoint.load_model(tmp_path)
    assert isinstance(catalogue, Catalogue)
    assert params.profile.shape == (0, 8)
    assert len(params.layers) == len(made.best.layers)


class Broken(Exception):
    """An error in the middle of saving."""


def break_before_the_model(monkeypatch, run, step):
    """Train until the state of the validation at this step is on disk, but not its model."""
    save = checkpoint.save_model

    def breaking(run, params, catalogue, step, *whose):
        if step == last:
            raise Broken
        save(run, params, catalogue, step, *whose)

    last = step
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_model", breaking)
        with pytest.raises(Broken):
            trained(run)


@pytest.mark.parametrize("step", [3, 6])
def test_resuming_serves_the_parameters_that_the_state_calls_the_best(tmp_path, monkeypatch, step):
    """Killed after a state was written and before its model, and then stopped at once."""
    run = tmp_path / "run"
    first_two_are_better(monkeypatch)
    trainer(tmp_path / "whole").train(stop_after(step))
    break_before_the_model(monkeypatch, run, step)
    assert (run / "model.safetensors").exists() == (step == 6), "the model of step 3"
    if step == 6:
        assert checkpoint.load_best(run)[2] == 3
    made = resume_run(run)
    assert content(run) == content(tmp_path / "whole"), "mended before anything is trained"
    best = copy_params(made.state.params)
    outcome = made.train(stop_after(step))  # one step more
    assert (made.state.best_step, made.state.moments.step) == (step, step + 1)
    np.testing.assert_equal(flatten(outcome.model.params), flatten(best))
    np.testing.assert_equal(flatten(load(run).served.model.params), flatten(best))
    resume_run(run).train()
    assert content(run) == content(trained(tmp_path / "other"))


def test_a_resume_without_a_better_validation_serves_the_best_one_before(tmp_path, monkeypatch):
    first_two_are_better(monkeypatch)
    run = tmp_path / "run"
    made = trainer(run)
    made.train(stop_after(6))
    best = copy_params(made.state.params)
    outcome = resume_run(run).train()
    assert outcome.finished
    assert not outcome.validations[-1].is_best
    np.testing.assert_equal(flatten(outcome.model.params), flatten(best))
    state, _ = checkpoint.load_state(run)
    assert not np.array_equal(outcome.model.params.items, state.params.items), "not the last one"


def test_a_model_names_the_step_after_which_it_was_the_best(tmp_path, monkeypatch):
    first_two_are_better(monkeypatch)
    run = trained(tmp_path / "run")
    state, _ = checkpoint.load_state(run)
    assert checkpoint.load_best(run)[2] == state.best_step == 6
    assert state.moments.step == 7
    params, catalogue = checkpoint.load_model(run)
    identity = checkpoint.run_identity(*checkpoint.load_config(run))
    checkpoint.save_model(run, params, catalogue, step=3, identity=identity)
    message = "model.safetensors: expected the model of step 6, got 3; remove optimiser.safetensors"
    with pytest.raises(RunError, match=message):
        resume_run(run)


def first_two_are_better(monkeypatch):
    """Let the first two validations be the best so far, so that they write all files."""

    def judge(state, validate):
        step = state.moments.step
        validation = Validation(step, state.losses[0] / state.losses[1], step / 100, step <= 6)
        state = state._replace(losses=(0.0, 0))
        return (state._replace(best_step=step) if validation.is_best else state), validation

    monkeypatch.setattr(loop, "validate_state", judge)


def test_a_run_without_a_validation_says_how_to_resume(tmp_path):
    trainer(tmp_path / "run").train(stop_after(1))
    with pytest.raises(
        RunError, match=r"stopped before one was written; go on with: mindref train"
    ):
        checkpoint.load_model(tmp_path / "run")


def test_resuming_mends_what_people_read_of_the_state(copy):
    """A kill after the state of the last validation, before its copies are written."""
    names = ("state.json", "metrics.jsonl")
    whole = {name: (copy / name).read_bytes() for name in names}
    (copy / "state.json").write_text("{}")
    (copy / "metrics.jsonl").write_text("")
    (copy / ".model.safetensors.0123456789ab.tmp").write_bytes(b"half")
    resume_run(copy)
    assert {name: (copy / name).read_bytes() for name in names} == whole
    assert not list(copy.glob(".*"))
