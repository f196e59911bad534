"""faiss: inverted lists, by inner product, for any batch, and mapped from a file."""

import sys
from importlib import metadata
from unittest.mock import Mock

import numpy as np
import pytest

from mindref.errors import BackendError
from mindref.recall import build_index, nearest_items, open_index, registry
from mindref.recall.build import BuildRequest, write_plugin_index
from tests.recall.annoy_trees import vectors
from tests.recall.example_plugins import measure_small_catalogues
from tests.recall.test_build import QUERIES
from tests.runs import python_output

faiss = pytest.importorskip("faiss", reason="faiss is not installed: the extra `faiss`")


def built(folder, kind, items, **more):
    return build_index(items, QUERIES, directory=folder, kind=kind, **more)


@pytest.mark.rules("recall-R34", "recall-R6")
def test_inverted_lists_are_chosen_by_exact_products_in_any_batch(tmp_path):
    items = vectors(3000)
    index = built(tmp_path, "faiss-ivf", items)
    index.effort = 5
    structure, asked = index.structure, vectors(300, seed=2)
    unit = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    order = np.argsort(-(unit.astype(np.float64) @ structure.centres.T), axis=1, kind="stable")
    of_list = {int(i): k for k in range(structure.index.nlist) for i in ids_of(structure, k)}
    together = index.candidates(asked, 20)
    for row, lists in zip(together, order[:, :5].tolist(), strict=True):
        assert {of_list[int(i)] for i in row if i >= 0} <= set(lists)
    for q in (0, 17, 299):
        alone = index.candidates(asked[q : q + 1], 20)
        np.testing.assert_array_equal(alone[0], together[q])


def ids_of(structure, number):
    lists = structure.index.invlists
    return faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number))


SCRIPT = """
import sys, faiss
import numpy as np
from pathlib import Path
from mindref.recall import build_index
faiss.omp_set_num_threads(int(sys.argv[3]))
items = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)
build_index(items, items[:20], directory=sys.argv[1], kind="faiss-ivf", seed=int(sys.argv[2]))
print([path.name for path in Path(sys.argv[1]).glob("*.index")], faiss.omp_get_max_threads())
"""


@pytest.mark.rules("recall-R26")
@pytest.mark.slow
def test_the_inverted_lists_depend_on_the_seed_and_not_on_threads(tmp_path):
    names = []
    for seed, threads in ((3, 1), (3, 2), (4, 1)):
        name, said = python_output(SCRIPT, tmp_path, seed, threads).rsplit(" ", 1)
        assert int(said) == threads, "the setting of others is put back"
        names.append(name)
    assert names[0] == names[1] != names[2]


def test_a_file_of_another_index_is_an_error_with_a_hint(tmp_path):
    """An index file of other items with a valid manifest, as a bug of mindref could write it."""
    items = vectors(300)
    other = built(tmp_path, "faiss-ivf", vectors(299))
    order = BuildRequest(tmp_path, items, QUERIES, interests=1, seed=0)
    write_plugin_index(order, registry.load_plugin("faiss-ivf"), other, {})
    with pytest.raises(BackendError, match=r"IndexIVFFlat of 299 .*; remove the index folder"):
        open_index(tmp_path, items)


def test_the_version_is_that_of_faiss_and_without_it_the_error_names_the_extra(
    tmp_path, monkeypatch
):
    plugin = registry.load_plugin("faiss-ivf")
    missing = Mock(side_effect=metadata.PackageNotFoundError)  # as with conda's
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", missing)
        assert plugin.version() == f"faiss {faiss.__version__}"
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "mindref.recall.faiss", raising=False)
    with pytest.raises(BackendError, match=r"index faiss-ivf: .*pip install 'faiss-cpu>="):
        built(tmp_path, "faiss-ivf", vectors(300))


@pytest.mark.parametrize("count", [1, 3])
def test_few_items_have_few_inverted_lists(tmp_path, count):
    found = nearest_items(built(tmp_path, "faiss-ivf", vectors(count)), QUERIES, 3).ids[0]
    assert sorted(found.tolist())[-count:] == list(range(count))


def test_auto_reports_which_libraries_are_missing(tmp_path, monkeypatch):
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "annoy": 0.4, "faiss-ivf": 0.5})
    index = built(tmp_path, "auto", vectors(300))
    assert index.kind == "faiss-ivf"
    assert index.choice_reason.startswith("exact search 1 users/s; faiss-ivf 2 with ")
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "mindref.recall.faiss", raising=False)
    index = built(tmp_path, "auto", vectors(300))
    assert index.kind == "annoy"
    assert index.choice_reason.endswith("; faiss is not installed (pip install 'faiss-cpu>=1.15')")
