"""A trained model answers for any history, at once and always alike."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref import MIND
from mindref.errors import ConfigError, DataError, MindrefError
from mindref.recommender import Recommendation
from tests.runs import REPOSITORY, SMALL, environment, loaded, trained

LOG = loaded().log
ITEMS = list(LOG.item_ids)
HISTORY = ITEMS[3:12]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {"steps": 20, "evaluate_every": 10, "hidden": [32], "user_features": ("age",)}
    return trained(tmp_path_factory.mktemp("runs") / "run", **changes)


@pytest.fixture
def model(run: Path) -> MIND:
    return mindref.load(run)


def ids(found: list[Recommendation]) -> list[str]:
    return [x.item for x in found]


def test_a_history_gets_its_best_items_in_order(model):
    found = model.recommend(HISTORY, n=7)
    assert len(found) == len(set(ids(found))) == 7
    assert [x.score for x in found] == sorted((x.score for x in found), reverse=True)
    assert not set(ids(found)) & set(HISTORY)
    place = {name: i for i, name in enumerate(ITEMS)}
    for x in found:
        assert x.title == LOG.titles[place[x.item]]  # the log has titles
        assert 0 <= x.interest < 4


def test_the_score_is_the_largest_product_over_the_interests(model):
    vectors, active = model.interests([HISTORY])[:2]
    items = model.served.item_vectors
    scores = np.where(active[0][:, None], vectors[0] @ items.T, -np.inf)
    best = scores.max(axis=0)
    best[[ITEMS.index(item) for item in HISTORY]] = -np.inf
    order = np.argsort(-best)[:5]
    found = model.recommend(HISTORY, n=5)
    assert ids(found) == [ITEMS[i] for i in order]
    np.testing.assert_allclose([x.score for x in found], best[order], rtol=1e-5)
    assert [x.interest for x in found] == scores[:, order].argmax(axis=0).tolist()


def test_what_was_seen_is_left_out_or_not(model):
    both = ids(model.recommend(HISTORY, n=200, exclude_seen=False))
    assert sorted(both) == sorted(ITEMS), "a list longer than the catalogue is the catalogue"
    unseen = ids(model.recommend(HISTORY, n=200))
    assert unseen == [item for item in both if item not in HISTORY]


def test_a_user_of_the_log_is_a_history_with_a_profile(run, model):
    user = "customer-0002"
    row = LOG.interactions.row(list(LOG.user_ids).index(user))
    seen = [ITEMS[i] for i in row]
    found = ids(model.recommend(user=user, n=200))
    assert sorted(found) == sorted(set(ITEMS) - set(seen))
    by_history = model.recommend(seen, n=5)
    assert model.recommend(user=user, n=5) != by_history, "the profile speaks, too"
    plain = mindref.load(trained(run.parent / "plain"))
    assert plain.recommend(user=user, n=5) == plain.recommend(seen, n=5)


def test_unknown_items_are_left_out(model):
    mixed = ["nobody knows", *HISTORY[:4], "", *HISTORY[4:]]
    with pytest.raises(DataError, match="history: expected an id, got an empty text"):
        model.recommend(mixed)
    mixed.remove("")
    assert model.recommend(mixed) == model.recommend(HISTORY)
    with pytest.raises(DataError, match="history: expected an item of the catalogue, got nobody"):
        model.recommend(["nobody knows"])


def test_an_empty_history_has_the_one_interest_of_its_profile(model):
    found = model.recommend([], n=5)
    assert len(found) == 5
    assert {x.interest for x in found} == {0}
    assert model.interests([[]]).active.tolist() == [[True, False, False, False]]


def test_no_histories_have_no_interests(model):
    assert model.interests([]).vectors.shape == (0, 4, 8)


def test_new_behaviours_change_the_interests_at_once(model):
    before, after = (model.interests([h]).vectors for h in (HISTORY, [*HISTORY, ITEMS[40]]))
    assert not np.allclose(before, after)
    assert model.recommend(HISTORY) != model.recommend([*HISTORY, ITEMS[40]])


def test_the_same_history_has_the_same_interests_in_any_batch(model):
    alone = model.interests([HISTORY])
    others = [ITEMS[k : k + 1 + k % 13] for k in range(40)]
    for place in (0, 17, 40):
        batch = model.interests([*others[:place], HISTORY, *others[place:]])
        np.testing.assert_array_equal(batch.active[place], alone.active[0])
        for name in ("vectors", "couplings"):
            got, expected = getattr(batch, name)[place], getattr(alone, name)[0]
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_the_same_history_has_the_same_interests_in_any_process(run, model):
    script = (
        "import sys, mindref\n"
        "model = mindref.load(sys.argv[1])\n"
        "print(model.interests([sys.argv[2].split()]).vectors.tobytes().hex())\n"
    )
    command = [sys.executable, "-c", script, str(run), " ".join(HISTORY)]
    said = {
        subprocess.run(
            command, env=environment(PYTHONHASHSEED=seed), capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    vectors = np.frombuffer(bytes.fromhex(said.pop().decode()), np.float32)
    own = model.interests([HISTORY]).vectors.ravel()
    np.testing.assert_allclose(vectors, own, rtol=1e-4, atol=1e-6)


def test_histories_may_be_any_iterable_of_sequences(model):
    expected = model.interests([HISTORY, HISTORY[:2]]).vectors
    given = (tuple(h) for h in (HISTORY, HISTORY[:2]))
    np.testing.assert_array_equal(model.interests(given).vectors, expected)
    array = np.array(HISTORY)
    np.testing.assert_array_equal(model.interests([array, array[:2]]).vectors, expected)


def test_similar_items_are_those_of_the_largest_cosine(model):
    found = model.similar_items(ITEMS[5], n=200)
    assert sorted(ids(found)) == sorted(item for item in ITEMS if item != ITEMS[5])
    units = model.served.item_vectors / np.linalg.norm(
        model.served.item_vectors, axis=1, keepdims=True
    )
    cosines = units @ units[5]
    expected = [cosines[ITEMS.index(x.item)] for x in found]
    np.testing.assert_allclose([x.score for x in found], expected, atol=1e-6)
    assert expected == sorted(expected, reverse=True)


def test_before_fit_there_is_nobody_to_ask():
    model = MIND(**SMALL)
    for ask in (
        lambda: model.recommend(HISTORY),
        lambda: model.interests([HISTORY]),
        lambda: model.similar_items(ITEMS[0]),
    ):
        with pytest.raises(MindrefError, match=r"MIND: expected a trained model, got none; call"):
            ask()


def test_a_question_that_cannot_be_answered_is_an_error(model):
    with pytest.raises(ConfigError, match="expected a history or a user, got both or neither"):
        model.recommend()
    with pytest.raises(ConfigError, match="expected a history or a user, got both or neither"):
        model.recommend(HISTORY, user="customer-0001")
    with pytest.raises(DataError, match=r"one of the 60 users of the log, got nobody; give a hist"):
        model.recommend(user="nobody")
    with pytest.raises(DataError, match="expected an id of the catalogue, got 'nothing'"):
        model.similar_items("nothing")
    for n in (0, -3):
        with pytest.raises(ConfigError, match="an integer of at least 1"):
            model.recommend(HISTORY, n=n)


def test_a_text_is_no_history(model):
    """Its letters would be taken for items, none of them known."""
    for ask in (lambda: model.recommend(ITEMS[3]), lambda: model.interests(HISTORY)):
        with pytest.raises(ConfigError, match="history: expected a list of item ids, got 'article"):
            ask()
    with pytest.raises(DataError, match=r"text or an integer, got 1\.0"):
        model.recommend([1.0])  # as a table with gaps would give


def test_asking_changes_no_file(run, model):
    before = {path: path.read_bytes() for path in sorted(run.rglob("*"))}
    model.recommend(user="customer-0001")
    model.similar_items(ITEMS[0])
    assert {path: path.read_bytes() for path in sorted(run.rglob("*"))} == before


def test_another_process_serves_without_reading_the_log(run):
    script = (
        "import sys, mindref\n"
        "from mindref.run.source import Source\n"
        "Source.read = lambda self: sys.exit('the log was read')\n"
        "print(len(mindref.load(sys.argv[1]).recommend(sys.argv[2].split())))\n"
    )
    command = [sys.executable, "-c", script, str(run), " ".join(HISTORY)]
    done = subprocess.run(
        command, env=environment(), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("10\n", "")
