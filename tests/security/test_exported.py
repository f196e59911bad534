"""An exported folder is what its manifest lists, no more and no less, or is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mindref.errors import RunError
from mindref.recommender.export import verify_export
from mindref.run.files import sealed
from tests.security.hands import change


def exported(folder: Path, run: Path) -> Path:
    """Return a folder as `mindref export` makes it, with something for a tower."""
    folder.mkdir()
    for name in ("items.tsv", "model.safetensors"):
        shutil.copy(run / name, folder)
    from mindref.recommender.export import FORMAT, file_entries

    words = sealed({"format": FORMAT, "kind": "onnx", "files": file_entries(folder)})
    (folder / "export.json").write_text(json.dumps(words))
    return folder


@pytest.mark.rules("security-R15")
def test_an_exported_folder_has_no_file_that_is_not_listed(run: Path, tmp_path: Path) -> None:
    folder = exported(tmp_path / "served", run)
    (folder / "more.onnx").write_text("of a stranger")
    with pytest.raises(RunError, match=r"more.onnx: expected a file that export.json lists, got"):
        verify_export(folder)


@pytest.mark.rules("security-R3", "security-R15")
@pytest.mark.parametrize("listed", [None, [1], {"a": 3}, {"a": {}}, "x"], ids=str)
def test_a_manifest_of_other_words_is_refused(listed: Any, run: Path, tmp_path: Path) -> None:
    folder = exported(tmp_path / "served", run)
    change(folder / "export.json", lambda words: words.update(files=listed))
    with pytest.raises(RunError, match=r"served/(export.json: expected the manifest|items.tsv)"):
        verify_export(folder)
    (folder / "export.json").write_text('{"format": 2}')
    with pytest.raises(RunError, match=r"export.json: format: expected 1, got 2"):
        verify_export(folder)
    (folder / "export.json").write_text("[]")
    with pytest.raises(RunError, match=r"export.json: expected the manifest"):
        verify_export(folder)


@pytest.mark.rules("security-R15")
def test_an_exported_folder_says_whether_it_is_whole(run: Path, tmp_path: Path) -> None:
    folder = exported(tmp_path / "served", run)
    assert sorted(verify_export(folder)["files"]) == ["items.tsv", "model.safetensors"]
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for data in (whole[:-1], whole + b"\0", whole[:-9] + b"\7" + whole[-8:], b""):
        path.write_bytes(data)
        with pytest.raises(RunError, match=r"model.safetensors: expected sha256 .*; export it"):
            verify_export(folder)
    path.unlink()
    with pytest.raises(RunError, match=r"model.safetensors: .* got no file; export it again"):
        verify_export(folder)
    path.write_bytes(whole)
    change(folder / "export.json", lambda words: words.update(kind="torch"), seal=False)
    with pytest.raises(RunError, match=r"export.json: expected the manifest .* as it was written"):
        verify_export(folder)
