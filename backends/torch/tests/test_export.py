"""Exported towers match the reference for every option and kind of file, and for real users."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

import mindref
from mindref.backend import load_backend
from mindref.cli import main
from mindref.config import Config
from mindref.conformance.tolerances import same_math
from mindref.data.batches import pad_histories
from mindref.data.log import Ints, Ragged
from mindref.models.family import family_of
from mindref.models.parameters import Catalogue, Sizes
from mindref.models.serving import Interests, Model, compute_interests, item_matrix
from mindref.models.tower import user_tower, with_keyed_logits
from mindref.presets import PRESETS
from mindref.recommender.serving import ServedModel
from mindref_torch import export, tower

KINDS = ["onnx", "torch"]
ITEMS, FIELDS, PROFILES, WINDOW = 40, 3, 7, 12
OPTIONS: list[dict[str, Any]] = [
    {},
    {"routing_axis": "behaviours", "squash": "none", "hidden": (), "iterations": 3},
    {"squash": "unit", "normalise": True, "sigma": 1.0, "iterations": 1},
    {"interest_count": "fixed", "hidden": (12, 10), "last_relu": True},
    {"routing": "uniform", "routing_axis": "behaviours", "user_features": (), "logits": "fixed"},
    {"interests": 1, "logits": "per_call", "dtype": "float64"},
    {**PRESETS["best"], "sigma": 0.5, "window": WINDOW},
    {**PRESETS["sparse"], "user_features": (), "window": WINDOW},
    {"model": "mind_plus", "head": "residual", "contexts": 2, "recency": "shared"},
]
MISTAKES: dict[str, tuple[str, Callable[..., Any]]] = {
    "behaviours before the window count": (
        "mask_recent",
        lambda tower, mask: (mask, mask.sum(1, True)),
    ),
    "one behaviour is missing": (
        "mask_recent",
        lambda tower, mask: tower.original(mask.roll(1, 1) & mask),
    ),
    "every interest is active": ("active_interests", lambda tower, n: n >= torch.zeros(4)),
    "profiles are zero": (
        "join_profile",
        lambda tower, u, p, c: tower.original(u, torch.zeros_like(p), c),
    ),
    "the last layer is left out": ("apply_layers", lambda tower, x: x[:, : tower.items.shape[1]]),
}


def make_model(features: int, **changes: Any) -> Model:
    """Return a model with random parameters and side features of items."""
    config = Config.of("mind", {"width": 8, "hidden": (16,), "window": WINDOW, **changes})
    rng = np.random.default_rng(3)
    sizes = Sizes(ITEMS, ITEMS + 9, PROFILES if features else 0, features)
    rows = np.column_stack([np.arange(ITEMS), rng.integers(ITEMS, ITEMS + 9, (ITEMS, FIELDS - 1))])
    weights = np.full(rows.shape, 1 / FIELDS, config.dtype)
    params = family_of(config.model).init(rng, config, sizes)
    biases = [layer._replace(bias=layer.bias + 0.3) for layer in params.layers]
    return Model(params._replace(layers=tuple(biases)), Catalogue(rows, weights), config)


def make_histories() -> Ragged:
    """Return histories of length zero up to more than the window."""
    rng = np.random.default_rng(4)
    return Ragged.of([rng.integers(ITEMS, size=n) for n in (0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 30)])


def make_profiles(features: int, count: int) -> Ints:
    return np.random.default_rng(5).integers(PROFILES, size=(count, features))


def run_file(
    file: export.RunTower, histories: Ragged, rows: Ints, places: int | None = None
) -> Any:
    """Return the output of a file; padding contains ids outside the catalogue."""
    longest = int(histories.lengths.max(initial=0))
    items, mask = pad_histories(histories, max(1, longest if places is None else places))
    items = np.where(mask, items, np.resize([-1, 2**62, -ITEMS, ITEMS], items.shape))
    items, mask = (x[:, : longest if places is None else places] for x in (items, mask))
    return file(items, mask, *([rows] if rows.shape[1] else []))


def interleave_padding(items: Ints, mask: Any, *rows: Ints) -> tuple[Any, ...]:
    """Return the same behaviours with padding between them."""
    return np.repeat(items, 2, axis=1), np.kron(mask, [False, True]).astype(bool), *rows


def assert_same_interests(interests: Any, expected: Interests) -> None:
    """Fail unless the interests equal those of the reference up to rounding of float32."""
    vectors, active = interests
    assert (vectors.dtype, active.dtype) == (np.float32, np.bool_)
    assert (vectors.shape, active.shape) == (expected.vectors.shape, expected.active.shape)
    assert (active == expected.active).all()
    assert not vectors[~active].any()
    largest = np.abs(expected.vectors).max(axis=(1, 2), keepdims=True)
    difference = np.abs(vectors - expected.vectors) / np.where(largest > 0, largest, 1)
    assert difference.max() <= same_math("float32")


@cache
def reference_interests(options: int) -> tuple[Model, Ints, Interests]:
    """Return a model of these options, profiles, and the interests of the users."""
    changes = {"user_features": ("a", "b"), **OPTIONS[options]}
    features = len(changes["user_features"])
    model = with_keyed_logits(make_model(features, **changes))
    rows = make_profiles(features, len(make_histories()))
    return model, rows, compute_interests(model, make_histories(), rows, load_backend("numpy"))


def write_and_open(kind: str, model: Model, features: int, folder: Path) -> export.RunTower:
    make_model = export.write(kind, user_tower(model, features), folder)
    return export.open_file(kind, folder / make_model["file"])


@pytest.mark.rules("model-R16", "model-R17", "model-R19")
@pytest.mark.parametrize(
    ("kind", "options"),
    [  # without --all, each kind of file has every second case
        pytest.param(
            kind,
            number,
            id=f"{kind}-{options or 'default'}",
            marks=[pytest.mark.slow] * ((number + KINDS.index(kind)) % 2),
        )
        for kind in KINDS
        for number, options in enumerate(OPTIONS)
    ],
)
def test_an_exported_file_matches_the_reference(kind: str, options: int, tmp_path: Path) -> None:
    model, rows, expected = reference_interests(options)
    file = write_and_open(kind, model, rows.shape[1], tmp_path)
    # the longest history is longer than the window
    assert_same_interests(run_file(file, make_histories(), rows), expected)
    assert_same_interests(run_file(file, make_histories(), rows, 57), expected)
    assert_same_interests(
        run_file(lambda *inputs: file(*interleave_padding(*inputs)), make_histories(), rows),
        expected,
    )
    for user in (0, 1, 5, 10):  # one user, without padding and for L = 0
        single_user = Interests(
            expected.vectors[[user]], expected.active[[user]], None, *(2 * [rows])
        )
        assert_same_interests(
            run_file(file, Ragged.of([make_histories().row(user)]), rows[[user]]), single_user
        )
    no_items, no_mask = np.zeros((0, 4), np.int64), np.zeros((0, 4), bool)
    vectors, active = file(no_items, no_mask, *([rows[:0]] if rows.shape[1] else []))
    assert vectors.shape == (0, *expected.vectors.shape[1:])
    assert active.shape == (0, expected.active.shape[1])


@pytest.mark.rules("model-R18")
@pytest.mark.parametrize("wrong", [-1, ITEMS, 10**12])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow(every=2)
def test_an_unknown_id_raises_an_error(
    kind: str, wrong: int, exported_folder: Callable[[str], Path]
) -> None:
    items, rows = np.array([[1, 2, 3]]), np.array([[1, 2]])
    every, but_one = np.array([[True] * 3]), np.array([[True, False, True]])
    file = export.open_file(kind, exported_folder(kind) / export.FILES[kind])
    file(np.array([[1, wrong, 3]]), but_one, rows)
    for invalid in ([[1, wrong, 3]], [[1, 2]]), ([[1, 2, 3]], [[1, wrong]]):
        with pytest.raises(Exception, match=r"out of (data bounds|range)"):
            file(np.array(invalid[0]), every, np.array(invalid[1]))
    file(items, every, rows)


@pytest.fixture(scope="module")
def exported_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a kind of file to a folder with a file of the first options."""

    @cache
    def folder_of(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        write_and_open(kind, reference_interests(0)[0], 2, folder)
        return folder

    return folder_of


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_reproducible_and_contains_no_local_paths(
    kind: str, exported_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    write_and_open(kind, reference_interests(0)[0], 2, tmp_path)
    one, two = (folder / export.FILES[kind] for folder in (exported_folder(kind), tmp_path))
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


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_writes_all_files_for_serving(
    kind: str, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_export(
        capfd, trained, "--to", kind, "--output", tmp_path / "new" / "served", "--json"
    )
    assert (code, err) == (0, "")
    manifest = json.loads((tmp_path / "new" / "served" / "export.json").read_text())
    assert json.loads(out) == {**manifest, "warnings": []}
    names = {path.name for path in (tmp_path / "new" / "served").iterdir()}
    assert names == {*manifest["files"], "export.json"}
    assert names == {export.FILES[kind], "items.safetensors", "items.tsv", "export.json"}
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


def test_an_onnx_file_is_valid_and_names_its_axes(exported_folder: Callable[[str], Path]) -> None:
    path = exported_folder("onnx") / export.FILES["onnx"]
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path)
    shapes = {x.name: x.shape for x in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "items": ["batch", "length"],
        "mask": ["batch", "length"],
        "profile": ["batch", 2],
        "interests": ["batch", 4, 8],
        "active": ["batch", 4],
    }


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.slow(every=2)
def test_a_tower_with_wrong_output_is_not_written(
    mistake: str,
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, wrong = MISTAKES[mistake]
    monkeypatch.setattr(tower.Tower, "original", getattr(tower.Tower, name), raising=False)
    monkeypatch.setattr(tower.Tower, name, wrong)
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
    attend_padding = lambda tower, mask: (mask | True, mask.sum(1, True))  # noqa: E731
    monkeypatch.setattr(tower.Tower, "mask_recent", attend_padding)
    code, out, err = run_export(capfd, trained, "--to", "torch", "--output", tmp_path / "new")
    assert (code, out) == (2, "")
    assert "--to torch: expected a file that runs, got IndexError: index out of range" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realdata
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_real_users_have_the_interests_of_the_reference(
    kind: str, movielens_model: ServedModel, tmp_path: Path
) -> None:
    names = movielens_model.log.user_ids[:: len(movielens_model.log.user_ids) // 1000][:1000]
    histories, rows, _ = movielens_model.encode_users(list(names))
    assert (len(histories), rows.shape) == (1000, (1000, 3))
    expected = compute_interests(movielens_model.model, histories, rows, load_backend("numpy"))
    assert_same_interests(
        run_file(write_and_open(kind, movielens_model.model, 3, tmp_path), histories, rows),
        expected,
    )


@pytest.fixture(scope="module")
def movielens_model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """A model trained on MovieLens-1M, with features of items and users."""
    default_folder = Path(__file__).parents[4] / "shared" / "data"
    log = Path(os.environ.get("MINDREF_DATA", default_folder)) / "ml-1m"
    if not log.is_dir():
        pytest.skip(f"no real data set at {log}; set MINDREF_DATA to the folder of the data sets")
    features = {"item_features": ["genres"], "user_features": ["gender", "age", "occupation"]}
    folder = tmp_path_factory.mktemp("movielens") / "run"
    mindref.MIND(steps=100, evaluate_every=100, **features).fit(log, run=folder)
    return ServedModel.load(folder)
