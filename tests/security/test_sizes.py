"""Files that are too large, too long or too deep: none ends the process or fills the memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors
from safetensors import safe_open

from mindref.errors import RunError
from mindref.process import memory
from mindref.recommender import load
from mindref.recommender.bulk import recall_lists
from mindref.run import array_files, checkpoint, files
from tests.damage.damage_ops import NESTED
from tests.damage.damaged_runs import HISTORIES
from tests.security.hands import answer, spoiled


@pytest.mark.rules("security-R6")
def test_no_more_of_a_file_is_read_than_it_may_have(run: Path) -> None:
    """A terabyte of zeros takes no room on the disk, and must take none in memory."""
    os.truncate(run / "config.json", 1 << 40)
    with pytest.raises(RunError, match=r"config.json: expected .*, 16,777,216 bytes at the most"):
        load(run)


@pytest.mark.rules("security-R6")
def test_no_more_of_a_header_is_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answer(run)
    spoiled(run / array_files.MODEL, note=["x"] * 1000)
    assert answer(run) == before
    monkeypatch.setattr(files, "LONGEST_JSON", 4000)
    with pytest.raises(RunError, match=r"model.safetensors: .*a header of \d,\d+ characters"):
        checkpoint.load_model(run)


@pytest.mark.rules("security-R6")
def test_a_catalogue_is_read_line_by_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(run / "items.tsv", 1 << 40)
    with pytest.raises(RunError, match=r"items.tsv, line \d+: expected .* whole lines"):
        load(run)


@pytest.mark.rules("security-R7")
def test_arrays_are_read_only_where_there_is_memory(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(RunError, match=r"safetensors: expected arrays that fit its memory, 1,000"):
        load(run)


class Unread:
    """Stands for a file of arrays, no array of which may be asked for."""

    def __init__(self, path: Path, framework: str) -> None:
        self.file = safe_open(path, framework=framework)
        self.keys, self.metadata = self.file.keys, self.file.metadata

    def __enter__(self) -> Unread:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def get_tensor(self, name: str) -> None:
        raise AssertionError(f"{name} was read")


@pytest.mark.rules("security-R7")
def test_no_array_is_read_of_a_file_of_another_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header says whose it is, so an array as large as the disk is never asked for."""
    path = run / array_files.MODEL
    with safe_open(path, framework="np") as file:
        header: dict[str, Any] = {"__metadata__": file.metadata()}
    size = 1 << 36
    header["items"] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + size)
    monkeypatch.setattr(memory, "available_memory", lambda: memory.UNKNOWN_MEMORY)
    monkeypatch.setattr(safetensors, "safe_open", Unread)
    with pytest.raises(RunError, match=r"model.safetensors: expected .* got one of another run"):
        array_files.load_arrays(path, "another")


@pytest.mark.rules("security-R8")
@pytest.mark.parametrize("name", ["config.json", "report.json", "index/manifest.json"])
@pytest.mark.parametrize(
    "text", [NESTED, '{"a":' * 99_999, "9" * 99_999, '{"format": 1e999}', "\xff", "[" + "0," * 9]
)
def test_no_json_ends_the_process(run: Path, name: str, text: str) -> None:
    (run / name).write_text(text, encoding="latin-1")
    if name.startswith("index"):
        said = recall_lists(run, history=HISTORIES[0], kind="annoy").warnings
        assert any(line.startswith(f"{run / name}: ") for line in said)
    else:
        with pytest.raises(RunError, match=name):
            load(run)


@pytest.mark.rules("security-R8")
def test_what_can_just_be_read_may_be_too_deep_for_its_digest(tmp_path: Path) -> None:
    """At one depth alone, which depends on who calls: so all are tried."""
    path = tmp_path / "x.json"
    for depth in range(500, 1000):
        path.write_text(f'{{"a": {"[" * depth}{"]" * depth}}}')
        with pytest.raises(RunError, match=r"x.json: expected words"):
            files.unsealed(path, files.read_json(path, "words", ""), "words", "")
