"""mindref export: rejected input, written files, messages; other packages are replaced."""

import json
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

import mindref
from mindref.cli import export as command
from mindref.conformance.tolerances import same_math
from mindref.models.tower import FAMILIES
from mindref.process.requirements import install_extra
from mindref.recommender import export
from mindref.recommender.export import check as export_check
from mindref.recommender.export import verify_export
from tests.numpy_exporter import FILE, Writer
from tests.runs import lose_log, trained

SPOILT = {
    "one number is off": lambda x, a: (x + 1e-3 * (np.arange(x.shape[2]) == 3), a),
    "one user's are another's": lambda x, a: (np.roll(x, 1, axis=0), a),
    "one interest is active that is not": lambda x, a: (x, a | (np.arange(a.shape[1]) == 3)),
    "numbers are not finite": lambda x, a: (x * np.nan, a),
    "an axis is longer": lambda x, a: (np.concatenate([x, x], axis=2), a),
    "active is of fewer interests": lambda x, a: (x, a[:, :2]),
}


@pytest.fixture
def writer(monkeypatch):
    """A fake exporter that replaces the framework's."""
    fake = Writer()
    monkeypatch.setattr(export, "load_exporter", lambda: (fake, {"numpy": np.__version__}))
    return fake


def test_kinds_and_tolerance_equal_those_of_the_library_and_the_specification():
    assert command.KINDS == export.KINDS
    assert same_math("float32") == export_check.FLOAT32


@pytest.mark.rules("onnx-R8", "onnx-R10", "model-R43")
@pytest.mark.parametrize("model", FAMILIES)
def test_onnx_needs_no_pytorch_and_writes_the_same_bytes_again(model, cli, tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    monkeypatch.setitem(sys.modules, "torch", None)
    run = trained(tmp_path / "run", model=model, user_features=("age",))
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        result = cli.succeed("export", run, "--to", "onnx", "--output", folder)
        assert result.err == ""
        assert "checked on 60 users of the log and one empty history" in result.out
    first, second = ({x.name: x.read_bytes() for x in folder.iterdir()} for folder in folders)
    assert first == second
    assert set(first) == {"user_tower.onnx", "items.safetensors", "items.tsv", "export.json"}
    manifest = verify_export(folders[0])
    assert (
        manifest["checked"]["difference"] <= same_math("float32") < manifest["checked"]["allowed"]
    )
    assert manifest["tower"]["opset"] == 18
    assert set(manifest["versions"]) == {"mindref", "onnx", "onnxruntime"}
    vectors = load_file(folders[0] / "items.safetensors")["items"]
    assert len(vectors) < len(mindref.load(run).served.items.ids)


def test_files_are_in_the_run_by_default(cli, run, writer):
    result = cli("export", run, "--to", "onnx")
    assert (result.code, result.err) == (0, "")
    folder = run / "export-onnx"
    names = {FILE, "items.safetensors", "items.tsv", "export.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert "checked on 60 users of the log and one empty history" in result.out
    manifest = json.loads((folder / "export.json").read_text())
    assert manifest["checked"]["agrees"]
    for name, file in manifest["files"].items():
        assert file["bytes"] == (folder / name).stat().st_size


@pytest.mark.rules("onnx-R11")
@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_missing_packages_are_reported_before_the_run_is_read(missing, cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    error_text = cli.error_line("export", tmp_path / "none", "--to", "onnx")
    assert "--to onnx: expected onnx and onnxruntime, got ModuleNotFoundError" in error_text
    assert f"; {install_extra('onnx')}\n" in error_text


def test_a_non_empty_folder_is_unchanged_and_a_run_is_required(
    cli, run, tmp_path, writer, monkeypatch
):
    (run / "export-onnx").mkdir()
    (run / "export-onnx" / "mine").write_text("kept")
    monkeypatch.setattr(writer, "write", lambda *arguments: pytest.fail("a tower was written"))
    message = "expected a new or empty folder, got one in use"
    assert message in cli.error("export", run, "--to", "onnx")
    assert (run / "export-onnx" / "mine").read_text() == "kept"
    assert "expected a run directory" in cli.error("export", tmp_path / "none", "--to", "onnx")
    assert not (tmp_path / "none").exists()


def test_vectors_are_printed_with_their_rows(cli, run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
    result = cli("export", run, "--to", "vectors", "--all-users")
    assert (result.code, result.err) == (0, "")
    folder = run / "export-vectors"
    items, interests = (
        len(parquet.read_table(folder / f"{name}.parquet")) for name in ("items", "interests")
    )
    assert f"{items} items of width 8; {interests} interests and " in result.out
    assert result.out.endswith(f"export: {folder}\n")
    facts = cli.json("export", run, "--to", "vectors", "--output", tmp_path / "out")
    assert facts["items"] == {"shape": [items, 8]}
    assert "users" not in facts


def test_a_log_that_cannot_be_read_ends_an_export_of_users(cli, run):
    lose_log(run)
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    arguments = ("export", run, "--to", "vectors")
    assert "name it with --data" in cli.error(*arguments, "--all-users")
    assert not (run / "export-vectors").exists()
    cli.succeed(*arguments)  # the items need no log


@pytest.mark.parametrize("mode", SPOILT)
def test_a_file_with_other_results_fails_and_is_removed(mode, cli, run, writer):
    writer.spoil = SPOILT[mode]
    before = sorted(run.iterdir())
    result = cli("export", run, "--to", "onnx", "--json")
    assert result.code == 1
    assert not json.loads(result.out, parse_constant=pytest.fail)["checked"]["agrees"]
    assert "nothing was kept of it" in result.err
    assert sorted(run.iterdir()) == before


@pytest.mark.parametrize("dtypes", [("float32",), ("float32", "float64")], ids=len)
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_reference_that_is_not_finite_is_reported(cli, run, writer, monkeypatch, dtypes, bad):
    """With an infinite rounding error every difference would be allowed."""
    true = export_check.reference_interests

    def reference(model, asked):
        found = true(model, asked)
        spoilt = found._replace(vectors=np.full_like(found.vectors, bad))
        return spoilt if model.config.dtype in dtypes else found

    monkeypatch.setattr(export_check, "reference_interests", reference)
    error_text = cli.error("export", run, "--to", "onnx")
    assert "interests of the run: expected finite numbers" in error_text
    assert len(dtypes) > 1 or "finite numbers in float32" in error_text
    assert not (run / "export-onnx").exists()


def test_an_error_of_the_framework_is_not_reported_as_a_bug(cli, run, writer):
    writer.spoil = lambda *answers: {}["shape"]
    before = sorted(run.iterdir())
    message = "--to onnx: expected a file that runs, got KeyError: 'shape'; another"
    assert message in cli.error("export", run, "--to", "onnx")
    assert sorted(run.iterdir()) == before


def test_without_the_log_random_histories_are_used(cli, run, shop, writer, monkeypatch):
    lose_log(run)
    result = cli.succeed("export", run, "--to", "onnx", "--users", 50, "--json")
    assert "The file is checked on drawn histories" in result.err
    checked = json.loads(result.out)["checked"]
    assert (checked["users"], checked["histories"]) == (50, "drawn histories")
    arguments = ("--output", run / "other", "--data", shop, "--users", 7)
    assert "on 7 users of the log" in cli("export", run, "--to", "onnx", *arguments).out


@pytest.mark.rules("model-R16", "routing-R18")
@pytest.mark.slow
def test_per_call_logits_are_exported_as_keyed_with_a_warning(cli, tmp_path, writer):
    run = trained(tmp_path / "run", logits="per_call", dtype="float64", backend="numpy")
    result = cli.succeed("export", run, "--to", "onnx", "--json")
    assert "the file has the keyed ones" in result.err
    found = json.loads(result.out)
    assert (found["tower"]["logits"], found["settings"]["logits"]) == ("keyed", "per_call")
    assert writer.parts.logits.any()
    assert {x.dtype for x in writer.parts[:4]} == {np.dtype(np.float32)}
