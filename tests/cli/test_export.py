"""mindref export without any framework: what is refused, what is kept, what is said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.cli import export as command
from mindref.conformance.tolerances import same_math
from mindref.recommender import export, exported
from mindref.run.files import sealed
from tests.cli.conftest import Cli
from tests.runs import trained
from tests.writer import FILE, Writer

SPOILT: dict[str, Callable[..., Any]] = {
    "one number is off": lambda x, a: (x + 1e-3 * (np.arange(x.shape[2]) == 3), a),
    "one user's are another's": lambda x, a: (np.roll(x, 1, axis=0), a),
    "one interest is active that is not": lambda x, a: (x, a | (np.arange(a.shape[1]) == 3)),
    "numbers are not finite": lambda x, a: (x * np.nan, a),
    "an axis is longer": lambda x, a: (np.concatenate([x, x], axis=2), a),
    "active is of fewer interests": lambda x, a: (x, a[:, :2]),
}


def offer(monkeypatch: pytest.MonkeyPatch, made: object, *kinds: str) -> None:
    """Let a module be the one installed writer of some kinds, None one that is not there."""
    real = metadata.entry_points
    offered = [metadata.EntryPoint(kind, "a_writer", export.GROUP) for kind in kinds]

    def entry_points(**asked: Any) -> Any:
        return offered if asked.get("group") == export.GROUP else real(**asked)

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    monkeypatch.setitem(sys.modules, "a_writer", made)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    """A writer of towers in the place of the framework's."""
    made = Writer()
    offer(monkeypatch, made, *export.KINDS)
    return made


def test_the_command_offers_every_kind_and_no_other() -> None:
    assert command.KINDS == export.KINDS
    assert set(export.INSTALL) == set(export.KINDS)


def test_the_tolerance_is_the_one_of_the_page() -> None:
    assert same_math("float32") == exported.FLOAT32


def test_files_lie_in_the_run_unless_another_place_is_named(
    cli: Cli, run: Path, writer: Writer
) -> None:
    said = cli("export", run, "--to", "onnx")
    assert (said.code, said.err) == (0, "")
    folder = run / "export-onnx"
    assert {path.name for path in folder.iterdir()} == {
        *(FILE, "items.safetensors", "items.tsv", "export.json")
    }
    assert "as the reference on 60 users of the log and one without behaviours" in said.out
    manifest = json.loads((folder / "export.json").read_text())
    assert manifest["checked"]["agrees"]
    for name, file in manifest["files"].items():
        assert file["bytes"] == (folder / name).stat().st_size


@pytest.mark.parametrize("kinds", [(), export.KINDS], ids=["no package", "no framework"])
@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_without_the_framework_the_error_names_what_to_install(
    name: str, kinds: tuple[str, ...], cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, None, *kinds)
    said = cli("export", run, "--to", name)
    assert (said.code, said.out) == (2, "")
    assert f"--to {name}: expected mindref-torch" in said.err
    assert f"in a checkout of mindref: {export.INSTALL[name].split(': ')[1]}\n" in said.err
    assert not (run / f"export-{name}").exists()


def test_what_a_kind_of_file_lacks_is_said_before_the_run_is_read(
    cli: Cli, tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def require(kind: str) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript'")

    monkeypatch.setattr(writer, "require", require)
    said = cli("export", tmp_path / "none", "--to", "onnx")
    assert said.code == 2
    assert "No module named 'onnxscript'; in a checkout" in said.err
    assert "./backends/torch[export]" in said.err


def test_a_folder_in_use_is_left_as_it_is(
    cli: Cli, run: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "export-onnx").mkdir()
    (run / "export-onnx" / "mine").write_text("kept")
    monkeypatch.setattr(writer, "write", lambda *given: pytest.fail("a tower was written"))
    said = cli("export", run, "--to", "onnx")
    assert said.code == 2
    assert "expected a new or empty folder, got one in use" in said.err
    assert (run / "export-onnx" / "mine").read_text() == "kept"


def test_no_run_is_no_bug(cli: Cli, tmp_path: Path, writer: Writer) -> None:
    said = cli("export", tmp_path / "none", "--to", "onnx")
    assert said.code == 2
    assert "expected a run directory" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", SPOILT)
def test_a_file_that_answers_otherwise_fails_and_leaves_nothing(
    way: str, cli: Cli, run: Path, writer: Writer
) -> None:
    writer.spoil = SPOILT[way]
    before = sorted(run.iterdir())
    said = cli("export", run, "--to", "onnx", "--json")
    assert said.code == 1
    assert not json.loads(said.out, parse_constant=pytest.fail)["checked"]["agrees"]
    assert "nothing was kept of it" in said.err
    assert sorted(run.iterdir()) == before


def test_a_reference_that_leaves_float32_allows_nothing(
    cli: Cli, run: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside an infinite rounding any difference would be small."""
    true = exported.reference

    def reference(model: Any, asked: Any) -> Any:
        found = true(model, asked)
        wide = model.config.dtype == "float64"
        return found if wide else found._replace(vectors=np.full_like(found.vectors, np.inf))

    monkeypatch.setattr(exported, "reference", reference)
    said = cli("export", run, "--to", "onnx")
    assert said.code == 2
    assert "interests of the run: expected finite numbers in float32" in said.err
    assert not (run / "export-onnx").exists()


def test_an_error_of_the_framework_is_not_a_bug_of_ours(
    cli: Cli, run: Path, writer: Writer
) -> None:
    writer.spoil = lambda *answers: {}["shape"]
    before = sorted(run.iterdir())
    said = cli("export", run, "--to", "torch")
    assert said.code == 2
    assert "--to torch: expected a file that runs, got KeyError: 'shape'; another" in said.err
    assert sorted(run.iterdir()) == before


def test_without_the_log_the_file_is_checked_on_drawn_histories(
    cli: Cli, run: Path, shop: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = json.loads((run / "config.json").read_text())
    words["source"]["place"] = str(run / "gone")
    (run / "config.json").write_text(json.dumps(sealed(words)))
    said = cli("export", run, "--to", "onnx", "--users", 50, "--json")
    assert said.code == 0
    assert "The file is checked on drawn histories" in said.err
    checked = json.loads(said.out)["checked"]
    assert (checked["users"], checked["histories"]) == (50, "drawn histories")
    words = ("--output", run / "other", "--data", shop, "--users", 7)
    assert "on 7 users of the log" in cli("export", run, "--to", "onnx", *words).out


@pytest.mark.rules("model-R16", "routing-R18")
@pytest.mark.slow
def test_logits_that_are_drawn_anew_become_keyed_ones_and_that_is_said(
    cli: Cli, tmp_path: Path, writer: Writer
) -> None:
    run = trained(tmp_path / "run", logits="per_call", dtype="float64", backend="numpy")
    said = cli("export", run, "--to", "onnx", "--json")
    assert said.code == 0
    assert "the file has the keyed ones" in said.err
    found = json.loads(said.out)
    assert (found["tower"]["logits"], found["settings"]["logits"]) == ("keyed", "per_call")
    assert writer.parts is not None
    assert writer.parts.logits.any()
    assert {x.dtype for x in writer.parts[:4]} == {np.dtype(np.float32)}


def test_a_model_that_is_not_finite_is_named_as_the_fault(
    cli: Cli, run: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = exported.reference

    def broken(*given: Any) -> Any:
        found = usual(*given)
        return found._replace(vectors=found.vectors * np.nan)

    monkeypatch.setattr(exported, "reference", broken)
    said = cli("export", run, "--to", "onnx")
    assert said.code == 2
    assert "interests of the run: expected finite numbers" in said.err
