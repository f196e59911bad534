"""Building, choosing and opening an index."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.errors import ConfigError, DataError, RunError
from mindref.recall import ExactIndex, annoy, build, build_index, nearest, open_index, probe
from mindref.recall.manifest import NAME, Manifest
from mindref.recall.probe import Probed
from tests.recall import strangers
from tests.recall.test_annoy import index_of, vectors

QUERIES = vectors(20, seed=1)
THREE, TWO = {"n_trees": 3}, {"n_trees": 2}


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / NAME).read_text())
    return found


def measured(monkeypatch: pytest.MonkeyPatch, recall: float, annoy_seconds: float) -> None:
    """Let small catalogues be measured, and the measurement say this beside exact search's 1 s."""
    strangers.install(monkeypatch, annoy="mindref.recall.annoy:Annoy")
    monkeypatch.setattr(build, "MEASURED_FROM", 100)
    monkeypatch.setattr(build, "probe", lambda *_: Probed(77, recall))
    took = {"exact": 1.0, "annoy": annoy_seconds}
    monkeypatch.setattr(build, "seconds", lambda index, _: took[index.kind])


@pytest.mark.rules("recall-R22")
def test_a_small_catalogue_is_searched_exactly_without_a_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build.MEASURED_FROM == 20_000
    monkeypatch.setattr(build, "probe", None)
    index = build_index(np.ones((19_999, 1)), np.ones((1, 1)), directory=tmp_path)
    assert index.kind == manifest_of(tmp_path)["kind"] == "exact"
    monkeypatch.setattr(build, "choose", lambda *_: "measured")
    assert build_index(np.ones((20_000, 1)), np.ones((1, 1)), directory=tmp_path) == "measured"


@pytest.mark.rules("recall-R23")
@pytest.mark.parametrize(
    ("recall", "seconds", "kind"),
    [(0.95, 0.5, "annoy"), (0.94, 0.5, "exact"), (0.99, 2.0, "exact")],
)
def test_auto_takes_annoy_only_if_it_finds_enough_and_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recall: float, seconds: float, kind: str
) -> None:
    measured(monkeypatch, recall, seconds)
    index = build_index(vectors(300), QUERIES, directory=tmp_path)
    found = manifest_of(tmp_path)
    assert index.kind == found["kind"] == kind
    assert found["figures"]["annoy_recall"] == recall
    assert open_index(tmp_path, vectors(300)).kind == kind


@pytest.mark.rules("recall-R23")
def test_auto_plants_no_trees_where_exact_search_is_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "MEASURED_FROM", 100)
    monkeypatch.setattr(build, "seconds", lambda *_: build.QUICK / 2)
    monkeypatch.setattr(annoy.Annoy, "build", lambda *_, **__: pytest.fail("planted"))
    assert build_index(vectors(300), QUERIES, directory=tmp_path).kind == "exact"
    assert manifest_of(tmp_path)["figures"] == {"exact_seconds": build.QUICK / 2}


def test_annoy_that_is_asked_for_is_kept_with_a_warning_if_it_finds_too_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, 0.5, 2.0)
    index = build_index(vectors(300), QUERIES, directory=tmp_path, kind="annoy", options=THREE)
    assert index.kind == "annoy"
    assert "finds only 50% of the 50 best" in str(open_index(tmp_path, vectors(300)).warning)


@pytest.mark.rules("recall-R32")
def test_a_probe_looks_at_more_nodes_until_enough_is_found() -> None:
    items = np.random.default_rng(0).standard_normal((2000, 16))  # the worst case for trees
    index = index_of(items, effort=250)
    found = probe.probe(index, items[:20])
    assert found.effort == index.effort > 250
    assert found.recall >= 0.95
    efforts = [250]
    while efforts[-1] < index.effort:
        efforts.append(efforts[-1] + -(-efforts[-1] // 2))
    assert efforts[-1] == index.effort, "it rises by half"
    before = index_of(items, effort=efforts[-2])
    truth = nearest(ExactIndex(items), items[:20], 50).scores
    assert probe.share_found(nearest(before, items[:20], 50).scores, truth) < 0.95


class Slow:
    """An index whose every search is slow, and that knows a few items only."""

    kind, warning, recall, why = "slow", None, None, None

    def __init__(self, items: Any) -> None:
        self.items, self.asked = items, list[tuple[int, int]]()

    def candidates(self, queries: Any, n: int) -> Any:
        self.asked.append((len(queries), n))
        time.sleep(0.1)
        found = ExactIndex(self.items).candidates(queries, n)
        return np.where(found == 0, -1, found)


@pytest.mark.rules("recall-R23")
def test_what_is_timed_is_recommending_with_exclusion_and_merging() -> None:
    index = Slow(vectors(300))
    users = probe.users_of(vectors(21, seed=1), 3)
    assert users.shape == (7, 3, 8)
    np.testing.assert_array_equal(users[2], vectors(21, seed=1)[6:9])
    slow, quick = probe.seconds(index, users), probe.seconds(ExactIndex(index.items), users)
    least = probe.LIST + probe.SEEN
    assert index.asked[0] == (3, probe.LIST), "a rehearsal"
    assert index.asked[1:] == [(21, least + 2)], "all interests, for as many more as are excluded"
    assert quick > 0
    assert slow >= 0.1 / 7, "no search slept less"


def test_users_to_time_with_are_never_more_than_there_are_queries() -> None:
    assert probe.users_of(vectors(2), 4).shape == (1, 2, 8)
    assert probe.users_of(vectors(2000), 4).shape == (256, 4, 8)


def test_an_index_says_what_share_of_the_neighbours_it_finds(tmp_path: Path) -> None:
    items = vectors(300)
    built = build_index(items, QUERIES, directory=tmp_path, kind="annoy", options=THREE)
    assert built.recall is not None
    assert 0.95 <= built.recall <= 1
    assert open_index(tmp_path, items).recall == built.recall
    assert build_index(items, QUERIES, directory=tmp_path, kind="exact").recall == 1


@pytest.mark.rules("recall-R27")
def test_a_tie_with_the_worst_true_neighbour_is_no_miss() -> None:
    truth = np.array([[3.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    assert probe.share_found(truth, truth) == 1
    assert probe.share_found(np.array([[3.0, 2.0, 1.9], [1.0, 0.5, -np.inf]]), truth) == 3 / 6


def test_an_opened_index_answers_as_the_built_one(tmp_path: Path) -> None:
    for kind in ("exact", "annoy"):
        built = build_index(vectors(300), QUERIES, directory=tmp_path / kind, kind=kind)
        opened = open_index(tmp_path / kind, vectors(300))
        assert built.kind == opened.kind == kind
        for ours, theirs in zip(
            nearest(opened, QUERIES, 7), nearest(built, QUERIES, 7), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.rules("recall-R24")
def test_a_broken_annoy_gives_exact_search_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(vectors(300), QUERIES, directory=tmp_path / "before", kind="annoy", options=THREE)
    monkeypatch.setattr(annoy, "failure", lambda: "its self-test failed (wrong neighbours)")
    built = build_index(vectors(300), QUERIES, directory=tmp_path / "now", kind="annoy")
    indexes = [built, open_index(tmp_path / "now", vectors(300))]
    indexes.append(open_index(tmp_path / "before", vectors(300)))
    for index in indexes:
        assert index.kind == "exact"
        assert index.warning is not None
        assert "annoy does not work here: its self-test failed (wrong neighbours)" in index.warning
        assert "\n" not in index.warning


@pytest.mark.rules("recall-R25")
@pytest.mark.parametrize("moment", ["save", "write"])
@pytest.mark.parametrize("kind", ["exact", "annoy"])
def test_a_build_that_dies_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, kind: str
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    items = vectors(300)
    old = build_index(items, QUERIES, directory=tmp_path, kind="annoy", options=THREE)
    expected = nearest(old, QUERIES, 5).ids
    with monkeypatch.context() as patch:
        patch.setattr(*{"save": (annoy.Trees, "save"), "write": (Manifest, "write")}[moment], die)
        if (moment, kind) != ("save", "exact"):  # which has no trees to save
            with pytest.raises(KeyboardInterrupt):
                build_index(items, QUERIES, directory=tmp_path, kind=kind, seed=9)
    found = nearest(open_index(tmp_path, items), QUERIES, 5).ids
    np.testing.assert_array_equal(found, expected)


@pytest.mark.rules("recall-R25")
def test_a_new_index_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    build_index(vectors(300), QUERIES, directory=tmp_path, kind="annoy", options=THREE)
    build_index(vectors(300), QUERIES, directory=tmp_path, kind="annoy", options=TWO)
    (tmp_path / ".annoy.left.tmp").touch()
    assert len(list(tmp_path.glob("*.index"))) == 1
    build_index(vectors(300), QUERIES, directory=tmp_path, kind="exact")
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_wrong_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kind: expected auto or exact or annoy .*, got 'fast'"):
        build_index(vectors(3), QUERIES, directory=tmp_path, kind="fast")
    with pytest.raises(ConfigError, match="n_trees: expected an integer of at least 1, got 0"):
        build_index(vectors(3), QUERIES, directory=tmp_path, kind="annoy", options={"n_trees": 0})
    with pytest.raises(ConfigError, match="interests: expected an integer of at least 1, got 0"):
        build_index(vectors(3), QUERIES, directory=tmp_path, interests=0)
    with pytest.raises(DataError, match="queries: expected at least one"):
        build_index(vectors(3), QUERIES[:0], directory=tmp_path, kind="annoy")
    with pytest.raises(DataError, match="finite"):
        build_index(vectors(3) * np.float32(np.nan), QUERIES, directory=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="a place that can be written, got File exists"):
        build_index(vectors(3), QUERIES, directory=tmp_path / "file")
