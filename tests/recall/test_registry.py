"""Kinds of index: found by name, refused with a reason, tried by auto in order."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from mindref.errors import BackendError, RunError
from mindref.recall import build_index, nearest_items, open_index, registry, retrieve_top_n
from tests.recall.annoy_trees import vectors
from tests.recall.example_plugins import (
    Half,
    answering,
    fail,
    install,
    measure_small_catalogues,
    plugin,
)
from tests.recall.test_build import QUERIES, manifest_of
from tests.runs import python_output

ITEMS = vectors(300)


@pytest.mark.rules("recall-R28")
def test_kinds_are_listed_without_importing_a_plugin():
    output = python_output(
        "import sys\nfrom mindref.recall import registry\nprint(registry.index_kinds())\n"
        "print([m for m in sys.modules if m in ('annoy', 'faiss') or 'recall.annoy' in m])"
    )
    kinds, imported = output.splitlines()
    assert kinds.startswith("['auto', 'exact', 'annoy', 'faiss-ivf'")
    assert imported == "[]"


def test_an_index_of_a_plugin_is_built_and_opened(tmp_path, monkeypatch):
    install(monkeypatch, half=Half)
    made = build_index(ITEMS, QUERIES, directory=tmp_path, kind="half")
    opened = open_index(tmp_path, ITEMS)
    assert (opened.kind, opened.recall) == ("half", 1.0)
    found = manifest_of(tmp_path)
    assert (found["version"], found["effort"]) == ("half 1", 2)
    assert found["file"] == f"half-{found['file_sha256'][:12]}.index"
    interests, active = QUERIES.reshape(5, 4, 8), np.ones((5, 4), np.bool_)
    for one in (made, opened):
        got = retrieve_top_n(one, interests, active, n=9).items
        exact = build_index(ITEMS, QUERIES, directory=tmp_path / "x", kind="exact")
        np.testing.assert_array_equal(got, retrieve_top_n(exact, interests, active, n=9).items)


def leave(self):
    raise SystemExit(0)


@pytest.mark.rules("recall-R29")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("tests.recall.example_plugins:Nothing", "AttributeError"),
        (plugin("broken", __init__=leave), "SystemExit: 0"),
    ],
)
def test_a_broken_plugin_is_one_error_that_names_it(tmp_path, monkeypatch, value, message):
    install(monkeypatch, broken=value, half=Half)
    with pytest.raises(BackendError, match="index broken") as caught:
        build_index(ITEMS, QUERIES, directory=tmp_path, kind="broken")
    assert message in str(caught.value)
    assert build_index(ITEMS, QUERIES, directory=tmp_path, kind="half").kind == "half"


def building(**efforts):
    """A plugin whose structure has these members."""
    return plugin("wanton", 0, build=lambda self, items, seed: SimpleNamespace(**efforts))


@pytest.mark.rules("recall-R29")
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (plugin("wanton", 0, build=fail), "when building, got KeyError"),
        (plugin("wanton", 0, failure=fail), "an answer when testing itself, got KeyError"),
        (plugin("wanton", 0, version=fail), "an answer when returning its version, got KeyError"),
        (building(min_effort=1), "when building, got .*AttributeError"),
        (building(min_effort="1", max_effort=2), "when building, got .*TypeError"),
        (building(min_effort=1, max_effort="2"), "when building, got .*TypeError"),
        (building(min_effort=0, max_effort=2), "building.* min_effort = 0, max_effort = 2"),
        (building(min_effort=3, max_effort=2), "building.* min_effort = 3, max_effort = 2"),
    ],
)
def test_an_error_of_a_plugin_names_the_plugin_and_auto_skips_it(
    tmp_path, monkeypatch, broken, message
):
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "late": 0.5, "wanton": 0.1})
    install(monkeypatch, wanton=broken, late=plugin("late", 9))
    pattern = f"index wanton: .*{message}"
    with pytest.raises(BackendError, match=pattern):
        build_index(ITEMS, QUERIES, directory=tmp_path / "alone", kind="wanton")
    assert list((tmp_path / "alone").glob("*")) == []
    index = build_index(ITEMS, QUERIES, directory=tmp_path)
    assert index.kind == "late"
    assert re.search(pattern, index.choice_reason)


@pytest.mark.rules("recall-R29")
@pytest.mark.parametrize(
    ("method", "when"), [("failure", "testing itself"), ("version", "returning its version")]
)
def test_an_error_of_a_plugin_after_building_names_the_plugin(tmp_path, monkeypatch, method, when):
    install(monkeypatch, half=Half)
    index = build_index(ITEMS, QUERIES, directory=tmp_path, kind="half")
    monkeypatch.setattr(Half, method, fail)
    with pytest.raises(BackendError, match=f"index half: .* when {when}, got KeyError"):
        open_index(tmp_path, ITEMS)
    monkeypatch.setattr("tests.recall.example_plugins.np.argsort", None)
    with pytest.raises(BackendError, match=r"index half: .* when searching, got TypeError"):
        index.candidates(QUERIES, 3)


@pytest.mark.rules("recall-R23", "recall-R33")
def test_auto_chooses_the_first_plugin_in_order_that_is_good_enough(tmp_path, monkeypatch):
    install(monkeypatch, late=plugin("late", 9), early=plugin("early", 0))
    for took, recall, kind in (
        ({"exact": 1.0, "early": 0.5, "late": 0.1}, 0.95, "early"),
        ({"exact": 1.0, "early": 2.0, "late": 0.1}, 0.99, "late"),
        ({"exact": 1.0, "early": 2.0, "late": 3.0}, 1.0, "exact"),
        ({"exact": 1.0, "early": 0.5, "late": 0.1}, 0.94, "exact"),
    ):
        measure_small_catalogues(monkeypatch, took, recall)
        index = build_index(ITEMS, QUERIES, directory=tmp_path)
        assert index.kind == kind, took
        measured = ["early"] if kind == "early" else ["early", "late"]
        opened = open_index(tmp_path, ITEMS)
        assert opened.choice_reason == index.choice_reason
        share = f"{recall:.1%} of the neighbours"
        words = [f"{name} {1 / took[name]:,.0f} with {share}" for name in measured]
        assert index.choice_reason == "; ".join(["exact search 1 users/s", *words])
        assert sorted(manifest_of(tmp_path)["figures"]) == sorted(
            ["exact_seconds", *(f"{n}_{x}" for n in measured for x in ("recall", "seconds"))]
        )


@pytest.mark.rules("recall-R30")
def test_a_plugin_gets_norms_of_at_most_one(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        half = Half()
        install(patch, half=lambda: half)
        items = ITEMS * np.float32(1e15)
        index = build_index(items, QUERIES, directory=tmp_path, kind="half")
        nearest_items(index, np.float32(1e-9) * QUERIES, 4)
    np.testing.assert_allclose(np.linalg.norm(half.seen, axis=1).max(), 1, rtol=1e-6)
    np.testing.assert_allclose(half.seen, ITEMS / np.linalg.norm(ITEMS, axis=1).max(), rtol=1e-5)
    for queries, _, _ in Half.asked:
        np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, rtol=1e-6)


@pytest.mark.rules("recall-R31")
@pytest.mark.parametrize(
    ("found", "message"),
    [
        (np.full((20, 3), 300), "expected ids from 0 to 299, -1 for none, got -1 to 300"),
        (np.full((20, 3), -2), "expected ids from 0 to 299, -1 for none, got -2 to -1"),
        (np.zeros((19, 3), np.int64), r"expected ids \(20, n\), integers, got int64 \(19, 3\)"),
        (np.zeros((20, 3)), r"expected ids \(20, n\), integers, got float64"),
        (None, r"expected ids \(20, n\), integers, got object"),
    ],
)
def test_invalid_ids_are_refused(tmp_path, monkeypatch, found, message):
    install(monkeypatch, careless=answering(found))
    with pytest.raises(BackendError, match=message):
        build_index(ITEMS, QUERIES, directory=tmp_path, kind="careless")


@pytest.mark.rules("recall-R31")
def test_a_repeated_id_counts_once(tmp_path, monkeypatch):
    install(monkeypatch, careless=answering(np.array([7, 7, -1, 7, 4])))
    index = build_index(ITEMS, QUERIES, directory=tmp_path, kind="careless")
    found = nearest_items(index, QUERIES, 4)
    assert sorted(found.ids[0].tolist()) == [-1, -1, 4, 7]
    assert "careless finds only" in index.warning


@pytest.mark.rules("recall-R32")
def test_a_probe_increases_the_effort_until_recall_is_enough(tmp_path, monkeypatch):
    """The effort grows by half of itself, rounded up, until the maximum."""
    install(monkeypatch, half=Half)
    build_index(ITEMS, QUERIES, directory=tmp_path, kind="half")
    assert [effort for *_, effort in Half.asked][:2] == [1, 2]
    monkeypatch.setattr("tests.recall.example_plugins.Structure.max_effort", 20)
    Half.asked.clear()
    monkeypatch.setattr("mindref.recall.build.recall_of_scores", lambda *_: 0.94)
    build_index(ITEMS, QUERIES, directory=tmp_path, kind="half")
    assert list(dict.fromkeys(effort for *_, effort in Half.asked)) == [1, 2, 3, 5, 8, 12, 18, 20]


@pytest.mark.rules("recall-R24")
def test_a_plugin_that_fails_its_self_test_gives_exact_search(tmp_path, monkeypatch):
    install(monkeypatch, early=plugin("early", 0))
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "early": 0.1})
    build_index(ITEMS, QUERIES, directory=tmp_path, kind="early")
    monkeypatch.setattr(Half, "broken", "it is Monday")
    expected = "early does not work here: it is Monday; exact search is used"
    assert open_index(tmp_path, ITEMS).warning == expected
    for kind in ("early", "auto"):
        index = build_index(ITEMS, QUERIES, directory=tmp_path, kind=kind)
        assert (index.kind, index.warning) == ("exact", expected)
        assert open_index(tmp_path, ITEMS).warning == expected


def test_an_index_of_a_removed_plugin_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        install(patch, half=Half)
        build_index(ITEMS, QUERIES, directory=tmp_path, kind="half")
    with pytest.raises(RunError, match=r"kind: expected exact or annoy .*, got 'half'; remove"):
        open_index(tmp_path, ITEMS)


@pytest.mark.rules("recall-R29")
def test_an_unusable_plugin_has_a_reason(monkeypatch):
    install(monkeypatch, missing="no_such_module:X", half=Half)
    row = registry.describe_plugin("missing")
    assert not row["usable"]
    assert "expected an answer when importing it, got ModuleNotFoundError: No mod" in row["reason"]
    usable = {"name": "half", "usable": True, "version": "half 1", "order": 5}
    assert registry.describe_plugin("half") == usable
    monkeypatch.setattr(Half, "broken", "it is Monday")
    assert registry.describe_plugin("half")["reason"] == "it is Monday"
