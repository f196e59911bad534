"""An exported folder holds exactly the files that its manifest lists, or raises."""

import json
import shutil

import pytest

from mindref.errors import RunError
from mindref.recommender.export import FORMAT, file_entries, verify_export
from mindref.run.files import sealed
from tests.security.tampering import edit_json


@pytest.fixture
def export(run, tmp_path):
    """A folder as `mindref export` writes it; its two files are of the run."""
    folder = tmp_path / "export"
    folder.mkdir()
    for name in ("items.tsv", "model.safetensors"):
        shutil.copy(run / name, folder)
    manifest = sealed({"format": FORMAT, "kind": "onnx", "files": file_entries(folder)})
    (folder / "export.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.rules("security-R3", "security-R15")
@pytest.mark.parametrize("listed", [None, [1], {"a": 3}, {"a": {}}, "x"], ids=str)
def test_a_malformed_export_manifest_and_one_of_another_format_raise(listed, export):
    edit_json(export / "export.json", lambda manifest: manifest.update(files=listed))
    with pytest.raises(RunError, match=r"export/(export.json: expected the manifest|items.tsv)"):
        verify_export(export)
    for text, message in (
        ('{"format": 2}', "format: expected 1, got 2"),
        ("[]", "expected the manifest"),
    ):
        (export / "export.json").write_text(text)
        with pytest.raises(RunError, match=rf"export.json: {message}"):
            verify_export(export)


@pytest.mark.rules("security-R15")
def test_a_damaged_export_raises(export):
    assert sorted(verify_export(export)["files"]) == ["items.tsv", "model.safetensors"]
    (export / "more.onnx").write_text("unlisted")
    with pytest.raises(RunError, match=r"more.onnx: expected a file that export.json lists, got"):
        verify_export(export)
    (export / "more.onnx").unlink()
    path = export / "model.safetensors"
    original = path.read_bytes()
    for data in (original[:-1], original + b"\0", original[:-9] + b"\7" + original[-8:], b""):
        path.write_bytes(data)
        with pytest.raises(RunError, match=r"model.safetensors: expected sha256 .*; export it"):
            verify_export(export)
    path.unlink()
    with pytest.raises(RunError, match=r"model.safetensors: .* got no file; export it again"):
        verify_export(export)
    path.write_bytes(original)
    edit_json(export / "export.json", lambda manifest: manifest.update(kind="torch"), seal=False)
    with pytest.raises(RunError, match=r"export.json: expected the manifest .* as it was written"):
        verify_export(export)
