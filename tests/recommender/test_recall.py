"""Recall from a run directory: requests, and the index of the run, which processes share."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import numpy as np
import pytest

import mindref
from mindref.errors import BackendError, DataError, RunError
from mindref.recall import build_index, run_index
from mindref.recall.lists import UserList
from mindref.recommender.serving import recall as bulk
from mindref.recommender.serving import top_n_lists
from mindref.recommender.training.trainer import resume_run
from mindref.run import lock
from tests.list_requests import recalled
from tests.recall.annoy_trees import needs_annoy
from tests.recall.example_plugins import install, measure_small_catalogues
from tests.runs import loaded, stop_after, trainer, write_shop

LOG = loaded().log
ITEMS = list(LOG.item_ids)
HISTORY = ITEMS[3:12]


def answers(run, **asked):
    return list(recalled(run, **asked))


def manifest(run):
    return json.loads((run / "index" / "manifest.json").read_text())


@pytest.fixture
def run(profiled_copy):
    return profiled_copy


def test_a_list_has_its_history_and_unknown_items(run):
    (answer,) = answers(run, history=[*HISTORY, "unheard of"], n=3)
    assert (answer.user, answer.length, answer.unknown) == ("", len(HISTORY), ["unheard of"])
    assert answer.interests == 3, "nine behaviours have floor(log2 9) interests"
    assert answer.recent == [LOG.titles[i] for i in range(7, 12)]


@pytest.fixture
def built(monkeypatch):
    """The kinds of the indexes that are built from now on."""
    kinds, build = [], run_index.build_index
    monkeypatch.setattr(
        run_index, "build_index", lambda *x, **y: kinds.append(y["kind"]) or build(*x, **y)
    )
    return kinds


@needs_annoy
def test_the_index_is_built_on_first_use_and_again_for_another_kind(run, built):
    assert not (run / "index").exists()
    first = answers(run, history=HISTORY)
    assert manifest(run)["kind"] == "exact"
    assert answers(run, history=HISTORY) == first
    assert built == ["auto"]
    for kind in ("annoy", "annoy"):
        answers(run, history=HISTORY, index=kind)
        assert manifest(run)["kind"] == kind
    assert built == ["auto", "annoy"]


@needs_annoy
@pytest.mark.parametrize("name", ["manifest.json", "*.index"])
@pytest.mark.parametrize("data", [b"", b"garbage", None])
@pytest.mark.slow(every=5)
def test_a_damaged_index_is_built_again(run, built, name, data):
    expected = answers(run, history=HISTORY, index="annoy")
    (path,) = (run / "index").glob(name)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    assert answers(run, history=HISTORY, index="annoy") == expected
    assert answers(run, history=HISTORY, index="annoy") == expected
    assert built == ["annoy", "annoy"]


def test_an_index_of_an_older_model_is_built_again(tmp_path, built):
    run = tmp_path / "run"
    trainer(run, learning_rate=0.1).train(stop_after(3))
    answers(run, history=HISTORY)
    before = manifest(run)["items_sha256"]
    again = resume_run(run)
    again.validate = lambda params: 1.0  # a better validation than any before
    again.train()
    (answer,) = answers(run, history=HISTORY)
    assert built == ["auto", "auto"]
    assert manifest(run)["items_sha256"] != before
    assert answer.items == mindref.load(run).recommend(HISTORY, 20)


@needs_annoy
def test_auto_keeps_a_measured_choice(run, built, monkeypatch):
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "annoy": 0.5, "faiss-ivf": 0.5}, 1.0)
    answers(run, history=HISTORY, index="annoy")
    answers(run, history=HISTORY)  # that one was asked for, not measured
    assert manifest(run)["figures"] is not None
    answers(run, history=HISTORY)
    assert built == ["annoy", "auto"]


def test_a_run_that_cannot_be_written_is_searched_all_the_same(run):
    (run / "index").write_text("a file stands where the folder would")
    found = recalled(run, history=HISTORY, n=5)
    assert [x.items for x in found] == [mindref.load(run).recommend(HISTORY, 5)]
    (warning,) = found.warnings
    assert "No index is kept" in warning


def test_probes_are_the_same_every_time(run):
    one, other = (bulk.probe_interests(mindref.load(run).served) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert len(one) == 256 * 3, "a window of ten has three interests"


@pytest.mark.rules("recall-R35")
def test_users_are_computed_in_blocks_from_the_first_user(run_of, monkeypatch):
    per_call = run_of(logits="per_call", sigma=5.0)
    monkeypatch.setattr(bulk, "USERS_PER_BLOCK", 7)
    expected = list(recalled(per_call, index="exact"))
    compute = Mock(wraps=top_n_lists.compute_interests)
    monkeypatch.setattr(top_n_lists, "compute_interests", compute)
    assert list(recalled(per_call, index="exact")) == expected
    assert [len(call.args[1]) for call in compute.mock_calls] == [7] * 8 + [4]
    first = recalled(per_call, index="exact", users=[x.user for x in expected[:14]])
    assert list(first) == expected[:14]


def test_a_log_that_has_moved_can_be_named(tmp_path):
    write_shop(tmp_path)
    log, run = tmp_path / "shop.inter", tmp_path / "run"
    mindref.MIND(steps=2, metric="hit_rate@5").fit(log, run=run)
    expected = answers(run, users=["customer-0001"])
    moved = log.rename(tmp_path / "moved.inter")
    with pytest.raises(DataError, match="nothing there"):
        answers(run, users=["customer-0001"])
    assert answers(run, users=["customer-0001"], data=moved) == expected
    assert isinstance(expected[0], UserList)
    (run / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"model.safetensors: expected a trained model, got none"):
        answers(run, users=["customer-0001"])


def test_users_of_another_log_are_answered_in_the_ids_of_the_run(run, tmp_path):
    """Its items come in another order, and one of them is unknown to the run."""
    other = tmp_path / "other.csv"
    items = [*HISTORY[::-1], "unknown"]
    rows = [f"{user},{item},{time}" for user in "ab" for time, item in enumerate(items)]
    other.write_text("user,item,time\n" + "\n".join(rows) + "\n")
    # the file has no ages, so that the users' profiles are unknown, as that of a history is
    found = recalled(run, users=["b"], data=other, n=7)
    assert next(iter(found)).items == answers(run, history=HISTORY[::-1], n=7)[0].items
    strange, lost = found.warnings
    assert "other.csv is not the log that the run was trained on, or changed" in strange
    assert lost == "1 of 10 behaviours are of items that the run does not know, and are left out"
    other.write_text("user,item,time\na,never,1\na,heard,2\nb,of,3\n")
    for users in (["a"], None):
        with pytest.raises(DataError, match="--data: expected users of items that the run knows"):
            recalled(run, users=users, data=other)


@needs_annoy
def test_warnings_name_unknown_items_and_approximate_search(run):
    assert recalled(run).warnings == []
    assert recalled(run, history=HISTORY).warnings == []
    found = recalled(run, history=[*HISTORY, *"abcdef"])
    text = "--history: 6 of 15 behaviours have items that are not in the catalogue or untrained"
    assert found.warnings == [f"{text}: 'a', 'b', 'c', 'd', 'e' ..."]
    found = recalled(run, history=HISTORY, index="annoy")
    share = manifest(run)["probed_recall"]
    assert found.index.recall == share
    assert found.warnings == [
        f"approximate search by annoy: it finds {share:.1%} of the true neighbours;"
        " --index exact is exact"
    ]
    assert recalled(run, history=HISTORY, index="exact").warnings == []


ANNOY, FAISS = "mindref.recall.annoy:Annoy", "mindref.recall.faiss:Ivf"


@needs_annoy
def test_exact_search_needs_no_index_and_keeps_an_existing_one(run, built):
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


@needs_annoy
@pytest.mark.parametrize("gone", ["faiss", "kind"])
def test_an_index_of_a_kind_that_is_not_installed_is_not_replaced(run, built, monkeypatch, gone):
    """Another machine that shares the folder may have it."""
    install(monkeypatch, **{"faiss-ivf": FAISS, "annoy": ANNOY})
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "annoy": 0.9, "faiss-ivf": 0.5}, 1.0)
    answers(run, history=HISTORY)
    before = (run / "index" / "manifest.json").read_bytes()
    assert manifest(run)["kind"] == "faiss-ivf"
    built.clear()
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
def test_auto_measures_again_after_an_installation(run, built, monkeypatch):
    install(monkeypatch, annoy=ANNOY)
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "annoy": 2.0, "faiss-ivf": 0.5}, 1.0)

    def kind():
        return recalled(run, history=HISTORY).index.kind

    assert (kind(), kind(), len(built)) == ("exact", "exact", 1)
    install(monkeypatch, **{"faiss-ivf": FAISS, "annoy": ANNOY})
    assert (kind(), kind(), len(built)) == ("faiss-ivf", "faiss-ivf", 2)
    assert list(manifest(run)["tried_versions"]) == ["faiss-ivf"]
    monkeypatch.setattr("mindref.recall.annoy.Annoy.version", lambda _: "annoy 9")
    assert (kind(), len(built)) == ("faiss-ivf", 2), "it comes after what was taken"
    measure_small_catalogues(monkeypatch, {"exact": 1.0, "annoy": 2.0, "faiss-ivf": 3.0}, 1.0)
    monkeypatch.setattr("mindref.recall.faiss.Ivf.version", lambda _: "faiss 9")
    assert (kind(), len(built)) == ("exact", 3)
    monkeypatch.setattr("mindref.recall.annoy.Annoy.version", lambda _: "annoy 10")
    assert (kind(), len(built)) == ("exact", 4)
    install(monkeypatch)
    assert (kind(), len(built)) == ("exact", 4), "a machine with less looks no further"


def test_other_processes_wait_for_the_building_process(run, built):
    pytest.importorskip("fcntl")
    served, folder = mindref.load(run).served, run / "index"
    folder.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with lock.lock_inside(folder):  # as the building process does
            other = pool.submit(bulk.open_run_index, served, "auto", run, [])
            with pytest.raises(TimeoutError):
                other.result(0.5)
            build_index(served.item_vectors, np.zeros((0, 8), np.float32), directory=folder)
        assert other.result(60).kind == "exact"
    assert built == []
