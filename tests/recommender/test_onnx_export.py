"""ONNX files match the reference for every family and option, and are valid and readable."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref.backend import load_backend
from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.models.parameters import Layer
from mindref.models.serving import compute_interests
from mindref.models.tower import FAMILIES, UserTower, user_tower
from tests import spec_pages
from tests.assertions import nonempty
from tests.backends.exported_towers import (
    ITEMS,
    OPTIONS,
    UNTRAINED,
    YOUTUBE,
    assert_file_matches_reference,
    exported_rows,
    make_histories,
    reference_interests,
    run_file,
)
from tests.list_requests import recalled
from tests.runs import write_shop

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from mindref.recommender.export import export_run  # noqa: E402
from mindref.recommender.export import onnx as onnx_export  # noqa: E402

EVERY = pytest.mark.parametrize("options", [*OPTIONS, *YOUTUBE])


def step_pattern():
    """Return a pattern for the names of the table under "Forward" of the page."""
    section = spec_pages.text("onnx").partition("## Forward")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    names = re.findall(r"`([^`]+)`", " ".join(cells))
    assert len(names) > 25
    return re.compile("|".join(re.sub(r"\\\[\w\\\]", r"\\[\\d+\\]", re.escape(x)) for x in names))


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function from options to a folder with their file."""

    @cache
    def write(options):
        folder = tmp_path_factory.mktemp(options)
        model, rows, _ = reference_interests(options)
        onnx_export.write(user_tower(model, rows.shape[1]), folder)
        return folder

    return write


@pytest.fixture
def open_options(folder_of):
    """A function from options to the tower of their file."""
    return lambda options: onnx_export.open_file(folder_of(options) / onnx_export.FILE)


def test_the_options_have_every_family():
    models = {reference_interests(options)[0].config.model for options in (*OPTIONS, *YOUTUBE)}
    assert models == set(FAMILIES)


@pytest.mark.rules(
    "onnx-R1", "onnx-R2", "onnx-R3", "onnx-R5", "model-R16", "model-R17", "model-R19"
)
@EVERY
def test_a_file_matches_the_reference(options, open_options):
    assert_file_matches_reference(open_options(options), options)


@pytest.mark.rules("onnx-R3")
@pytest.mark.parametrize("options", ["default", "recommended", "youtube_recency"])
def test_values_in_padded_positions_change_no_byte(options, open_options):
    file, profile = open_options(options), reference_interests(options)[1]
    results = []
    for filler in ([0], [-1, 2**62, 5]):
        items, mask = pad_histories(exported_rows(make_histories()), 31)
        items = np.where(mask, items, np.resize(filler, items.shape))
        results.append(file(items, mask, *([profile] if profile.shape[1] else [])))
    for first, second in zip(*results, strict=True):
        assert first.tobytes() == second.tobytes()


@pytest.mark.rules("onnx-R4", "model-R18")
@pytest.mark.parametrize("wrong", [-1, ITEMS - len(UNTRAINED), 10**12])
@pytest.mark.parametrize("options", ["default", "youtube"])
def test_an_unknown_id_raises_an_error(options, wrong, open_options):
    file, rows = open_options(options), np.array([[1, 2]])
    every, but_one = np.array([[True] * 3]), np.array([[True, False, True]])
    file(np.array([[1, wrong, 3]]), but_one, rows)
    for items, profile in (([[1, wrong, 3]], [[1, 2]]), ([[1, 2, 3]], [[1, wrong]])):
        with pytest.raises(Exception, match="out of data bounds"):
            file(np.array(items), every, np.array(profile))
    file(np.array([[1, 2, 3]]), every, rows)


@pytest.mark.rules("onnx-R6", "onnx-R7")
@EVERY
def test_a_file_is_valid_and_its_nodes_are_the_steps(options, folder_of):
    path = folder_of(options) / onnx_export.FILE
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    assert [(x.domain, x.version) for x in model.opset_import] == [("", 18)]
    assert (model.ir_version, model.producer_name) == (8, "mindref")
    steps = step_pattern()
    for node in model.graph.node:
        assert (node.domain, [node.name]) == ("", list(node.output))
        assert steps.fullmatch(node.name.partition("/")[0]), node.name
    settings = json.loads(model.doc_string.partition("settings: ")[2])
    assert settings == json.loads(json.dumps(reference_interests(options)[0].config.to_dict()))


@pytest.mark.rules("onnx-R6")
def test_the_values_of_the_nodes_are_those_of_the_steps(folder_of):
    """The coupling weights of the last iteration, read from the graph, are the reference's."""
    model, rows, _ = reference_interests("default")
    graph = onnx.load(folder_of("default") / onnx_export.FILE)
    graph.graph.output.append(onnx.ValueInfoProto(name="routing[6].weights"))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    expected = compute_interests(
        model, make_histories(), rows, load_backend("numpy"), couplings=True
    )

    def run(items, mask, profile):
        feed = {"items": items, "mask": mask, "profile": profile}
        return session.run(["routing[6].weights"], feed)

    (weights,) = run_file(run, make_histories(), rows, expected.mask.shape[1])
    short = np.array([length <= expected.mask.shape[1] for length in make_histories().lengths])
    for got, user in nonempty(zip(weights[short], np.flatnonzero(short), strict=True)):
        length = int(make_histories().lengths[user])
        np.testing.assert_allclose(
            got[:length], expected.couplings[user][expected.mask[user]], rtol=0, atol=2e-5
        )


@pytest.mark.rules("onnx-R2")
def test_inputs_and_outputs_have_the_names_and_shapes_of_the_manifest(folder_of):
    session = onnxruntime.InferenceSession(folder_of("recommended") / onnx_export.FILE)
    shapes = {x.name: x.shape for x in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "items": ["batch", "length"],
        "mask": ["batch", "length"],
        "profile": ["batch", 2],
        "interests": ["batch", 4, 8],
        "active": ["batch", 4],
    }
    assert shapes == {
        x["name"]: x["shape"]
        for side in user_tower(reference_interests("recommended")[0], 2).signature()
        for x in side
    }


@pytest.mark.rules("onnx-R5")
def test_initial_logits_are_in_the_file_unless_all_are_zero(folder_of):
    for options, stored in (("default", True), ("fixed", False), ("uniform", False)):
        model = onnx.load(folder_of(options) / onnx_export.FILE)
        names = {x.name for x in model.graph.initializer}
        assert ("logits.table" in names) == stored, options


@pytest.mark.rules("onnx-R8")
@pytest.mark.parametrize("options", ["recommended", "youtube"])
def test_a_file_is_reproducible_and_contains_no_local_paths(options, folder_of, tmp_path):
    model, rows, _ = reference_interests(options)
    onnx_export.write(user_tower(model, rows.shape[1]), tmp_path)
    first, second = (folder / onnx_export.FILE for folder in (folder_of(options), tmp_path))
    assert first.read_bytes() == second.read_bytes()
    for folder in (Path(__file__).parents[2], Path(onnx.__file__).parent, tmp_path):
        assert str(folder).encode() not in second.read_bytes()


@pytest.mark.rules("onnx-R9")
def test_constants_beyond_the_limit_are_in_a_second_file(monkeypatch, tmp_path):
    model, rows, _ = reference_interests("recommended")
    parts = user_tower(model, rows.shape[1])
    monkeypatch.setattr(onnx_export, "LARGEST", parts.items.nbytes)
    onnx_export.write(parts, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {onnx_export.FILE, f"{onnx_export.FILE}.data"}
    assert parts.items.tobytes() in (tmp_path / f"{onnx_export.FILE}.data").read_bytes()
    assert parts.items.tobytes() not in (tmp_path / onnx_export.FILE).read_bytes()
    onnx.checker.check_model(tmp_path / onnx_export.FILE, full_check=True)
    assert_file_matches_reference(onnx_export.open_file(tmp_path / onnx_export.FILE), "recommended")


def example_parts(example):
    """Return the user tower of the worked example."""
    names = ("items", "logits", "S", "layer_weight", "layer_bias")
    items, logits, bilinear, weight, bias = (np.array(example[x], np.float32) for x in names)
    config = Config.of("mind", example["settings"])
    profile, positions = np.zeros((0, 8), np.float32), np.zeros((config.window, 0), np.float32)
    layers = (Layer(weight, bias),)
    return UserTower(items, logits, profile, bilinear, positions, layers, 0, 2, config)


@pytest.mark.rules("onnx-R1", "onnx-R3")
def test_the_worked_example_is_computed(tmp_path):
    (example,) = spec_pages.examples("onnx")
    onnx_export.write(example_parts(example), tmp_path)
    file = onnx_export.open_file(tmp_path / onnx_export.FILE)
    interests, active = file(np.array(example["history"]), np.array(example["mask"]))
    np.testing.assert_allclose(interests, example["interests"], rtol=0, atol=1e-6)
    assert active.tolist() == example["active"]


def test_the_program_of_the_guide_returns_the_lists_of_recall(tmp_path, monkeypatch):
    write_shop(tmp_path, users=110)
    settings = {"steps": 20, "batch": 32, "negatives": 32, "width": 8, "backend": "numpy"}
    model = mindref.Recommender(**settings)
    model.fit(tmp_path / "shop.inter", run=tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "served", users=50)
    page = Path(__file__).parents[2] / ".site" / "pages" / "guide" / "export.md"
    programs = re.findall(r"```python run\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    (program,) = [text for text in programs if "import onnxruntime" in text]
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(program.rpartition("\nprint(")[0], names)
    log = model.served.log
    for user, answer in enumerate(recalled(tmp_path / "run", index="exact", n=10)):
        history = [log.item_ids[item] for item in log.interactions.row(user)]
        assert names["recommend"](history, 10) == [x.item for x in answer.items]
