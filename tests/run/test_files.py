"""Sealed files of JSON: a file that would be too large to be read is not written."""

import pytest

from mindref.config import Config
from mindref.errors import RunError
from mindref.run import checkpoint, files

LETTERS = "\u00e9" * 60  # two bytes each


@pytest.mark.rules("security-R6")
def test_a_file_above_the_limit_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "words.json"
    files.write_sealed(path, {"a": LETTERS})
    size = path.stat().st_size
    monkeypatch.setattr(files, "LONGEST_JSON", size)
    files.write_sealed(path, {"a": LETTERS})
    stored = files.StoredFile(path, "words", "")
    assert stored.unseal(stored.read_json()) == {"a": LETTERS}
    monkeypatch.setattr(files, "LONGEST_JSON", size - 1)
    with pytest.raises(RunError, match=rf"words.json: expected {size - 1} bytes .*, got {size}"):
        files.write_sealed(path, {"a": LETTERS})
    assert path.stat().st_size == size
    values = {"user_features": {"name": [str(n) for n in range(10_000)]}}
    with pytest.raises(RunError, match=r"config.json: .*leave out user features of so many values"):
        checkpoint.save_config(tmp_path, Config(), values)
