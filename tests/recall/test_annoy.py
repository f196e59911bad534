"""Annoy: lifted items, exact scores, and vectors that are all alike or none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.errors import DataError
from mindref.recall import ExactIndex, annoy
from tests import pages


def vectors(n: int, width: int = 8, seed: int = 0) -> Any:
    """Vectors as factorisation leaves them: a common direction, and popularity in the length."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.standard_normal((n, 1)) / 2)
    return ((rng.standard_normal((n, width)) + 2) * lengths).astype(np.float32)


def index_of(items: Any, search_k: int = 100_000) -> annoy.AnnoyIndex:
    return annoy.AnnoyIndex(annoy.build(items, n_trees=10, seed=1), items, search_k, per=10)


@pytest.mark.rules("recall-R11")
def test_the_worked_example_is_lifted_to_one_length() -> None:
    (page,) = pages.examples("recall")
    lifted = annoy.lifted(np.array(page["items"], np.float64)) * page["longest"]
    np.testing.assert_allclose(lifted[:, :2], page["items"])
    np.testing.assert_allclose(lifted[:, 2] ** 2, page["lifted_squared"], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(lifted, axis=1), page["longest"])


@pytest.mark.rules("recall-R11", "recall-R12")
def test_distance_to_lifted_items_falls_with_the_product() -> None:
    items, queries = vectors(200).astype(np.float64), vectors(5, seed=3).astype(np.float64)
    lifted, scaled = annoy.lifted(items), annoy.unit(queries)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1)
    aimed = np.hstack([scaled, np.zeros((5, 1))])
    squared = ((aimed[:, None] - lifted[None]) ** 2).sum(axis=2)
    longest = np.linalg.norm(items, axis=1).max()
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    np.testing.assert_allclose(squared, 2 - 2 * (queries @ items.T) / (lengths * longest))


@pytest.mark.rules("recall-R12")
def test_the_length_of_a_query_changes_no_list() -> None:
    index = index_of(vectors(500), search_k=50)
    queries = vectors(20, seed=2)
    for factor in (1e-6, 1e6):
        scaled = index.search(queries * np.float32(factor), 10).ids
        np.testing.assert_array_equal(scaled, index.search(queries, 10).ids)


@pytest.mark.rules("recall-R13")
def test_with_every_node_looked_at_annoy_answers_as_exact_search() -> None:
    items, queries = vectors(500), vectors(30, seed=4)
    items[100:120] = items[7]  # ties
    found, truth = index_of(items).search(queries, 40), ExactIndex(items).search(queries, 40)
    np.testing.assert_array_equal(found.ids, truth.ids)
    np.testing.assert_array_equal(found.scores, truth.scores)


@pytest.mark.rules("recall-R13")
def test_a_longer_list_looks_at_more_nodes() -> None:
    items, queries = vectors(3000), vectors(20, seed=5)
    found = index_of(items, search_k=300).search(queries, 400)
    assert (found.ids >= 0).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_a_list_longer_than_the_catalogue_ends_with_nothing() -> None:
    found = index_of(vectors(5)).search(vectors(2, seed=1), 7)
    assert sorted(found.ids[0].tolist()) == [-1, -1, 0, 1, 2, 3, 4]
    assert np.isneginf(found.scores[:, 5:]).all()


@pytest.mark.rules("recall-R14")
def test_zeros_are_answered_by_the_lowest_ids() -> None:
    index = index_of(vectors(300))
    assert index.search(np.zeros((1, 8), np.float32), 4).ids.tolist() == [[0, 1, 2, 3]]
    flat = index_of(np.zeros((300, 8), np.float32), search_k=5)
    assert flat.search(vectors(1), 4).ids.tolist() == [[0, 1, 2, 3]]
    assert flat.search(vectors(1), 4).scores.tolist() == [[0, 0, 0, 0]]


@pytest.mark.rules("recall-R9")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_annoy_never_sees_a_number_that_is_none(bad: float) -> None:
    items = vectors(30)
    index = index_of(items)
    queries = vectors(2)
    queries[1, 3] = bad
    with pytest.raises(DataError, match="annoy: interests: expected finite numbers"):
        index.search(queries, 3)
    damaged = items.copy()
    damaged[4, 0] = bad
    with pytest.raises(DataError, match="annoy: items: expected finite numbers, got NaN"):
        annoy.build(damaged, n_trees=2, seed=0)


def test_lengths_far_from_one_stay_within_float32() -> None:
    for factor in (1e-15, 1e15):
        items = vectors(200) * np.float32(factor)
        truth = ExactIndex(items).search(vectors(9, seed=6), 10)
        np.testing.assert_array_equal(index_of(items).search(vectors(9, seed=6), 10).ids, truth.ids)


SCRIPT = """
import sys
import numpy as np
from pathlib import Path
from mindref.recall import annoy
items = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
print(annoy.save(annoy.build(items, n_trees=5, seed=int(sys.argv[2])), Path(sys.argv[1]))[1])
"""


@pytest.mark.rules("recall-R26")
def test_the_seed_decides_the_trees(tmp_path: Path) -> None:
    def trees(seed: int) -> str:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(seed)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert trees(3) == trees(3) != trees(4)


def test_saved_trees_are_named_after_their_bytes_and_answer_alike(tmp_path: Path) -> None:
    items = vectors(300)
    index = index_of(items, search_k=60)
    path, sha = annoy.save(index.trees, tmp_path)
    assert path == tmp_path / f"annoy-{sha[:12]}.ann"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    loaded = annoy.AnnoyIndex(annoy.load(path, 8), items, 60, per=10)
    queries = vectors(9, seed=7)
    np.testing.assert_array_equal(loaded.search(queries, 9).ids, index.search(queries, 9).ids)


@pytest.mark.rules("recall-R24")
def test_the_self_test_tells_a_sound_annoy_from_a_broken_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    annoy.failure.cache_clear()
    assert annoy.failure() is None
    for script, reason in (
        ("import nonexistent_annoy", "No module named 'nonexistent_annoy'"),
        ("import os; os.abort()", "exit code -6"),
        (annoy.SELF_TEST.replace("i + 1]", "i + 2]"), "wrong neighbours"),
    ):
        monkeypatch.setattr(annoy, "SELF_TEST", script)
        annoy.failure.cache_clear()
        assert reason in str(annoy.failure())
    annoy.failure.cache_clear()
