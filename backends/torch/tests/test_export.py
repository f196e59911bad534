"""Exported towers answer as the reference: every option, every kind of file, real users."""

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
from mindref.backend import load
from mindref.cli import main
from mindref.config import Config
from mindref.conformance.tolerances import same_math
from mindref.data.batches import lay_out_histories
from mindref.data.log import Ints, Ragged
from mindref.models.parameters import Catalogue, Sizes, init
from mindref.models.serving import Interests, Model, interests, item_matrix
from mindref.models.tower import keyed, user_tower
from mindref.recommender.served import Served
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
]
MISTAKES: dict[str, tuple[str, Callable[..., Any]]] = {
    "behaviours before the window count": ("recent", lambda own, mask: (mask, mask.sum(1, True))),
    "one behaviour is missing": ("recent", lambda own, mask: own.usual(mask.roll(1, 1) & mask)),
    "every interest is active": ("active_interests", lambda own, n: n >= torch.zeros(4)),
    "nobody has a profile": ("joined", lambda own, u, p: own.usual(u, torch.zeros_like(p))),
    "the last layer is left out": ("layered", lambda own, x: x[:, : own.items.shape[1]]),
}


def made(features: int, **changes: Any) -> Model:
    """Return a model of random parameters, whose items have side features."""
    config = Config.of("default", {"width": 8, "hidden": (16,), "window": WINDOW, **changes})
    rng = np.random.default_rng(3)
    sizes = Sizes(ITEMS, ITEMS + 9, PROFILES if features else 0, features)
    rows = np.column_stack([np.arange(ITEMS), rng.integers(ITEMS, ITEMS + 9, (ITEMS, FIELDS - 1))])
    weights = np.full(rows.shape, 1 / FIELDS, config.dtype)
    params = init(rng, config, sizes)
    biases = [layer._replace(bias=layer.bias + 0.3) for layer in params.layers]
    return Model(params._replace(layers=tuple(biases)), Catalogue(rows, weights), config)


def users() -> Ragged:
    """Return histories of every length, nothing and more than the window included."""
    rng = np.random.default_rng(4)
    return Ragged.of([rng.integers(ITEMS, size=n) for n in (0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 30)])


def profiles(features: int, count: int) -> Ints:
    """Return rows of the profile table."""
    return np.random.default_rng(5).integers(PROFILES, size=(count, features))


def run(file: export.Run, histories: Ragged, rows: Ints, places: int | None = None) -> Any:
    """Return what a file answers; what stands in padded places is of no catalogue."""
    longest = int(histories.lengths.max(initial=0))
    items, mask = lay_out_histories(histories, max(1, longest if places is None else places))
    items = np.where(mask, items, np.resize([-1, 2**62, -ITEMS, ITEMS], items.shape))
    items, mask = (x[:, : longest if places is None else places] for x in (items, mask))
    return file(items, mask, *([rows] if rows.shape[1] else []))


def spread(items: Ints, mask: Any, *rows: Ints) -> tuple[Any, ...]:
    """Return the same behaviours with padding between them."""
    return np.repeat(items, 2, axis=1), np.kron(mask, [False, True]).astype(bool), *rows


def same(found: Any, true: Interests) -> None:
    """Raise unless a file has the interests of the reference, to the rounding of float32."""
    vectors, active = found
    assert (vectors.dtype, active.dtype) == (np.float32, np.bool_)
    assert (vectors.shape, active.shape) == (true.vectors.shape, true.active.shape)
    assert (active == true.active).all()
    assert not vectors[~active].any()
    largest = np.abs(true.vectors).max(axis=(1, 2), keepdims=True)
    difference = np.abs(vectors - true.vectors) / np.where(largest > 0, largest, 1)
    assert difference.max() <= same_math("float32")


@cache
def reference(options: int) -> tuple[Model, Ints, Interests]:
    """Return a model of these options, profiles, and the interests of the users."""
    changes = {"user_features": ("a", "b"), **OPTIONS[options]}
    features = len(changes["user_features"])
    model = keyed(made(features, **changes))
    rows = profiles(features, len(users()))
    return model, rows, interests(model, users(), rows, load("numpy"))


def written(kind: str, model: Model, features: int, folder: Path) -> export.Run:
    """Write a tower and open it again."""
    made = export.write(kind, user_tower(model, features), folder)
    return export.open_file(kind, folder / made["file"])


@pytest.mark.rules("model-R16", "model-R17", "model-R19")
@pytest.mark.parametrize("options", range(len(OPTIONS)), ids=lambda n: str(OPTIONS[n] or "default"))
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_answers_as_the_reference(kind: str, options: int, tmp_path: Path) -> None:
    model, rows, true = reference(options)
    file = written(kind, model, rows.shape[1], tmp_path)
    same(run(file, users(), rows), true)  # the longest history is longer than the window
    same(run(file, users(), rows, 57), true)
    same(run(lambda *given: file(*spread(*given)), users(), rows), true)
    for user in (0, 1, 5, 10):  # alone, without any padding and without any place
        alone = Interests(true.vectors[[user]], true.active[[user]], None, *(2 * [rows]))
        same(run(file, Ragged.of([users().row(user)]), rows[[user]]), alone)
    nobody, none = np.zeros((0, 4), np.int64), np.zeros((0, 4), bool)
    vectors, active = file(nobody, none, *([rows[:0]] if rows.shape[1] else []))
    assert vectors.shape == (0, *true.vectors.shape[1:])
    assert active.shape == (0, true.active.shape[1])


@pytest.mark.rules("model-R18")
@pytest.mark.parametrize("wrong", [-1, ITEMS, 10**12])
@pytest.mark.parametrize("kind", KINDS)
def test_an_id_that_there_is_not_fails(
    kind: str, wrong: int, written_once: Callable[[str], Path]
) -> None:
    items, rows = np.array([[1, 2, 3]]), np.array([[1, 2]])
    every, but_one = np.array([[True] * 3]), np.array([[True, False, True]])
    file = export.open_file(kind, written_once(kind) / export.FILES[kind])
    file(np.array([[1, wrong, 3]]), but_one, rows)
    for given in ([[1, wrong, 3]], [[1, 2]]), ([[1, 2, 3]], [[1, wrong]]):
        with pytest.raises(Exception, match=r"out of (data bounds|range)"):
            file(np.array(given[0]), every, np.array(given[1]))
    file(items, every, rows)


@pytest.fixture(scope="module")
def written_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a kind to the folder of such a file of the first options."""

    @cache
    def folder_of(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        written(kind, reference(0)[0], 2, folder)
        return folder

    return folder_of


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_names_no_folder_of_the_machine_and_has_the_same_bytes_again(
    kind: str, written_once: Callable[[str], Path], tmp_path: Path
) -> None:
    written(kind, reference(0)[0], 2, tmp_path)
    one, two = (folder / export.FILES[kind] for folder in (written_once(kind), tmp_path))
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


def command(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of `mindref export`."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, words)])
    return ended.value.code, *capfd.readouterr()


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_writes_all_that_a_server_needs(
    kind: str, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = command(
        capfd, trained, "--to", kind, "--output", tmp_path / "new" / "served", "--json"
    )
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "new" / "served" / "export.json").read_text())
    assert json.loads(out) == {**found, "warnings": []}
    names = {path.name for path in (tmp_path / "new" / "served").iterdir()}
    assert names == {*found["files"], "export.json"}
    assert names == {export.FILES[kind], "items.safetensors", "items.tsv", "export.json"}
    served = Served.load(trained)
    vectors = load_file(tmp_path / "new" / "served" / "items.safetensors")["items"]
    assert (vectors == item_matrix(served.model)).all()
    told = (tmp_path / "new" / "served" / "items.tsv").read_bytes()
    assert told == (trained / "items.tsv").read_bytes()
    assert found["checked"]["users"] == 1000
    assert found["checked"]["difference"] <= same_math("float32")
    assert found["tower"]["inputs"][2] == {
        "name": "profile",
        "type": "int64",
        "shape": ["batch", 1],
    }
    assert str(tmp_path) not in json.dumps(found)


def test_a_file_of_onnx_is_valid_and_names_its_axes(
    written_once: Callable[[str], Path],
) -> None:
    path = written_once("onnx") / export.FILES["onnx"]
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
def test_a_tower_that_answers_otherwise_is_not_kept(
    mistake: str,
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, wrong = MISTAKES[mistake]
    monkeypatch.setattr(tower.Tower, "usual", getattr(tower.Tower, name), raising=False)
    monkeypatch.setattr(tower.Tower, name, wrong)
    code, out, err = command(capfd, trained, "--to", "torch", "--output", tmp_path / "new")
    assert (code, out) == (1, "")
    assert err.startswith("the exported file: expected a difference of at most ")
    assert list(tmp_path.iterdir()) == []


def test_a_tower_that_looks_up_what_pads_is_not_kept(
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = lambda own, mask: (mask | True, mask.sum(1, True))  # noqa: E731  # a plant
    monkeypatch.setattr(tower.Tower, "recent", every)
    code, out, err = command(capfd, trained, "--to", "torch", "--output", tmp_path / "new")
    assert (code, out) == (2, "")
    assert "--to torch: expected a file that runs, got IndexError: index out of range" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realdata
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_real_users_have_the_interests_of_the_reference(
    kind: str, of_movielens: Served, tmp_path: Path
) -> None:
    names = of_movielens.log.user_ids[:: len(of_movielens.log.user_ids) // 1000][:1000]
    histories, rows, _ = of_movielens.of_users(list(names))
    assert (len(histories), rows.shape) == (1000, (1000, 3))
    true = interests(of_movielens.model, histories, rows, load("numpy"))
    same(run(written(kind, of_movielens.model, 3, tmp_path), histories, rows), true)


@pytest.fixture(scope="module")
def of_movielens(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A model trained on MovieLens-1M, with features of items and users."""
    usual = Path(__file__).parents[4] / "shared" / "data"
    log = Path(os.environ.get("MINDREF_DATA", usual)) / "ml-1m"
    if not log.is_dir():
        pytest.skip(f"no real data set at {log}; set MINDREF_DATA to the folder of all")
    features = {"item_features": ["genres"], "user_features": ["gender", "age", "occupation"]}
    folder = tmp_path_factory.mktemp("movielens") / "run"
    mindref.MIND(steps=100, evaluate_every=100, **features).fit(log, run=folder)
    return Served.load(folder)
