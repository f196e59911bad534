"""Models that are saved and loaded, pickled or copied."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref import MIND
from mindref.errors import MindrefError, RunError
from mindref.run import atomic
from tests.runs import SMALL, loaded


def test_a_model_is_saved_and_loaded_whole(tmp_path):
    run, saved, copied = (tmp_path / name for name in ("run", "saved", "copy"))
    model = MIND(**SMALL).fit(loaded().log, run=run)
    model.save(saved)
    history = loaded().log.item_ids[3:9]
    for again in (mindref.load(run), MIND.load(str(run)), mindref.load(saved)):
        assert again.config == model.config
        assert again.report == model.report
        assert again.recommend(history, 20) == model.recommend(history, 20)
        assert again.similar_items(history[0]) == model.similar_items(history[0])
        np.testing.assert_equal(again.interests([history]), model.interests([history]))
        expected = model.recommend(user="customer-0001")
        assert again.recommend(user="customer-0001") == expected
    again.save(copied)
    for path in saved.iterdir():
        for folder in (run, copied):
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    message = "expected no run there, got one; name another folder, or pass overwrite=True to"
    with pytest.raises(RunError, match=message):
        model.save(saved)
    with pytest.raises(RunError, match="got one; name another folder with run"):
        MIND(**SMALL).fit(loaded().log, run=saved)
    with pytest.raises(MindrefError, match="a trained model, got none"):
        MIND().save(tmp_path / "none")
    for text in ("{", "[]"):
        (run / "report.json").write_text(text)
        with pytest.raises(RunError, match=r"report\.json: expected a report"):
            mindref.load(run)


@pytest.fixture
def two_models():
    """Two models whose parameters differ."""
    log = loaded().log
    return [MIND(**{**SMALL, "steps": n}).fit(log) for n in (2, 3)]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_run_is_overwritten_on_request(two_models, tmp_path):
    first, second = two_models
    run, expected = tmp_path / "run", tmp_path / "expected"
    first.save(run, overwrite=True)
    (run / "index").mkdir()
    (run / "state.json").write_text("{}")
    second.save(expected)
    second.save(run, overwrite=True)
    assert files(run) == files(expected)
    assert sorted(x.name for x in run.iterdir()) == sorted(files(expected)), "no index, no state"
    assert mindref.load(run).recommend(HISTORY) == second.recommend(HISTORY)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["expected", "run"]


def test_a_folder_with_other_files_is_not_overwritten(two_models, tmp_path):
    first, second = two_models
    for folder in (tmp_path / "run", tmp_path / "notes"):
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="a new or empty folder, got other entries, such as"):
        second.save(tmp_path / "notes", overwrite=True)
    (tmp_path / "run" / "notes.txt").rename(tmp_path / "notes.txt")
    first.save(tmp_path / "run")
    (tmp_path / "notes.txt").rename(tmp_path / "run" / "notes.txt")
    before = files(tmp_path / "run")
    with pytest.raises(
        RunError, match="only files of a run to overwrite, got other entries, such as"
    ):
        second.save(tmp_path / "run", overwrite=True)
    assert files(tmp_path / "run") == before


@pytest.mark.rules("faults-R14")
@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_overwrite_leaves_the_old_run(two_models, tmp_path, monkeypatch, failing):
    first, second = two_models
    run = tmp_path / "run"
    first.save(run)
    before, calls, replace = files(run), [], Path.replace

    def fail(path, target):
        if path.is_dir():
            calls.append(path)
            if len(calls) == failing:
                raise OSError(28, "No space left on device", str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr(atomic, "rename_exchange", lambda *names: False)
    with pytest.raises(RunError, match="expected a place that can be written, got No space left"):
        second.save(run, overwrite=True)
    assert files(run) == before
    assert [x.name for x in tmp_path.iterdir()] == ["run"]
    assert mindref.load(run).recommend(HISTORY) == first.recommend(HISTORY)


def test_a_folder_of_another_program_is_not_overwritten(two_models, tmp_path):
    """The names of a model of Hugging Face are also names of a run."""
    run = tmp_path / "hf"
    run.mkdir()
    for text in ('{"model_type": "bert"}', "[]", "{"):
        (run / "config.json").write_text(text)
        (run / "model.safetensors").write_bytes(b"weights")
        before = files(run)
        with pytest.raises(RunError, match=r"hf.*expected .* name another folder"):
            two_models[0].save(run, overwrite=True)
        assert files(run) == before
    (run / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RunError, match=r"a run of mindref to overwrite, got a config\.json of"):
        two_models[0].save(run, overwrite=True)


HISTORY = list(loaded().log.item_ids[3:12])
WAYS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.fixture(scope="module")
def fitted():
    """A model that has answered nobody yet."""
    return pickle.dumps(MIND(**{**SMALL, "steps": 2}).fit(loaded().log))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_copy_recommends_the_same_before_and_after_it_was_asked(fitted, way):
    model = pickle.loads(fitted)
    assert model.config.backend == "numba"
    early = way(model)
    expected = model.recommend(HISTORY, 20)
    late = way(model)
    for other in (early, late, way(late)):
        assert other is not model
        assert other.recommend(HISTORY, 20) == expected
    assert model.recommend(HISTORY, 20) == expected


@pytest.mark.parametrize("way", list(WAYS.values())[:2], ids=list(WAYS)[:2])
def test_a_copy_has_buffers_of_its_own(fitted, way):
    model = pickle.loads(fitted)
    model.recommend(HISTORY)
    other = way(model)
    other.recommend(HISTORY)
    one, two = (x.served.backend for x in (model, other))
    assert one.cached_workspace is not two.cached_workspace
    assert one.lock is not two.lock
