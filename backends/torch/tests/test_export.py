"""Files of torch.export match the reference for every option, and for real users."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.backends.exported_towers import (
    ITEMS,
    OPTIONS,
    UNTRAINED,
    assert_file_matches_reference,
    assert_same_interests,
    reference_interests,
)

import mindref
from mindref.backend import load_backend
from mindref.cli import main
from mindref.conformance.tolerances import same_math
from mindref.data.batches import pad_histories
from mindref.models.serving import Model, compute_interests, item_matrix
from mindref.models.tower import user_tower
from mindref.recommender.serving.served_model import ServedModel
from mindref_torch import export, tower

MISTAKES: dict[str, tuple[object, str, Callable[..., Any]]] = {
    "one behaviour is missing": (
        tower.Tower,
        "mask_recent",
        lambda original, tower, mask: original(tower, mask.roll(1, 1) & mask),
    ),
    "the last layer is zero": (
        tower,
        "map_to_interests",
        lambda original, *arguments: torch.zeros_like(original(*arguments)),
    ),
}


def write_and_open(model: Model, features: int, folder: Path) -> export.RunTower:
    written = export.write("torch", user_tower(model, features), folder)
    return export.open_file("torch", folder / written["file"])


@pytest.mark.rules("model-R16", "model-R17", "model-R19")
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.slow(every=2)
def test_an_exported_file_matches_the_reference(options: str, tmp_path: Path) -> None:
    model, rows, _ = reference_interests(options)
    assert_file_matches_reference(write_and_open(model, rows.shape[1], tmp_path), options)


@pytest.mark.rules("model-R18")
@pytest.mark.parametrize("wrong", [-1, ITEMS - len(UNTRAINED), 10**12])
@pytest.mark.slow(every=2)
def test_an_unknown_id_raises_an_error(wrong: int, exported_folder: Path) -> None:
    items, rows = np.array([[1, 2, 3]]), np.array([[1, 2]])
    every, but_one = np.array([[True] * 3]), np.array([[True, False, True]])
    file = export.open_file("torch", exported_folder / export.FILE)
    file(np.array([[1, wrong, 3]]), but_one, rows)
    for invalid in ([[1, wrong, 3]], [[1, 2]]), ([[1, 2, 3]], [[1, wrong]]):
        with pytest.raises(Exception, match=r"out of range"):
            file(np.array(invalid[0]), every, np.array(invalid[1]))
    file(items, every, rows)


@pytest.fixture(scope="module")
def exported_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of the default options."""
    folder = tmp_path_factory.mktemp("exported")
    write_and_open(reference_interests("default")[0], 2, folder)
    return folder


def test_a_file_is_reproducible_and_contains_no_local_paths(
    exported_folder: Path, tmp_path: Path
) -> None:
    write_and_open(reference_interests("default")[0], 2, tmp_path)
    one, two = (folder / export.FILE for folder in (exported_folder, tmp_path))
    assert one.read_bytes() == two.read_bytes()
    for folder in (Path(__file__).parents[3], Path(torch.__file__).parent, tmp_path):
        assert str(folder).encode() not in two.read_bytes()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on the built-in catalogue, with features of items and users."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    small = {"steps": 20, "batch": 32, "negatives": 32, "width": 8, "evaluate_every": 20}
    features = {"item_features": ["shelf"], "user_features": ["age"], "metric": "hit_rate@10"}
    mindref.MIND(**small, **features, backend="numpy").fit(run=folder)
    return folder


def run_export(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, words)])
    return ended.value.code, *capfd.readouterr()


def test_the_command_writes_all_files_for_serving(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_export(
        capfd, trained, "--to", "torch", "--output", tmp_path / "new" / "served", "--json"
    )
    assert (code, err) == (0, "")
    manifest = json.loads((tmp_path / "new" / "served" / "export.json").read_text())
    assert json.loads(out) == {**manifest, "warnings": []}
    names = {path.name for path in (tmp_path / "new" / "served").iterdir()}
    assert names == {*manifest["files"], "export.json"}
    assert names == {export.FILE, "items.safetensors", "items.tsv", "export.json"}
    served = ServedModel.load(trained)
    vectors = load_file(tmp_path / "new" / "served" / "items.safetensors")["items"]
    assert (vectors == item_matrix(served.model)).all()
    item_lines = (tmp_path / "new" / "served" / "items.tsv").read_bytes()
    assert item_lines == (trained / "items.tsv").read_bytes()
    assert manifest["checked"]["users"] == 1000
    assert manifest["checked"]["difference"] <= same_math("float32")
    assert manifest["tower"]["inputs"][2] == {
        "name": "profile",
        "type": "int64",
        "shape": ["batch", 1],
    }
    assert str(tmp_path) not in json.dumps(manifest)


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.slow(every=2)
def test_a_tower_with_wrong_output_is_not_written(
    mistake: str,
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, name, wrong = MISTAKES[mistake]
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *arguments: wrong(original, *arguments))
    code, out, err = run_export(capfd, trained, "--to", "torch", "--output", tmp_path / "new")
    assert (code, out) == (1, "")
    assert err.startswith("the exported file: expected a difference of at most ")
    assert list(tmp_path.iterdir()) == []


def test_a_tower_that_looks_up_padding_is_not_written(
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attend_padding = lambda tower, mask: (mask | True, mask.sum(1))  # noqa: E731
    monkeypatch.setattr(tower.Tower, "mask_recent", attend_padding)
    code, out, err = run_export(capfd, trained, "--to", "torch", "--output", tmp_path / "new")
    assert (code, out) == (2, "")
    assert "--to torch: expected a file that runs, got IndexError: index out of range" in err
    assert list(tmp_path.iterdir()) == []


def test_a_thousand_real_users_have_the_interests_of_the_reference(
    movielens_model: ServedModel, tmp_path: Path
) -> None:
    names = movielens_model.log.user_ids[:: len(movielens_model.log.user_ids) // 1000][:1000]
    histories, rows, _ = movielens_model.encode_users(list(names))
    assert (len(histories), rows.shape) == (1000, (1000, 3))
    expected = compute_interests(movielens_model.model, histories, rows, load_backend("numpy"))
    items, mask = pad_histories(histories, int(histories.lengths.max()))
    file = write_and_open(movielens_model.model, 3, tmp_path)
    assert_same_interests(file(items, mask, rows), expected)


@pytest.fixture(scope="module")
def movielens_model(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """A model trained on MovieLens-1M, with features of items and users."""
    log = real_data / "ml-1m"
    features = {"item_features": ["genres"], "user_features": ["gender", "age", "occupation"]}
    folder = tmp_path_factory.mktemp("movielens") / "run"
    mindref.MIND(steps=100, evaluate_every=100, **features).fit(log, run=folder)
    return ServedModel.load(folder)
