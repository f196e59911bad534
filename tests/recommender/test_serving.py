"""A trained model answers for any history, at once and always alike."""

import numpy as np
import pytest

import mindref
from mindref import MIND
from mindref.errors import ConfigError, DataError, MindrefError
from mindref.run.source import Source
from tests.runs import SMALL, loaded, trained

LOG = loaded().log
ITEMS = list(LOG.item_ids)
HISTORY = ITEMS[3:12]
NO_USER = "one of the 60 users of the log, got 'x'; give a hist"
EITHER = "expected a history or a user, got both or neither"
A_TEXT = "history: expected a list of item ids, got 'article"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    changes = {"steps": 20, "evaluate_every": 10, "hidden": [32], "user_features": ("age",)}
    return trained(tmp_path_factory.mktemp("runs") / "run", **changes)


@pytest.fixture
def model(run):
    return mindref.load(run)


def served_ids(model):
    """Return the ids of the items with a trained vector."""
    return list(model.served.dense)


def ids(found):
    return [x.item for x in found]


def test_a_history_gets_its_best_items_in_order(model):
    found = model.recommend(HISTORY, n=7)
    assert len(found) == len(set(ids(found))) == 7
    assert [x.score for x in found] == sorted((x.score for x in found), reverse=True)
    assert not set(ids(found)) & set(HISTORY)
    for x in found:
        assert x.title == LOG.titles[ITEMS.index(x.item)]
        assert 0 <= x.interest < 4
    both = ids(model.recommend(HISTORY, n=200, exclude_seen=False))
    assert sorted(both) == sorted(served_ids(model)), "a list has at most the servable items"
    unseen = ids(model.recommend(HISTORY, n=200))
    assert unseen == [item for item in both if item not in HISTORY]
    longer = [*HISTORY, ITEMS[40]]  # a new behaviour changes the interests at once
    assert not np.allclose(*(model.interests([h]).vectors for h in (HISTORY, longer)))
    assert model.recommend(HISTORY) != model.recommend(longer)


def test_the_score_is_the_largest_product_over_the_interests(model):
    vectors, active = model.interests([HISTORY])[:2]
    items = model.served.item_vectors
    scores = np.where(active[0][:, None], vectors[0] @ items.T, -np.inf)
    best = scores.max(axis=0)
    names = served_ids(model)
    best[[names.index(item) for item in HISTORY]] = -np.inf
    order = np.argsort(-best)[:5]
    found = model.recommend(HISTORY, n=5)
    assert ids(found) == [names[i] for i in order]
    np.testing.assert_allclose([x.score for x in found], best[order], rtol=1e-5)
    assert [x.interest for x in found] == scores[:, order].argmax(axis=0).tolist()


def test_a_user_of_the_log_is_a_history_with_a_profile(run, model):
    user = "customer-0002"
    row = LOG.interactions.row(list(LOG.user_ids).index(user))
    seen = [ITEMS[i] for i in row]
    found = ids(model.recommend(user=user, n=200))
    assert sorted(found) == sorted(set(served_ids(model)) - set(seen))
    seen = [item for item in seen if item in model.served.dense]
    by_history = model.recommend(seen, n=5)
    assert model.recommend(user=user, n=5) != by_history, "the profile speaks, too"
    plain = mindref.load(trained(run.parent / "plain"))
    assert plain.recommend(user=user, n=5) == plain.recommend(seen, n=5)


def test_unknown_items_are_left_out(model):
    mixed = ["nobody knows", *HISTORY[:4], "", *HISTORY[4:]]
    with pytest.raises(DataError, match="history: expected an id, got an empty text"):
        model.recommend(mixed)
    mixed.remove("")
    with pytest.warns(
        UserWarning, match=r"history: 1 of 10 behaviours have items that are not .*: 'nobody knows'"
    ):
        assert model.recommend(mixed) == model.recommend(HISTORY)
    with pytest.raises(DataError, match=r"history: expected the id or .*, got 'nobody knows'"):
        model.recommend(["nobody knows"])


def test_an_empty_history_has_the_one_interest_of_its_profile(model):
    found = model.recommend([], n=5)
    assert len(found) == 5
    assert {x.interest for x in found} == {0}
    assert model.interests([[]]).active.tolist() == [[True, False, False, False]]
    assert model.interests([]).vectors.shape == (0, 4, 8), "no history, no interests"


def test_the_same_history_has_the_same_interests_in_any_batch(model):
    alone = model.interests([HISTORY])
    others = [ITEMS[k : k + 1 + k % 13] for k in range(40)]
    for place in (0, 17, 40):
        batch = model.interests([*others[:place], HISTORY, *others[place:]])
        np.testing.assert_array_equal(batch.active[place], alone.active[0])
        for name in ("vectors", "couplings"):
            got, expected = getattr(batch, name)[place], getattr(alone, name)[0]
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6, err_msg=name)


def test_histories_may_be_any_iterable_of_sequences(model):
    expected = model.interests([HISTORY, HISTORY[:2]]).vectors
    given = (tuple(h) for h in (HISTORY, HISTORY[:2]))
    np.testing.assert_array_equal(model.interests(given).vectors, expected)
    array = np.array(HISTORY)
    np.testing.assert_array_equal(model.interests([array, array[:2]]).vectors, expected)


def test_similar_items_are_those_of_the_largest_cosine(model):
    names = served_ids(model)
    found = model.similar_items(names[5], n=200)
    assert sorted(ids(found)) == sorted(item for item in names if item != names[5])
    items = model.served.item_vectors
    units = items / np.linalg.norm(items, axis=1, keepdims=True)
    cosines = units @ units[5]
    expected = [cosines[names.index(x.item)] for x in found]
    np.testing.assert_allclose([x.score for x in found], expected, atol=1e-6)
    assert expected == sorted(expected, reverse=True)


def test_an_untrained_model_is_an_error():
    model = MIND(**SMALL)
    ways = ((model.recommend, HISTORY), (model.interests, [HISTORY]), (model.similar_items, "x"))
    for ask, argument in ways:
        with pytest.raises(MindrefError, match=r"MIND: expected a trained model, got none; call"):
            ask(argument)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda m: m.recommend(), ConfigError, EITHER),
        (lambda m: m.recommend(HISTORY, user="u"), ConfigError, EITHER),
        (lambda m: m.recommend(user="x"), DataError, NO_USER),
        (lambda m: m.similar_items("no"), DataError, "title of a trained item, got 'no'"),
        (lambda m: m.recommend(HISTORY, n=0), ConfigError, "an integer of at least 1"),
        (lambda m: m.recommend(HISTORY, n=-3), ConfigError, "an integer of at least 1"),
        # the letters of a text would be taken for items, none of them known
        (
            lambda m: m.recommend(ITEMS[3]),
            ConfigError,
            "history: expected a list or None, got 'art",
        ),
        (lambda m: m.interests(HISTORY), ConfigError, A_TEXT),
        # as a table with gaps would give
        (lambda m: m.recommend([1.0]), DataError, r"text or an integer, got 1\.0"),
    ],
)
def test_an_invalid_request_is_an_error(model, ask, error, message):
    with pytest.raises(error, match=message):
        ask(model)


def test_serving_changes_no_file_and_reads_the_log_only_for_users(run, monkeypatch):
    before = {path: path.read_bytes() for path in sorted(run.rglob("*"))}
    mindref.load(run).recommend(user="customer-0001")
    monkeypatch.setattr(Source, "read", None)
    model = mindref.load(run)
    assert len(model.recommend(HISTORY)) == 10
    model.similar_items(ITEMS[0])
    assert {path: path.read_bytes() for path in sorted(run.rglob("*"))} == before
