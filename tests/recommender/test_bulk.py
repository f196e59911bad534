"""Recall from a run directory: who is asked for, and the index that is kept there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from mindref.errors import DataError, RunError
from mindref.recall import build, run_index
from mindref.recall.lists import UserList
from mindref.recommender.serving import recall as bulk
from mindref.recommender.training.trainer import resume_run
from tests.list_requests import recalled
from tests.recall.annoy_trees import needs_annoy
from tests.runs import loaded, stop_after, trained, trainer

LOG = loaded().log
ITEMS = list(LOG.item_ids)
HISTORY = ITEMS[3:12]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run", hidden=[32], user_features=("age",))


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "run"))


def answers(run, **asked):
    return list(recalled(run, **asked))


def manifest(run):
    return json.loads((run / "index" / "manifest.json").read_text())


def test_recall_agrees_with_the_python_interface(run):
    model = mindref.load(run)
    (answer,) = answers(run, users=["customer-0003"], n=9)
    assert answer.items == model.recommend(user="customer-0003", n=9)
    (answer,) = answers(run, history=HISTORY, n=9, exclude_seen=False)
    assert answer.items == model.recommend(HISTORY, n=9, exclude_seen=False)


def test_all_users_are_answered_in_the_order_of_the_log(run, monkeypatch):
    monkeypatch.setattr(bulk, "USERS_PER_BLOCK", 7)  # 60 users in nine blocks
    found = answers(run, n=5)
    assert [answer.user for answer in found] == list(LOG.user_ids)
    model = mindref.load(run)
    for answer in found[::13]:
        alone = model.recommend(user=answer.user, n=5)
        assert [x.item for x in answer.items] == [x.item for x in alone]


def test_a_list_has_its_history_and_unknown_items(run):
    (answer,) = answers(run, history=[*HISTORY, "unheard of"], n=3)
    assert (answer.user, answer.length, answer.unknown) == ("", len(HISTORY), ["unheard of"])
    assert answer.interests == 3, "nine behaviours have floor(log2 9) interests"
    assert answer.recent == [LOG.titles[i] for i in range(7, 12)]


def test_an_empty_history_is_answered_and_unknown_items_and_users_are_refused(run):
    (answer,) = answers(run, history=[], n=4)
    assert (answer.length, answer.interests, len(answer.items)) == (0, 1, 4)
    with pytest.raises(DataError, match=r"--history: expected the id .*, got 'a', 'b'"):
        answers(run, history=["a", "b"])
    with pytest.raises(DataError, match=r"--user: expected one of the 60 users .*, got 'who'"):
        answers(run, users=["who"])
    (answer,) = answers(run, history=HISTORY, n=100_000)
    servable = len(mindref.load(run).served.dense)
    assert len(answer.items) == servable - len(HISTORY) < len(ITEMS) - len(HISTORY)


def counted(monkeypatch):
    """Return the kinds of the indexes that are built from now on."""
    kinds, original = [], run_index.build_index

    def building(*arguments, **options):
        kinds.append(options["kind"])
        return original(*arguments, **options)

    monkeypatch.setattr(run_index, "build_index", building)
    return kinds


@pytest.fixture
def built(monkeypatch):
    return counted(monkeypatch)


@needs_annoy
def test_the_index_is_built_on_first_use_and_again_for_another_kind(run, built):
    assert not (run / "index").exists()
    first = answers(run, history=HISTORY)
    assert manifest(run)["kind"] == "exact"
    assert answers(run, history=HISTORY) == first
    assert built == ["auto"]
    for kind in ("annoy", "annoy", "faiss-flat"):
        answers(run, history=HISTORY, index=kind)
        assert manifest(run)["kind"] == kind
    assert built == ["auto", "annoy", "faiss-flat"]


@needs_annoy
@pytest.mark.parametrize("name", ["manifest.json", "*.index"])
@pytest.mark.parametrize("data", [b"", b"garbage", None])
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
def test_annoy_equals_exact_search_on_a_small_catalogue(run):
    exact, approximate = (answers(run, n=10, index=kind) for kind in ("exact", "annoy"))
    assert len(exact) == len(approximate) == 60
    for one, other in zip(exact, approximate, strict=True):
        assert [x.item for x in other.items] == [x.item for x in one.items], one.user
        assert [x.interest for x in other.items] == [x.interest for x in one.items]
        scores = [[x.score for x in answer.items] for answer in (one, other)]
        np.testing.assert_allclose(*scores, rtol=1e-5)


@needs_annoy
def test_auto_keeps_a_measured_choice(run, built, monkeypatch):
    monkeypatch.setattr(build, "MIN_MEASURED_ITEMS", 50)
    for module in (bulk, run_index):
        monkeypatch.setattr(module, "MIN_MEASURED_ITEMS", 50)
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


def test_a_log_that_has_moved_can_be_named(tmp_path):
    write_synthetic_log(make_synthetic_log(users=60, items=120), tmp_path)
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
