"""Building, choosing and opening an index."""

import json
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from mindref.errors import ConfigError, DataError, RunError
from mindref.process.announcements import listen
from mindref.recall import ExactIndex, build, build_index, nearest_items, open_index
from mindref.recall.manifest import NAME, Manifest
from tests.recall.annoy_trees import annoy_module, vectors
from tests.recall.example_plugins import measure_small_catalogues

annoy = annoy_module()
QUERIES = vectors(20, seed=1)


def manifest_of(folder):
    return json.loads((folder / NAME).read_text())


@pytest.mark.rules("recall-R22")
def test_a_small_catalogue_is_searched_exactly_without_a_measurement(tmp_path, monkeypatch):
    assert build.MIN_MEASURED_ITEMS == 20_000
    monkeypatch.setattr(build, "probe_recall", None)
    index = build_index(np.ones((19_999, 1)), np.ones((1, 1)), directory=tmp_path)
    assert index.kind == manifest_of(tmp_path)["kind"] == "exact"
    monkeypatch.setattr(build, "build_fastest", lambda *_: "measured")
    assert build_index(np.ones((20_000, 1)), np.ones((1, 1)), directory=tmp_path) == "measured"


@pytest.mark.rules("recall-R23")
def test_auto_builds_no_trees_if_exact_search_is_fast(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "MIN_MEASURED_ITEMS", 100)
    monkeypatch.setattr(build, "seconds_per_user", lambda *_: build.FAST_SECONDS / 2)
    monkeypatch.setattr(annoy.Annoy, "build", lambda *_, **__: pytest.fail("planted"))
    assert build_index(vectors(300), QUERIES, directory=tmp_path).kind == "exact"
    assert manifest_of(tmp_path)["figures"] == {"exact_seconds": build.FAST_SECONDS / 2}


def test_annoy_by_name_is_built_with_a_warning_on_low_recall(tmp_path, monkeypatch):
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "annoy": 2.0}, recall=0.5)
    index = build_index(vectors(300), QUERIES, directory=tmp_path, kind="annoy")
    assert index.kind == "annoy"
    assert "finds only 50% of the top 50" in str(open_index(tmp_path, vectors(300)).warning)


class Slow:
    """An index with slow searches, which finds only a few items."""

    kind, warning, recall, why = "slow", None, None, None

    def __init__(self, items):
        self.items, self.asked = items, list[tuple[int, int]]()

    def candidates(self, queries, n):
        self.asked.append((len(queries), n))
        time.sleep(0.1)
        found = ExactIndex(self.items).candidates(queries, n)
        return np.where(found == 0, -1, found)


@pytest.mark.rules("recall-R23")
def test_the_timing_includes_exclusion_and_merging():
    index = Slow(vectors(300))
    users = build.group_queries(vectors(21, seed=1), 3)
    assert users.shape == (7, 3, 8)
    np.testing.assert_array_equal(users[2], vectors(21, seed=1)[6:9])
    slow, quick = (build.seconds_per_user(x, users) for x in (index, ExactIndex(index.items)))
    least = build.TIMED_N + build.TIMED_EXCLUDED
    assert index.asked[0] == (3, build.TIMED_N), "a rehearsal"
    assert index.asked[1:] == [(21, least + 2)], "all interests, for as many more as are excluded"
    assert quick > 0
    assert slow >= 0.1 / 7, "no search slept less"
    assert build.group_queries(vectors(2), 4).shape == (1, 2, 8), "at most as many as queries"
    assert build.group_queries(vectors(2000), 4).shape == (256, 4, 8)


@pytest.mark.rules("recall-R27")
def test_a_tie_with_the_last_true_neighbour_counts_as_found():
    truth = np.array([[3.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    assert build.recall_of_scores(truth, truth) == 1
    assert build.recall_of_scores(np.array([[3.0, 2.0, 1.9], [1.0, 0.5, -np.inf]]), truth) == 3 / 6


@pytest.mark.parametrize("kind", ["exact", "annoy", "faiss-ivf"])
def test_an_opened_index_gives_the_same_lists_as_the_built_one(tmp_path, kind):
    if kind.startswith("faiss"):
        pytest.importorskip("faiss", reason="faiss is not installed: the extra `faiss`")
    items = vectors(2000)
    built = build_index(items, QUERIES, directory=tmp_path, kind=kind)
    opened = open_index(tmp_path, items)
    assert built.kind == opened.kind == kind
    assert 0.95 <= built.recall == opened.recall <= 1
    assert kind != "exact" or built.recall == 1
    np.testing.assert_equal(nearest_items(opened, QUERIES, 30), nearest_items(built, QUERIES, 30))
    if kind.startswith("faiss") and sys.platform == "linux":
        (file,) = tmp_path.glob("*.index")
        assert str(file) in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.rules("recall-R25")
@pytest.mark.parametrize("moment", ["save", "write"])
@pytest.mark.parametrize("kind", ["exact", "annoy"])
def test_a_killed_build_leaves_the_old_index(tmp_path, monkeypatch, moment, kind):
    items = vectors(300)
    old = build_index(items, QUERIES, directory=tmp_path, kind="annoy")
    expected = nearest_items(old, QUERIES, 5).ids
    with monkeypatch.context() as patch:
        owner = {"save": annoy.AnnoyTrees, "write": Manifest}[moment]
        patch.setattr(owner, moment, Mock(side_effect=KeyboardInterrupt))
        if (moment, kind) != ("save", "exact"):  # which has no trees to save
            with pytest.raises(KeyboardInterrupt):
                build_index(items, QUERIES, directory=tmp_path, kind=kind, seed=9)
    found = nearest_items(open_index(tmp_path, items), QUERIES, 5).ids
    np.testing.assert_array_equal(found, expected)


@pytest.mark.rules("recall-R25")
def test_a_new_index_removes_the_old_files(tmp_path):
    build_index(vectors(300), QUERIES, directory=tmp_path, kind="annoy")
    build_index(vectors(300), QUERIES, directory=tmp_path, kind="annoy", seed=1)
    (tmp_path / ".annoy.left.tmp").touch()
    assert len(list(tmp_path.glob("*.index"))) == 1
    build_index(vectors(300), QUERIES, directory=tmp_path, kind="exact")
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_invalid_input_is_named(tmp_path):
    for kind, message, changes in (
        ("fast", r"kind: expected auto or exact or annoy .*, got 'fast'", {}),
        ("auto", "interests: expected an integer of at least 1, got 0", {"interests": 0}),
    ):
        with pytest.raises(ConfigError, match=message):
            build_index(vectors(3), QUERIES, directory=tmp_path, kind=kind, **changes)
    with pytest.raises(DataError, match="queries: expected at least one"):
        build_index(vectors(3), QUERIES[:0], directory=tmp_path, kind="annoy")
    with pytest.raises(DataError, match="finite"):
        build_index(vectors(3) * np.float32(np.nan), QUERIES, directory=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="a place that can be written, got File exists"):
        build_index(vectors(3), QUERIES, directory=tmp_path / "file")


@pytest.mark.rules("recall-R39")
def test_a_line_is_printed_before_an_index_of_many_items(tmp_path, monkeypatch):
    lines = []
    vectors = np.random.default_rng(0).standard_normal((60, 4))
    monkeypatch.setattr(build, "build_fastest", lambda request: lines.append("measured"))
    with listen(lines.append):
        build_index(vectors, vectors[:5], directory=tmp_path)
        assert lines == []
        monkeypatch.setattr(build, "MIN_MEASURED_ITEMS", 60)
        build_index(vectors, vectors[:5], directory=tmp_path)
    assert lines == ["building an index of 60 items, which may take minutes", "measured"]
    with listen(lines.append):
        build_index(vectors[:59], vectors[:5], directory=tmp_path, kind="exact")
    assert len(lines) == 2
