"""A run directory is complete, or the error names the damaged file and what to do."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mindref.errors import RunError
from mindref.models.parameters import copy_params, flatten
from mindref.recommender import load
from mindref.recommender.training.trainer import resume_run
from mindref.run import array_files, checkpoint
from mindref.training import loop
from mindref.training.loop import Validation
from tests.faults.damage import raise_format
from tests.runs import change_json, content, stop_after, trained, trainer


def test_a_loaded_run_has_the_saved_values(finished):
    made = resume_run(finished)
    params, catalogue, *_ = checkpoint.load_best(finished)
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


@pytest.mark.parametrize("step", [3, 6])
def test_resuming_serves_the_best_parameters_of_the_state(tmp_path, monkeypatch, step):
    """An error after a state was written and before its model, then a stop after one step."""
    run = tmp_path / "run"
    first_two_are_better(monkeypatch)
    trainer(tmp_path / "whole").train(stop_after(step))
    save = checkpoint.save_model

    def save_or_fail(run, params, catalogue, number, **facts):
        if number == step:
            raise InterruptedError
        save(run, params, catalogue, number, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_model", save_or_fail)
        with pytest.raises(InterruptedError):
            trained(run)
    assert (run / "model.safetensors").exists() == (step == 6), "the model of step 3"
    if step == 6:
        assert checkpoint.load_best(run)[2] == 3
    made = resume_run(run)
    assert content(run) == content(tmp_path / "whole"), "repaired before a step"
    best = copy_params(made.state.params)
    outcome = made.train(stop_after(step))  # one step more
    assert (made.state.best_step, made.state.moments.step) == (step, step + 1)
    np.testing.assert_equal(flatten(outcome.model().params), flatten(best))
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
    np.testing.assert_equal(flatten(outcome.model().params), flatten(best))
    state, _ = checkpoint.load_state(run)
    assert not np.array_equal(outcome.model().params.items, state.params.items), "not the last one"


def test_a_model_names_the_step_after_which_it_was_the_best(tmp_path, monkeypatch):
    first_two_are_better(monkeypatch)
    run = trained(tmp_path / "run")
    state, _ = checkpoint.load_state(run)
    assert checkpoint.load_best(run)[2] == state.best_step == 6
    assert state.moments.step == 7
    params, catalogue, *_ = checkpoint.load_best(run)
    identity = checkpoint.run_identity(*checkpoint.load_config(run))
    checkpoint.save_model(run, params, catalogue, step=3, identity=identity)
    message = "model.safetensors: expected the model of step 6, got 3; remove optimiser.safetensors"
    with pytest.raises(RunError, match=message):
        resume_run(run)


def first_two_are_better(monkeypatch):
    """Let the first two validations be the best so far, so that they write all files."""

    def validate_state(state, validate):
        step = state.moments.step
        validation = Validation(step, state.losses[0] / state.losses[1], step / 100, step <= 6)
        state = state._replace(losses=(0.0, 0))
        return (state._replace(best_step=step) if validation.is_best else state), validation

    monkeypatch.setattr(loop, "validate_state", validate_state)


def test_the_error_of_a_run_without_a_validation_names_the_command(tmp_path):
    trainer(tmp_path / "run").train(stop_after(1))
    with pytest.raises(
        RunError, match=r"stopped before one was written; go on with: mindref train"
    ):
        checkpoint.load_best(tmp_path / "run")


def test_resuming_repairs_the_readable_copies_of_the_state(copy):
    """A kill after the state of the last validation, before its copies are written."""
    names = ("state.json", "metrics.jsonl")
    whole = {name: (copy / name).read_bytes() for name in names}
    (copy / "state.json").write_text("{}")
    (copy / "metrics.jsonl").write_text("")
    (copy / ".model.safetensors.0123456789ab.tmp").write_bytes(b"half")
    resume_run(copy)
    assert {name: (copy / name).read_bytes() for name in names} == whole
    assert not list(copy.glob(".*"))


DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "cut short": lambda data: data[:-3],
    "empty": lambda data: b"",
    "garbage": lambda data: b"\x93garbage\n" * 40,
    "another header": lambda data: b"\xff" * 8 + data[8:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize(
    ("open_run", "name"),
    [
        *((load, name) for name in ("model.safetensors", "items.tsv", "config.json")),
        *((resume_run, f"{name}.safetensors") for name in ("optimiser", "model")),
        (resume_run, "config.json"),
    ],
)
def test_a_damaged_file_is_named(copy, open_run, name, damage):
    (copy / name).write_bytes(damage((copy / name).read_bytes()))
    with pytest.raises(RunError) as caught:
        open_run(copy)
    text = str(caught.value)
    assert text.startswith(str(copy / name)), text
    assert "expected" in text
    assert "mindref train" in text or "train anew" in text


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors"])
def test_a_run_is_repaired_as_the_message_says(copy, tmp_path, name):
    (copy / name).write_bytes(b"")
    with pytest.raises(
        RunError, match=r"remove optimiser.safetensors from the folder, then train again from the"
    ):
        resume_run(copy)
    (copy / "optimiser.safetensors").unlink()
    resume_run(copy).train()
    options = {"item_features": ("shelf",), "user_features": ("age",)}
    assert content(copy) == content(trained(tmp_path / "whole", **options))


@pytest.mark.parametrize("name", ["state.json", "metrics.jsonl", "report.json"])
def test_copies_for_readers_are_not_needed(copy, name):
    (copy / name).unlink(missing_ok=True)
    assert load(copy).served.items.ids
    assert resume_run(copy).train().finished


ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones((2, 3)), "c": np.arange(4, dtype="i4")}
HEADER = {"format": array_files.FORMAT, "step": 3, "losses": [1.5, 2]}
SWAPS = {
    "names": ({"a": ARRAYS["b"], "b": ARRAYS["a"]}, {}),
    "a name": ({"bb": ARRAYS["b"], "b": None}, {}),
    "shapes": ({"a": ARRAYS["a"].reshape(3, 2)}, {}),
    "types": ({"c": ARRAYS["c"].view("f4")}, {}),
    "header": ({}, {"losses": [2, 1.5]}),
    "a further value": ({}, {"best_step": 3}),
}


@pytest.mark.parametrize(("arrays", "values"), SWAPS.values(), ids=list(SWAPS))
def test_swapped_content_is_detected(tmp_path, arrays, values):
    path = tmp_path / "x.safetensors"
    array_files.save_arrays(path, ARRAYS, HEADER)
    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()[array_files.HEADER])
    changed = {name: x for name, x in {**ARRAYS, **arrays}.items() if x is not None}
    text = json.dumps({**header, **values})
    save_file(changed, path, metadata={array_files.HEADER: text})
    with pytest.raises(RunError, match="content with another sha256"):
        array_files.load_arrays(path)


def test_a_file_is_no_run(copy):
    with pytest.raises(RunError, match=r"config\.json: expected a folder, got a file; name the"):
        load(copy / "config.json")


@pytest.mark.rules("security-R3")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "optimiser.safetensors"])
def test_a_file_of_a_newer_format_is_rejected(copy, name):
    raise_format(copy / name)
    message = f"{name}: expected format 2, got 3; use the mindref that wrote it"
    with pytest.raises(RunError, match=message):
        resume_run(copy)


def test_arrays_of_another_program_are_rejected(copy):
    save_file({"weight": np.zeros(3)}, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match="expected a file of mindref"):
        load(copy)
    words = {"format": 2, "run": checkpoint.run_identity(*checkpoint.load_config(copy))}
    array_files.save_arrays(copy / "model.safetensors", {"items": np.zeros(3)}, words)
    with pytest.raises(RunError, match=r"expected a model of mindref, got no 'catalogue.rows'"):
        load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda words: words.pop("source"),
        lambda words: words["settings"].update(width=0),
        lambda words: words["settings"].update(colour="red"),
        lambda words: words.update(settings=3),
    ],
)
def test_an_incomplete_configuration_is_rejected(copy, change):
    with change_json(copy / "config.json") as words:
        change(words)
    with pytest.raises(RunError, match=r"config.json: expected the configuration of a run, got"):
        load(copy)
