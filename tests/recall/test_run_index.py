"""The index of a run: reused while it is valid, shared with other machines and processes."""

import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mindref
from mindref.errors import BackendError
from mindref.recall import build, run_index
from mindref.recall.probe import ProbedRecall
from mindref.recommender.serving import recall as bulk
from mindref.recommender.sharding import index_facts
from tests.list_requests import recalled
from tests.recall.annoy_trees import needs_annoy
from tests.recall.example_plugins import install
from tests.recommender.test_bulk import HISTORY, answers, counted, manifest
from tests.runs import trained

ANNOY, FAISS = "mindref.recall.annoy:Annoy", "mindref.recall.faiss:Ivf"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "run"))


@needs_annoy
def test_exact_search_needs_no_index_and_keeps_an_existing_one(run, monkeypatch):
    built = counted(monkeypatch)
    first = answers(run, history=HISTORY, index="exact")
    assert not (run / "index").exists()
    answers(run, history=HISTORY, index="annoy")
    before = {path.name: path.stat().st_mtime_ns for path in (run / "index").iterdir()}
    assert answers(run, history=HISTORY, index="exact") == first
    assert {path.name: path.stat().st_mtime_ns for path in (run / "index").iterdir()} == before
    assert built == ["annoy"]


@needs_annoy
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("Error in write_index")]
)
def test_a_full_disk_leaves_no_partial_index_and_gives_exact_search(run, monkeypatch, error):
    def save(trees, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("mindref.recall.annoy.AnnoyTrees.save", save)
    found = recalled(run, history=HISTORY, n=5, index="annoy")
    assert found.index.kind == "exact"
    (warning,) = found.warnings
    assert str(error) in warning
    assert "the space left. No index is kept, and search is exact" in warning
    assert [path.name for path in (run / "index").iterdir() if path.name != ".lock"] == []


def measured(monkeypatch, **took):
    """Measure small catalogues, with these seconds per user and 1 s for exact search."""
    monkeypatch.setattr(build, "MIN_MEASURED_ITEMS", 50)
    for module in (bulk, run_index):
        monkeypatch.setattr(module, "MIN_MEASURED_ITEMS", 50)
    monkeypatch.setattr(build, "probe_recall", lambda *_: ProbedRecall(77, 1.0))
    monkeypatch.setattr(
        build, "seconds_per_user", lambda index, _: {"exact": 1.0, **took}[index.kind]
    )


@needs_annoy
@pytest.mark.parametrize("gone", ["faiss", "entry point"])
def test_an_index_of_a_kind_that_is_not_installed_is_not_replaced(run, monkeypatch, gone):
    """Another machine that shares the folder may have it."""
    install(monkeypatch, **{"faiss-ivf": FAISS, "annoy": ANNOY})
    measured(monkeypatch, annoy=0.9, **{"faiss-ivf": 0.5})
    answers(run, history=HISTORY)
    before = (run / "index" / "manifest.json").read_bytes()
    assert manifest(run)["kind"] == "faiss-ivf"
    built = counted(monkeypatch)
    if gone == "faiss":
        monkeypatch.setitem(sys.modules, "faiss", None)
        monkeypatch.delitem(sys.modules, "mindref.recall.faiss", raising=False)
    else:
        install(monkeypatch, annoy=ANNOY)
    hint = r"index by faiss-ivf .*; pip install 'faiss-cpu>=[\d.]+', or search with --index exact"
    with pytest.raises(BackendError, match=hint):
        answers(run, history=HISTORY)
    assert (run / "index" / "manifest.json").read_bytes() == before
    assert recalled(run, history=HISTORY, index="exact").index.kind == "exact"
    assert built == []
    answers(run, history=HISTORY, index="annoy")
    assert built == ["annoy"], "what is asked for by name is built"


@needs_annoy
def test_auto_measures_again_after_an_installation(run, monkeypatch):
    install(monkeypatch, annoy=ANNOY)
    measured(monkeypatch, annoy=2.0, **{"faiss-ivf": 0.5})
    built = counted(monkeypatch)

    def kind():
        return recalled(run, history=HISTORY).index.kind

    assert (kind(), kind(), len(built)) == ("exact", "exact", 1)
    install(monkeypatch, **{"faiss-ivf": FAISS, "annoy": ANNOY})
    assert (kind(), kind(), len(built)) == ("faiss-ivf", "faiss-ivf", 2)
    assert list(manifest(run)["tried_versions"]) == ["faiss-ivf"]
    monkeypatch.setattr("mindref.recall.annoy.Annoy.version", lambda _: "annoy 9")
    assert (kind(), len(built)) == ("faiss-ivf", 2), "it comes after what was taken"
    measured(monkeypatch, annoy=2.0, **{"faiss-ivf": 3.0})
    monkeypatch.setattr("mindref.recall.faiss.FaissPlugin.version", lambda _: "faiss 9")
    assert (kind(), len(built)) == ("exact", 3)
    monkeypatch.setattr("mindref.recall.annoy.Annoy.version", lambda _: "annoy 10")
    assert (kind(), len(built)) == ("exact", 4)
    install(monkeypatch)
    assert (kind(), len(built)) == ("exact", 4), "a machine with less looks no further"


def test_other_processes_wait_for_the_building_process(run, monkeypatch):
    pytest.importorskip("fcntl")
    served = mindref.load(run).served
    both_found_none, let_in = threading.Barrier(2), threading.Event()
    seen, inside, built = threading.local(), list[int](), counted(monkeypatch)
    fitting, build_it = run_index.matching_index, run_index.build_index

    def looking(*given):
        found = fitting(*given)
        if not hasattr(seen, "once"):
            seen.once = True
            both_found_none.wait(60)
        else:
            inside.append(1)
            if len(inside) == 2:
                let_in.set()
        return found

    def building(*given, **options):
        let_in.wait(0.5)  # which a second one would use to begin as well
        return build_it(*given, **options)

    monkeypatch.setattr(run_index, "matching_index", looking)
    monkeypatch.setattr(run_index, "build_index", building)
    with ThreadPoolExecutor(2) as pool:
        given = (served, run / "index", "auto")
        kinds = [pool.submit(bulk.open_run_index, *given) for _ in range(2)]
        assert [future.result(60).kind for future in kinds] == ["exact", "exact"]
    assert built == ["auto"]


@needs_annoy
def test_a_shard_names_its_index(run):
    found = recalled(run, history=HISTORY, index="annoy")
    sha256 = manifest(run)["file_sha256"]
    (run / "index" / "manifest.json").unlink()  # another process replaces it, say
    assert index_facts(found.index)["sha256"] == sha256
