"""Sealed files of JSON: none is written that would not be read again."""

import pytest

from mindref.config import Config
from mindref.errors import RunError
from mindref.run import checkpoint, files

LETTERS = "\u00e9" * 60  # two bytes each


@pytest.mark.rules("security-R6")
@pytest.mark.parametrize("room", [0, 1])
def test_what_would_not_be_read_again_is_not_written(room, tmp_path, monkeypatch):
    path = tmp_path / "words.json"
    files.write_sealed(path, {"a": LETTERS})
    size = path.stat().st_size
    path.write_text("before")
    monkeypatch.setattr(files, "LONGEST_JSON", size - 1 + room)
    if room:
        files.write_sealed(path, {"a": LETTERS})
        words = files.read_json(path, "words", "")
        assert files.unsealed(path, words, "words", "") == {"a": LETTERS}
        return
    with pytest.raises(RunError, match=rf"words.json: expected {size - 1} bytes .*, got {size}"):
        files.write_sealed(path, {"a": LETTERS})
    assert path.read_text() == "before"


@pytest.mark.rules("security-R6")
def test_a_run_of_too_many_values_is_refused_at_its_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_JSON", 10_000)
    values = {"user_features": {"name": [str(n) for n in range(10_000)]}}
    with pytest.raises(RunError, match=r"config.json: .*leave out user features of so many values"):
        checkpoint.save_config(tmp_path, Config(), values)
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_run_directory(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("user,item\n")
    todo = "name the folder that contains config.json"
    with pytest.raises(RunError, match=f"log.csv: expected a folder, got a file; {todo}"):
        checkpoint.load_config(log)
