"""A run directory is whole, or says what of it is not and what to do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mindref import atomic, checkpoint
from mindref.config import Config
from mindref.errors import RunError
from mindref.models.parameters import Catalogue, flatten
from mindref.recommender import load
from mindref.recommender.run import resume
from mindref.train import Epoch
from tests.runs import REPOSITORY, content, stop_after, trained, trainer

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "truncated": lambda data: data[: len(data) // 2],
    "cut short": lambda data: data[:-3],
    "empty": lambda data: b"",
    "garbage": lambda data: b"\x93garbage\n" * 40,
    "another header": lambda data: b"\xff" * 8 + data[8:],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has been stopped after its second epoch; copy it to damage it."""
    run = tmp_path_factory.mktemp("runs") / "run"
    trainer(run, item_features=("shelf",), user_features=("age",)).go(stop_after(6))
    return run


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def damage(path: Path, how: Damage) -> None:
    path.write_bytes(how(path.read_bytes()))


def test_what_was_saved_is_loaded(finished: Path) -> None:
    made = resume(finished)
    params, catalogue = checkpoint.load_model(finished)
    state, epochs = checkpoint.load_state(finished)
    assert [epoch.step for epoch in epochs] == [3, 6]
    for tables in (flatten(params), *checkpoint.tables(state), catalogue._asdict()):
        for name, array in tables.items():
            assert array.flags.writeable, f"{name} cannot be trained"
            assert array.flags.c_contiguous, name
    np.testing.assert_array_equal(catalogue.weights, made.prepared.task.catalogue.weights)
    np.testing.assert_array_equal(catalogue.rows, made.prepared.task.catalogue.rows)


def test_settings_and_facts_come_back(finished: Path) -> None:
    made = resume(finished)
    config, facts = checkpoint.load_config(finished)
    assert config == made.config
    assert facts == json.loads(json.dumps(made.facts()))


def test_infinity_and_lists_survive_the_configuration(tmp_path: Path) -> None:
    config = Config.of("default", {"power": float("inf"), "hidden": (3, 4)})
    facts = trainer().facts()
    checkpoint.save_config(tmp_path, config, facts)
    assert checkpoint.load_config(tmp_path)[0] == config
    json.loads((tmp_path / "config.json").read_text(), parse_constant=pytest.fail)


def test_arrays_of_any_memory_layout_survive(tmp_path: Path) -> None:
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
    checkpoint.save_arrays(tmp_path / "x", arrays, {"format": 1, "more": [1, "two"]})
    found, words = checkpoint.load_arrays(tmp_path / "x")
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
    assert words["more"] == [1, "two"]


def test_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    """Several words in a header of safetensors come in another order every time."""
    arrays = {name: np.arange(3.0) for name in "abcdef"}
    words = {"format": 1, **{name: name for name in "qwertyuiop"}}
    for number in range(8):
        names = sorted(arrays, reverse=number % 2 == 0)
        checkpoint.save_arrays(tmp_path / str(number), {n: arrays[n] for n in names}, words)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_profile_table_without_rows_survives(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run")
    assert made.state.params.profile.shape == (0, 8)
    checkpoint.save_model(tmp_path, made.best, made.prepared.task.catalogue)
    params, catalogue = checkpoint.load_model(tmp_path)
    assert isinstance(catalogue, Catalogue)
    assert params.profile.shape == (0, 8)
    assert len(params.layers) == len(made.best.layers)


def test_a_model_can_be_read_by_anybody_who_reads_safetensors(finished: Path) -> None:
    arrays = load_file(finished / "model.safetensors")
    params, _ = checkpoint.load_model(finished)
    np.testing.assert_array_equal(arrays["items"], params.items)


def test_nothing_is_pickled(finished: Path) -> None:
    for path in finished.rglob("*"):
        assert not path.read_bytes().startswith(b"\x80"), path
    for path in (REPOSITORY / "mindref").rglob("*.py"):
        words = path.read_text(encoding="utf-8")
        for name in ("import pickle", "allow_pickle=True", "np.load(", "import joblib"):
            assert name not in words, f"{path}: {name}"


@pytest.mark.parametrize("how", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize("name", ["model.safetensors", "items.tsv", "config.json"])
def test_a_damaged_file_is_named_when_a_run_is_loaded(copy: Path, name: str, how: Damage) -> None:
    damage(copy / name, how)
    with pytest.raises(RunError) as caught:
        load(copy)
    text = str(caught.value)
    assert text.startswith(str(copy / name)), text
    assert "expected" in text
    assert ";" in text, f"what is there to do? {text}"
    assert "mindref train" in text or "train anew" in text


@pytest.mark.parametrize("how", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize("name", ["optimiser.safetensors", "model.safetensors", "config.json"])
def test_a_damaged_file_is_named_when_a_run_is_resumed(copy: Path, name: str, how: Damage) -> None:
    damage(copy / name, how)
    with pytest.raises(RunError) as caught:
        resume(copy)
    assert str(caught.value).startswith(str(copy / name))
    assert ";" in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors"])
def test_what_the_message_says_mends_a_run(copy: Path, tmp_path: Path, name: str) -> None:
    damage(copy / name, DAMAGES["truncated"])
    with pytest.raises(
        RunError, match=r"without optimiser.safetensors in the folder, mindref train"
    ):
        resume(copy)
    (copy / "optimiser.safetensors").unlink()
    resume(copy).go()
    options = {"item_features": ("shelf",), "user_features": ("age",)}
    assert content(copy) == content(trained(tmp_path / "whole", **options))


def test_resuming_mends_the_catalogue(copy: Path) -> None:
    before = (copy / "items.tsv").read_bytes()
    damage(copy / "items.tsv", DAMAGES["truncated"])
    with pytest.raises(RunError, match="mindref train --resume RUN writes it again"):
        load(copy)
    resume(copy)
    assert (copy / "items.tsv").read_bytes() == before


@pytest.mark.parametrize("name", ["state.json", "metrics.jsonl", "report.json"])
def test_files_for_people_are_not_needed(copy: Path, name: str) -> None:
    (copy / name).unlink(missing_ok=True)
    assert load(copy).served.items.ids
    assert resume(copy).go().finished


def test_flipped_bits_are_noticed(copy: Path) -> None:
    for name in ("model.safetensors", "optimiser.safetensors"):
        data = bytearray((copy / name).read_bytes())
        data[-5] ^= 4
        (copy / name).write_bytes(bytes(data))
        with pytest.raises(RunError, match="numbers that were not written so"):
            checkpoint.load_arrays(copy / name)


@pytest.mark.parametrize("name", ["model.safetensors", "items.tsv"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(RunError, match=name):
        load(copy)


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RunError, match=r"expected a run directory, got no config.json in it; "):
            load(folder)


def as_format(path: Path, number: int) -> None:
    """Write a file of a run again as another version of mindref would."""
    if path.suffix == ".json":
        words = json.loads(path.read_text())
        path.write_text(json.dumps({"format": number, "new": words}))
    else:
        header = json.dumps({"format": number, "new": "words"})
        save_file(load_file(path), path, metadata={checkpoint.HEADER: header})


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "optimiser.safetensors"])
def test_a_file_of_a_newer_mindref_is_left_to_it(copy: Path, name: str) -> None:
    as_format(copy / name, 2)
    message = f"{name}: expected format 1, got 2; use the mindref that wrote it"
    with pytest.raises(RunError, match=message):
        resume(copy)


def test_arrays_of_a_stranger_are_refused(copy: Path) -> None:
    save_file({"weight": np.zeros(3)}, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match="expected a file of mindref"):
        load(copy)
    checkpoint.save_arrays(copy / "model.safetensors", {"items": np.zeros(3)}, {"format": 1})
    with pytest.raises(RunError, match="expected a model of mindref, got no array"):
        load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda words: words.pop("source"),
        lambda words: words.pop("log"),
        lambda words: words.update(sizes=[]),
        lambda words: words["settings"].update(width=0),
        lambda words: words["settings"].update(colour="red"),
        lambda words: words.update(settings=3),
    ],
)
def test_a_configuration_with_a_hole_is_refused(copy: Path, change: Callable[[Any], Any]) -> None:
    words = json.loads((copy / "config.json").read_text())
    change(words)
    (copy / "config.json").write_text(json.dumps(words))
    with pytest.raises(RunError, match=r"config.json: expected the configuration of a run, got"):
        load(copy)


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"format": 1}'])
def test_json_that_is_no_configuration_is_refused(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config.json: expected the configuration of a run, got"):
        load(copy)


def test_a_state_of_other_settings_is_refused(copy: Path, tmp_path: Path) -> None:
    other = trained(tmp_path / "other", width=4)
    shutil.copy(other / "optimiser.safetensors", copy)
    with pytest.raises(RunError, match=r"optimiser.safetensors: items: expected .* got \(\("):
        resume(copy)


def test_a_catalogue_of_another_run_is_refused(copy: Path) -> None:
    lines = (copy / "items.tsv").read_text().splitlines(keepends=True)
    (copy / "items.tsv").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match=r"items.tsv: expected \d+ items, got"):
        load(copy)


class Broken(Exception):
    """An error in the middle of saving."""


@pytest.mark.parametrize("moment", range(4))
def test_a_save_that_breaks_off_leaves_a_run_that_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Break the second epoch's save before each of its renames: model, metrics, state, words."""
    run, replace, count = tmp_path / "run", Path.replace, [0]

    def breaking(self: Path, target: Path) -> Path:
        count[0] += 1
        if count[0] == 7 + moment:  # two of create, four of the first epoch
            raise Broken
        return replace(self, target)

    always_better(monkeypatch)
    monkeypatch.setattr(Path, "replace", breaking)
    with pytest.raises(Broken):
        trained(run)
    monkeypatch.setattr(Path, "replace", replace)
    assert not list(run.glob(".*")), "no temporary file stays"
    load(run).recommend([])
    resume(run).go()
    whole = trained(tmp_path / "whole")
    assert content(run) == content(whole)


def always_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every epoch be the best one, so that each writes all files."""
    from mindref import train

    def judge(state: Any, validate: Any) -> Any:
        step = state.moments.step
        epoch = Epoch(step, state.losses[0] / state.losses[1], step / 100, True)
        kept = state._replace(losses=(0.0, 0), best_step=step, best_value=step / 100)
        return kept, epoch

    monkeypatch.setattr(train, "judge", judge)


@pytest.mark.parametrize("name", ["write", "fsync"])
def test_a_full_disk_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run = tmp_path / "run"
    made = trainer(run)
    made.go(stop_after(3))
    before = content(run)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    if name == "write":
        monkeypatch.setattr(checkpoint, "write_bytes", full_writing(full))
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"No space left on device; check"):
        made.go(stop_after(6))
    monkeypatch.undo()
    assert content(run, ("optimiser.safetensors",)).items() <= before.items()
    assert resume(run).go().finished
    assert content(run) == content(trained(tmp_path / "whole"))


def full_writing(full: Callable[[], None]) -> Callable[[Path, bytes], None]:
    """Return a writer whose disk is full when half of the bytes are down."""

    def write(path: Path, data: bytes) -> None:
        with atomic.writing(path) as stream:
            stream.write(data[: len(data) // 2])
            full()

    return write


def test_what_a_kill_left_behind_is_swept_away(copy: Path) -> None:
    (copy / ".model.safetensors.0123456789ab.tmp").write_bytes(b"half")
    resume(copy)
    assert not list(copy.glob(".*"))
