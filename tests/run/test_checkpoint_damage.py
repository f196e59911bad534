"""What of a run directory is damaged, missing or foreign is named, with what to do."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from mindref.errors import RunError
from mindref.recommender import load
from mindref.recommender.training.trainer import resume_run
from mindref.run import array_files, checkpoint
from tests.faults.damage import raise_format
from tests.runs import change_json, content, trained

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "truncated": lambda data: data[: len(data) // 2],
    "cut short": lambda data: data[:-3],
    "empty": lambda data: b"",
    "garbage": lambda data: b"\x93garbage\n" * 40,
    "another header": lambda data: b"\xff" * 8 + data[8:],
}


def damage(path, how):
    path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize("how", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize(
    ("open_run", "name"),
    [
        *((load, name) for name in ("model.safetensors", "items.tsv", "config.json")),
        *((resume_run, f"{name}.safetensors") for name in ("optimiser", "model")),
        (resume_run, "config.json"),
    ],
)
def test_a_damaged_file_is_named(copy, open_run, name, how):
    damage(copy / name, how)
    with pytest.raises(RunError) as caught:
        open_run(copy)
    text = str(caught.value)
    assert text.startswith(str(copy / name)), text
    assert "expected" in text
    assert ";" in text, f"what is there to do? {text}"
    assert open_run is resume_run or "mindref train" in text or "train anew" in text


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors"])
def test_a_run_is_repaired_as_the_message_says(copy, tmp_path, name):
    damage(copy / name, DAMAGES["truncated"])
    with pytest.raises(
        RunError, match=r"remove optimiser.safetensors from the folder, then train again from the"
    ):
        resume_run(copy)
    (copy / "optimiser.safetensors").unlink()
    resume_run(copy).train()
    options = {"item_features": ("shelf",), "user_features": ("age",)}
    assert content(copy) == content(trained(tmp_path / "whole", **options))


@pytest.mark.parametrize("name", ["state.json", "metrics.jsonl", "report.json"])
def test_files_for_people_are_not_needed(copy, name):
    (copy / name).unlink(missing_ok=True)
    assert load(copy).served.items.ids
    assert resume_run(copy).train().finished


ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones((2, 3)), "c": np.arange(4, dtype="i4")}
WORDS = {"format": array_files.FORMAT, "step": 3, "best_value": 0.5, "losses": [1.5, 2]}
WORDS |= {"waited": 0}
SWAPS = {
    "names": ({"a": ARRAYS["b"], "b": ARRAYS["a"]}, {}),
    "a name": ({"bb": ARRAYS["b"], "b": None}, {}),
    "shapes": ({"a": ARRAYS["a"].reshape(3, 2)}, {}),
    "axes": ({"a": ARRAYS["a"].reshape(6)}, {}),
    "types": ({"c": ARRAYS["c"].view("f4")}, {}),
    "step": ({}, {"step": 4}),
    "best value": ({}, {"best_value": 0.25}),
    "losses": ({}, {"losses": [2, 1.5]}),
    "waited": ({}, {"waited": 1}),
    "two words": ({}, {"step": 0, "waited": 3}),
    "a word more": ({}, {"best_step": 3}),
}


@pytest.mark.parametrize(("arrays", "words"), SWAPS.values(), ids=list(SWAPS))
def test_swapped_content_is_detected(tmp_path, arrays, words):
    """The sum of the file stays, and all but one thing in it."""
    path = tmp_path / "x.safetensors"
    array_files.save_arrays(path, ARRAYS, WORDS)
    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()[array_files.HEADER])
    others = {name: x for name, x in {**ARRAYS, **arrays}.items() if x is not None}

    def write(words, arrays):
        save_file(arrays, path, metadata={array_files.HEADER: json.dumps(words)})

    write(header, ARRAYS)
    assert array_files.load_arrays(path)[1] == WORDS
    write({**header, **words}, others)
    with pytest.raises(RunError, match="content with another sha256"):
        array_files.load_arrays(path)


@pytest.mark.parametrize("name", ["model.safetensors", "items.tsv"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(RunError, match=name):
        load(copy)


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RunError, match=r"expected a run directory, got no config.json in it; "):
            load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "optimiser.safetensors"])
def test_a_file_of_a_newer_format_is_refused(copy, name):
    raise_format(copy / name)
    message = f"{name}: expected format 2, got 3; use the mindref that wrote it"
    with pytest.raises(RunError, match=message):
        resume_run(copy)


def test_arrays_of_a_stranger_are_refused(copy):
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
        lambda words: words.pop("log"),
        lambda words: words.update(sizes=[]),
        lambda words: words["settings"].update(width=0),
        lambda words: words["settings"].update(colour="red"),
        lambda words: words.update(settings=3),
    ],
)
def test_an_incomplete_configuration_is_refused(copy, change):
    with change_json(copy / "config.json") as words:
        change(words)
    with pytest.raises(RunError, match=r"config.json: expected the configuration of a run, got"):
        load(copy)


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"format": 2}'])
def test_json_that_is_no_configuration_is_refused(copy, text):
    (copy / "config.json").write_text(text)
    expected = "config.json: expected the configuration of a run(, got| as it was written, got)"
    with pytest.raises(RunError, match=expected):
        load(copy)
