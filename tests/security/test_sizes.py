"""Files that are too large or too deeply nested raise errors within bounded memory."""

import json
import os

import pytest
from safetensors import safe_open

from mindref.errors import RunError
from mindref.process import memory
from mindref.recommender import load
from mindref.run import array_files, checkpoint, files
from tests.faults.damage import NESTED
from tests.security.tampering import edit_metadata, recall, recommend


@pytest.mark.rules("security-R6")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "config.json: expected .*, 16,777,216 bytes at the most"),
        ("items.tsv", r"items.tsv, line \d+: expected .* whole lines"),
    ],
)
def test_a_json_file_and_a_line_above_the_size_limit_raise(run, name, message):
    """A terabyte of zeros takes no room on the disk."""
    os.truncate(run / name, 1 << 40)
    with pytest.raises(RunError, match=message):
        load(run)


@pytest.mark.rules("security-R6")
def test_a_header_above_the_size_limit_raises(run, monkeypatch):
    before = recommend(run)
    edit_metadata(run / array_files.MODEL, note=["x"] * 1000)
    assert recommend(run) == before
    monkeypatch.setattr(files, "LONGEST_JSON", 4000)
    with pytest.raises(RunError, match=r"model.safetensors: .*a header of \d,\d+ characters"):
        checkpoint.load_best(run)


@pytest.mark.rules("security-R7")
def test_arrays_larger_than_memory_raise(run, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(RunError, match=r"safetensors: expected arrays that fit its memory, 1,000"):
        load(run)


@pytest.mark.rules("security-R7")
def test_arrays_of_another_run_are_not_read(run, monkeypatch):
    """The header has the identity of the run. One array is larger than any memory."""
    path = run / array_files.MODEL
    with safe_open(path, framework="np") as file:
        header = {"__metadata__": file.metadata()}
    size = 1 << 42
    header["items"] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + size)
    monkeypatch.setattr(memory, "available_memory", lambda: memory.UNKNOWN_MEMORY)
    with pytest.raises(RunError, match=r"model.safetensors: expected .* got one of another run"):
        array_files.load_arrays(path, "another")


@pytest.mark.rules("security-R8")
@pytest.mark.parametrize("name", ["config.json", "report.json", "index/manifest.json"])
@pytest.mark.parametrize(
    "text", [NESTED, '{"a":' * 99_999, "9" * 99_999, '{"format": 1e999}', "\xff"]
)
def test_malformed_json_raises_or_warns(run, name, text):
    (run / name).write_text(text, encoding="latin-1")
    if name.startswith("index"):
        assert any(line.startswith(f"{run / name}: ") for line in recall(run).warnings)
    else:
        with pytest.raises(RunError, match=name):
            load(run)


@pytest.mark.rules("security-R8")
def test_json_too_deep_for_its_digest_raises(tmp_path):
    """The depth that the reader accepts and the digest does not depends on the stack."""
    path = tmp_path / "x.json"
    stored = files.StoredFile(path, "words", "")
    for depth in range(500, 1000):
        path.write_text(f'{{"a": {"[" * depth}{"]" * depth}}}')
        with pytest.raises(RunError, match=r"x.json: expected words"):
            stored.unseal(stored.read_json())
