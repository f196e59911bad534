"""Annoy: the extra coordinate, exact scores, equal or zero vectors, and broken builds."""

import json
import os
from unittest.mock import Mock

import numpy as np
import pytest

from mindref.errors import BackendError, DataError, RunError
from mindref.recall import ExactIndex, build_index, nearest_items, open_index
from mindref.recall.index import scale_by_longest
from tests import spec_pages
from tests.list_requests import recalled
from tests.recall.annoy_trees import annoy_module, index_of, vectors
from tests.runs import HISTORIES, REPOSITORY, call, python_output, train_small_run

annoy = annoy_module()


@pytest.mark.rules("recall-R11", "recall-R30")
def test_the_worked_example_gets_the_extra_coordinate():
    (page,) = spec_pages.examples("recall")
    scaled = scale_by_longest(np.array(page["items"], np.float64))
    lifted = annoy.add_coordinate(scaled) * page["longest"]
    np.testing.assert_allclose(lifted[:, :2], page["items"])
    np.testing.assert_allclose(lifted[:, 2] ** 2, page["lifted_squared"], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(lifted, axis=1), page["longest"])


@pytest.mark.rules("recall-R12")
def test_queries_have_a_last_coordinate_of_zero():
    sizes = {"get_n_trees.return_value": 1, "get_n_items.return_value": 9}
    trees = Mock(**sizes, **{"get_nns_by_vector.return_value": [3]})
    found = annoy.AnnoyTrees(trees).candidates(np.array([[0.6, 0.8]]), 75, 100)
    trees.get_nns_by_vector.assert_called_once_with([0.6, 0.8, 0.0], 75, 150)
    assert found.shape == (1, 75)
    assert found[0, :2].tolist() == [3, -1]


@pytest.mark.rules("recall-R12")
def test_the_norm_of_a_query_has_no_influence():
    index = index_of(vectors(500), effort=50)
    queries = vectors(20, seed=2)
    for factor in (1e-6, 1e6):
        scaled = nearest_items(index, queries * np.float32(factor), 10).ids
        np.testing.assert_array_equal(scaled, nearest_items(index, queries, 10).ids)


@pytest.mark.rules("recall-R13")
@pytest.mark.parametrize("factor", [1, 1e-15, 1e15])
def test_annoy_equals_exact_search_if_all_nodes_are_visited(factor):
    """With any norms within float32."""
    items, queries = vectors(500) * np.float32(factor), vectors(30, seed=4)
    items[100:120] = items[7]  # ties
    found, truth = (nearest_items(x, queries, 40) for x in (index_of(items), ExactIndex(items)))
    np.testing.assert_equal(found, truth)


@pytest.mark.rules("recall-R13")
def test_a_longer_list_visits_more_nodes_and_ends_with_padding():
    items, queries = vectors(3000), vectors(20, seed=5)
    found = nearest_items(index_of(items, effort=1500), queries, 400)
    assert (found.ids >= 0).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()
    found = nearest_items(index_of(vectors(5)), vectors(2, seed=1), 7)
    assert sorted(found.ids[0].tolist()) == [-1, -1, 0, 1, 2, 3, 4]
    assert np.isneginf(found.scores[:, 5:]).all()


@pytest.mark.rules("recall-R14")
def test_a_zero_query_gives_the_lowest_ids():
    index = index_of(vectors(300))
    assert nearest_items(index, np.zeros((1, 8), np.float32), 4).ids.tolist() == [[0, 1, 2, 3]]
    flat = index_of(np.zeros((300, 8), np.float32), effort=5)
    assert nearest_items(flat, vectors(1), 4).ids.tolist() == [[0, 1, 2, 3]]
    assert nearest_items(flat, vectors(1), 4).scores.tolist() == [[0, 0, 0, 0]]


@pytest.mark.rules("recall-R9")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_annoy_never_gets_nan_or_infinity(bad):
    index, queries = index_of(vectors(30)), vectors(2)
    queries[1, 3] = bad
    with pytest.raises(DataError, match="annoy: interests: expected finite numbers"):
        nearest_items(index, queries, 3)


SCRIPT = """
import sys
import numpy as np
from pathlib import Path
from mindref.recall import build_index
items = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
build_index(items, items[:20], directory=sys.argv[1], kind="annoy", seed=int(sys.argv[2]))
print([path.name for path in Path(sys.argv[1]).glob("*.index")])
"""


@pytest.mark.rules("recall-R26")
@pytest.mark.slow
def test_the_trees_depend_on_the_seed(tmp_path):
    first, again, other = (python_output(SCRIPT, tmp_path, seed) for seed in (3, 3, 4))
    assert first == again != other


def test_a_file_of_other_items_is_refused(tmp_path):
    index_of(vectors(300)).structure.save(tmp_path / "trees")
    with pytest.raises(ValueError, match="300 items, not 299"):
        annoy.Annoy().load(tmp_path / "trees", 8, 299)


@pytest.mark.rules("recall-R24")
def test_the_self_test_recognises_a_broken_annoy(monkeypatch):
    annoy.self_test_failure.cache_clear()
    assert annoy.self_test_failure() is None
    for script, reason in (
        ("import nonexistent_annoy", "No module named 'nonexistent_annoy'"),
        ("import os; os.abort()", "exit code -6"),
        (annoy.SELF_TEST.replace("i + 1]", "i + 2]"), "wrong neighbours"),
    ):
        monkeypatch.setattr(annoy, "SELF_TEST", script)
        annoy.self_test_failure.cache_clear()
        assert reason in str(annoy.self_test_failure())
    annoy.self_test_failure.cache_clear()


@pytest.mark.rules("recall-R53")
@pytest.mark.parametrize(
    ("names", "version"),
    [
        (["annoy"], "annoy 1.17.3"),
        (["annoy-mm", "annoy", "annoy"], "annoy 1.17.3, annoy-mm 1.17.3"),
        ([], "annoy of unknown version"),
    ],
)
def test_the_version_names_the_distributions_of_the_module(names, version, monkeypatch):
    monkeypatch.setattr(annoy.metadata, "packages_distributions", lambda: {"annoy": names})
    monkeypatch.setattr(annoy.metadata, "version", lambda _: "1.17.3")
    annoy.distribution_version.cache_clear()
    assert annoy.Annoy().version() == version
    annoy.distribution_version.cache_clear()


@pytest.mark.rules("recall-R53")
def test_an_index_of_another_distribution_is_not_opened(tmp_path, monkeypatch):
    items, queries = vectors(300), vectors(20, seed=1)
    build_index(items, queries, directory=tmp_path, kind="annoy")
    monkeypatch.setattr(annoy.Annoy, "load", lambda *_: pytest.fail("opened"))
    other = "annoy" if "annoy-mm" in annoy.distribution_version() else "annoy-mm"
    monkeypatch.setattr(annoy, "distribution_version", lambda: f"{other} 1.17.3")
    with pytest.raises(RunError, match=rf"version: expected '?{other} 1\.17\.3"):
        open_index(tmp_path, items)


def test_a_file_that_cannot_be_mapped_is_an_error_and_no_crash(tmp_path, monkeypatch):
    items = vectors(300)
    build_index(items, vectors(50, seed=1), directory=tmp_path, kind="annoy")
    unmapped = {"mmap.side_effect": OSError(12, "Cannot allocate memory")}
    monkeypatch.setattr(annoy, "mmap", Mock(**unmapped))
    with pytest.raises(BackendError, match="Cannot allocate memory"):
        open_index(tmp_path, items)


MODULE = """
import os
class AnnoyIndex:
    def __init__(self, width, metric): self.count = 0
    def set_seed(self, seed): pass
    def add_item(self, i, vector): self.count = i + 1
    def build(self, trees, jobs=1): pass
    def load(self, path): raise SystemExit("a garbage build must not load " + path)
    def get_nns_by_item(self, i, n, nodes=-1): {answer}
"""


@pytest.mark.rules("recall-R24")
@pytest.mark.parametrize("answer", ["return [0]", "os.abort()"])
@pytest.mark.slow
def test_a_broken_build_is_detected_at_first_use(answer, tmp_path):
    """The index was made by a correct build, such as that of another machine."""
    run = train_small_run(tmp_path / "run")
    recalled(run, history=HISTORIES[0], index="annoy")
    before = {x.name: x.read_bytes() for x in run.glob("index/*")}
    (tmp_path / "annoy.py").write_text(MODULE.format(answer=answer))
    words = ("recall", run, "--history", ",".join(HISTORIES[0]), "--index", "annoy", "--json")
    path = os.pathsep.join(map(str, (tmp_path, REPOSITORY)))
    done = call(*words, cwd=run, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    (expected,) = recalled(run, history=HISTORIES[0], index="exact")
    (found,) = json.loads(done.stdout)
    assert [x["item"] for x in found["items"]] == [x.item for x in expected.items]
    (line,) = done.stderr.splitlines()
    assert line.startswith("annoy does not work here: its self-test failed (")
    assert line.endswith("); exact search is used")
    assert {x.name: x.read_bytes() for x in run.glob("index/*")} == before, "the index stays"
