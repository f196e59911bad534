"""Lists for one history, for many users or histories as columns, and similar items."""

import re
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

import mindref
from mindref import MIND
from mindref.errors import ConfigError, DataError, MindrefError, RunError
from mindref.models.servable_items import ServableItems
from mindref.recall import ExactIndex
from mindref.recommender.serving import recall as bulk
from mindref.recommender.serving import served_model
from mindref.recommender.serving.recall import Recommendations
from mindref.run.source import Source
from tests.runs import SMALL, loaded, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.* requests have no known behaviour")
LOG = loaded().log
SERVABLE = ServableItems.of(trainer().served_catalogue).ids
ITEMS, USERS = [LOG.item_ids[i] for i in SERVABLE], list(LOG.user_ids)
TITLES = dict(zip(LOG.item_ids, LOG.titles, strict=True))
HISTORY = ITEMS[3:12]
HISTORIES = [HISTORY, ITEMS[40:44], [], ITEMS[60:90], ITEMS[3:4]]


@pytest.fixture
def model(profiled_run):
    return mindref.load(profiled_run)


@pytest.fixture
def scores_model(run_of):
    """A model without user features, whose scores of an empty history are 0."""
    return mindref.load(run_of(model="item_knn"))


def lists_of(columns, user):
    """Return the list of a user as (item, title, interest), and its scores."""
    rows = columns.user == user
    names = zip(columns.item[rows], columns.title[rows], columns.interest[rows], strict=True)
    assert columns.rank[rows].tolist() == list(range(1, rows.sum() + 1))
    return list(names), columns.score[rows]


def check_equal(columns, user, expected):
    names, scores = lists_of(columns, user)
    assert names == [(x.item, x.title, x.interest) for x in expected]
    np.testing.assert_allclose(scores, [x.score for x in expected], rtol=1e-5, atol=1e-6)


@pytest.mark.rules("recall-R46")
def test_columns_have_the_lists_of_the_users_in_their_order(model, monkeypatch):
    monkeypatch.setattr(bulk, "USERS_PER_BLOCK", 7)
    columns = model.recommend_many(USERS, n=9)
    assert list(dict.fromkeys(columns.user)) == USERS
    assert {len(column) for column in columns} == {60 * 9}
    kinds = [column.dtype for column in columns]
    assert kinds == [object, np.int64, object, object, np.float32, np.int64]
    for user in USERS[::9]:  # not the first one of each block
        check_equal(columns, user, model.recommend(user=user, n=9))


@pytest.mark.rules("recall-R46")
def test_histories_are_numbered_and_only_existing_rows_are_returned(model):
    columns = model.recommend_many(HISTORIES, n=500)
    servable = set(model.served.dense)
    for number, history in enumerate(HISTORIES):
        check_equal(columns, number, model.recommend(history, 500))
        assert (columns.user == number).sum() == len(servable - set(history))
    assert columns.user.dtype == np.int64
    nothing = model.recommend_many([])
    assert [len(column) for column in nothing] == [0] * 6
    assert nothing.score.dtype == np.float32


def test_requests_may_be_arrays_and_ids_of_any_type_that_fit_accepts():
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(40), 6), rng.integers(0, 50, 240)
    model = mindref.MIND(steps=3, width=8, hidden=[8], batch=8, metric="hit_rate@10").fit(
        users, items, np.arange(240)
    )
    by_number = model.recommend_many(np.arange(5), n=4, exclude={3: [np.int64(7)]})
    np.testing.assert_equal(by_number, model.recommend_many(list("01234"), 4, exclude={"3": ["7"]}))
    known = [int(x) for x in list(model.served.dense)[:6]]
    by_item = model.recommend_many(np.array(known).reshape(2, 3), n=4)
    np.testing.assert_equal(by_item, model.recommend_many([known[:3], map(str, known[3:])], n=4))


@pytest.mark.rules("recall-R4", "recall-R40", "recall-R42", "recall-R44", "recall-R49")
@pytest.mark.parametrize("kind", ["vectors", "scores"])
def test_lists_for_all_users_and_by_user(kind, model, scores_model, monkeypatch):
    monkeypatch.setattr(bulk, "USERS_PER_BLOCK", 2)
    model = scores_model if kind == "scores" else model
    everything = model.recommend_many(USERS[:4], n=500)
    top = {user: [name for name, _, _ in lists_of(everything, user)[0]] for user in USERS[:4]}
    shared = ITEMS[::2]
    by_user = {USERS[1]: ITEMS[:50], USERS[2]: []}
    denied = {USERS[0]: top[USERS[0]][:5], USERS[1]: top[USERS[1]][:3]}
    for only in (None, shared, by_user):
        for exclude in (None, ITEMS[:30], denied):
            columns = model.recommend_many(USERS[:4], n=7, only=only, exclude=exclude)
            for user in USERS[:4]:
                allow = only.get(user) if isinstance(only, dict) else only
                deny = exclude.get(user) if isinstance(exclude, dict) else exclude
                expected = [
                    name
                    for name in top[user]
                    if (allow is None or name in allow) and (deny is None or name not in deny)
                ][:7]
                assert [name for name, _, _ in lists_of(columns, user)[0]] == expected
                one = model.recommend(user=user, n=7, only=only, exclude=exclude)
                assert [x.item for x in one] == expected


@pytest.mark.rules("recall-R44")
def test_histories_have_one_list_each(model):
    only = [None, ITEMS[:60], ITEMS[:5], None, np.array(ITEMS[:9])]
    columns = model.recommend_many(HISTORIES, n=5, only=only, exclude=[[ITEMS[0]]] * 5)
    for number, history in enumerate(HISTORIES):
        allow = None if only[number] is None else list(only[number])
        check_equal(columns, number, model.recommend(history, 5, only=allow, exclude=[ITEMS[0]]))


@pytest.mark.rules("recall-R45")
def test_a_limit_per_interest_holds_for_one_list_and_for_many(model):
    columns = model.recommend_many(HISTORIES, n=12, per_interest=3)
    for number, history in enumerate(HISTORIES):
        expected, counts = [], [0] * 4
        if not history:
            continue  # popular items, without a limit: recall-R51
        for x in model.recommend(history, 500):
            counts[x.interest] += 1
            expected += [x] if counts[x.interest] <= 3 else []
        check_equal(columns, number, expected[:12])
        check_equal(columns, number, model.recommend(history, 12, per_interest=3))


@pytest.mark.rules("recall-R42", "recall-R43", "recall-R44")
@pytest.mark.parametrize("kind", ["annoy", "auto", "an index"])
def test_an_index_gives_the_lists_of_exact_search(model, kind):
    index = ExactIndex(model.served.item_vectors) if kind == "an index" else kind
    for limits in ({}, {"only": ITEMS[::2]}, {"per_interest": 4}, {"only": {USERS[3]: ITEMS[9:]}}):
        exact = model.recommend_many(USERS, n=5, **limits)
        got = model.recommend_many(USERS, n=5, index=index, **limits)
        for name in ("user", "item", "interest"):
            np.testing.assert_array_equal(getattr(got, name), getattr(exact, name))
        np.testing.assert_allclose(got.score, exact.score, rtol=1e-5)


@pytest.mark.rules("recall-R51")
def test_a_list_without_behaviours_has_the_popular_items_and_says_so(scores_model, model):
    for other in (scores_model, model):
        items = other.served.items
        order = sorted(other.served.servable.ids, key=lambda i: -items.counts[i])
        popular = [(items.ids[i], -1, items.counts[i]) for i in order]
        text = "requests have no known behaviour: their lists are the most popular items"
        with pytest.warns(UserWarning, match=f"1 of 1 {text}"):
            listed = other.recommend([], n=5, exclude=[popular[1][0]])
        expected = [popular[0], *popular[2:6]]
        assert [(x.item, x.interest, x.score) for x in listed] == expected
        with pytest.warns(UserWarning, match=f"2 of 3 {text}"):
            columns = other.recommend_many([[], HISTORY, []], n=5)
        assert columns.user.tolist() == [0] * 5 + [1] * 5 + [2] * 5
        assert columns.item[columns.user == 2].tolist() == [x[0] for x in popular[:5]]
        assert (columns.interest[columns.user == 1] >= 0).all()
    assert {x.interest for x in model.recommend(user=USERS[0], n=5)} != {-1}
    with pytest.raises(ConfigError, match="per_interest: expected a model with interests, got a"):
        scores_model.recommend_many(USERS, per_interest=3)


def test_popular_items_are_sorted_once_for_each_model(scores_model, monkeypatch):
    sort = Mock(wraps=served_model.popularity_order)
    monkeypatch.setattr(served_model, "popularity_order", sort)
    for _ in range(2):
        assert len(scores_model.recommend_many([[]] * 3, n=5).item) == 15
    sort.assert_called_once()


@pytest.mark.rules("recall-R52")
def test_seen_items_are_left_out_as_in_training(tmp_path, model):
    made = mindref.MIND(steps=3, width=8, hidden=[8], metric="hit_rate@10")
    made.fit(loaded().log, exclude_seen=False).save(tmp_path / "run")
    for repeats in (made, mindref.load(tmp_path / "run")):
        assert set(HISTORY) <= set(repeats.recommend_many([HISTORY], n=500).item)
        assert set(HISTORY) <= {x.item for x in repeats.recommend(HISTORY, n=500)}
        without = repeats.recommend_many([HISTORY], n=500, exclude_seen=True).item
        assert not set(HISTORY) & set(without)
    assert not set(HISTORY) & set(model.recommend_many([HISTORY], n=500).item)
    assert set(HISTORY) <= set(model.recommend_many([HISTORY], 500, exclude_seen=False).item)


@pytest.mark.rules("recall-R47")
def test_unknown_ids_are_counted_and_named_in_one_warning(model):
    only = [*HISTORY, *"abcdef", "a"]
    text = "items are not in the catalogue or untrained"
    expected = f"only: 6 of 15 {text}: 'a', 'b', 'c', 'd', 'e' ..."
    with pytest.warns(UserWarning, match=text) as caught:
        model.recommend_many([ITEMS[20:25]], only=only, exclude=["zz"])
    assert [str(x.message) for x in caught] == [
        expected,
        f"exclude: 1 of 1 {text}: 'zz'",
    ]
    assert {x.filename for x in caught} == {__file__}, "the line of the caller"
    with pytest.warns(UserWarning, match="only: 1 of 2 users are not in the log: 'nobody'"):
        model.recommend_many(USERS[:2], only={USERS[0]: ITEMS[:9], "nobody": ITEMS[:3]})


@pytest.mark.rules("recall-R48")
def test_an_allow_list_without_known_ids_is_an_error(model):
    message = "only: expected at least one item id of the catalogue, got 2 other ids: 'a', 'b';"
    with pytest.raises(DataError, match=message):
        model.recommend_many(USERS[:2], only=["a", "b"])
    assert len(model.recommend_many(USERS[:2], exclude=[]).item) == 20


@pytest.mark.parametrize(
    ("requests", "options", "error", "message"),
    [
        ({USERS[0]: HISTORY}, {}, ConfigError, "recommend_many: expected user ids of the log, or"),
        ([USERS[0], HISTORY], {}, ConfigError, "recommend_many: .* got both"),
        ([USERS[0], None], {}, DataError, "^user: expected text or an integer, got None"),
        (["who"], {}, DataError, "user: expected one of the 60 users of the log, got 'who'"),
        (USERS, {"only": "article-0001"}, ConfigError, "only: expected item ids, a mapping of"),
        (USERS, {"exclude": 7}, ConfigError, "exclude: expected item ids, a mapping of"),
        (USERS, {"only": np.array(7)}, ConfigError, "only: expected item ids, a mapping of"),
        (USERS, {"only": {USERS[0]: ITEMS[0]}}, ConfigError, "only: expected item ids, a mapping"),
        (USERS, {"only": [1.5]}, DataError, r"only: expected text or an integer, got 1\.5"),
        (USERS, {"only": [[ITEMS[0]], None]}, ConfigError, "only: expected 60 lists, got 2"),
        ([HISTORY], {"only": {"0": ITEMS}}, ConfigError, "only: expected lists for histories"),
        (USERS, {"index": "fast"}, ConfigError, "index: expected auto or exact or annoy"),
        *((USERS, {"index": index}, ConfigError, "^index: expected auto or .*, or an Index, got")
          for index in (None, ExactIndex, SimpleNamespace(items=[], kind="exact"), b"exact")),
    ],
)  # fmt: skip
def test_an_invalid_request_is_refused(model, requests, options, error, message):
    with pytest.raises(error, match=message):
        model.recommend_many(requests, **options)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda m: m.recommend(), ConfigError, "a history or a user, got both or neither"),
        (lambda m: m.recommend(HISTORY, user="u"), ConfigError, "got both or neither"),
        (lambda m: m.recommend(user="x"), DataError, "users of the log, got 'x'; give a history"),
        (lambda m: m.similar_items("no"), DataError, "title of a trained item, got 'no'"),
        (lambda m: m.recommend([*HISTORY, ""]), DataError, "history: expected an id, got an empty"),
        # the letters of a text would be taken for items, none of them known
        (lambda m: m.interests(HISTORY), ConfigError, "a list of item ids, got 'article"),
        # as a table with gaps would give
        (lambda m: m.recommend([1.0]), DataError, r"text or an integer, got 1\.0"),
    ],
)
def test_an_invalid_request_for_one_list_is_an_error(model, ask, error, message):
    with pytest.raises(error, match=message):
        ask(model)


def test_a_kind_of_index_needs_a_run_directory():
    model = mindref.MIND(steps=2, width=8, hidden=[8], metric="hit_rate@10").fit(loaded().log)
    with pytest.raises(RunError, match="index annoy: expected a run directory, which keeps the"):
        model.recommend_many([HISTORY], index="annoy")
    auto = model.recommend_many([HISTORY], index="auto")
    np.testing.assert_equal(auto, model.recommend_many([HISTORY]))


def test_a_frame_has_the_columns(model):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for requests in (USERS[:3], [HISTORY], []):
        columns = model.recommend_many(requests, n=4)
        for frame in (columns.to_pandas(), columns.to_polars()):
            assert list(frame.columns) == list(Recommendations._fields)
            assert frame["item"].to_list() == columns.item.tolist()
            assert frame["user"].to_list() == columns.user.tolist()
            np.testing.assert_array_equal(frame["score"].to_numpy(), columns.score)
        assert isinstance(columns.to_pandas(), pandas.DataFrame)
        assert columns.to_polars().schema["title"] == polars.String


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_missing_library_is_named(model, monkeypatch, name):
    monkeypatch.setattr(bulk, "import_module", Mock(side_effect=ImportError))
    columns = model.recommend_many([HISTORY], n=2)
    with pytest.raises(ConfigError, match=f"to_{name}: expected the library {name}, got none; pip"):
        getattr(columns, f"to_{name}")()


@pytest.mark.rules("recall-R50")
def test_a_title_names_an_item(model):
    titles = [TITLES[name] for name in HISTORY]
    assert model.recommend([x.upper() for x in titles]) == model.recommend(HISTORY)
    wrong = f"{titles[0]}x"
    with pytest.raises(DataError, match=f"got {wrong!r}; closest: {HISTORY[0]} '"):
        model.recommend([wrong])
    assert model.similar_items(titles[0], 5) == model.similar_items(HISTORY[0], 5)
    with pytest.raises(DataError, match=f"got .*; closest: {HISTORY[0]} '{titles[0]}'"):
        model.similar_items(wrong)


@pytest.mark.rules("recall-R50")
def test_a_warning_of_recommend_compares_no_titles(model, monkeypatch):
    compare = "mindref.recommender.serving.item_names.difflib.get_close_matches"
    monkeypatch.setattr(compare, lambda *_: pytest.fail("titles are compared"))
    text = "^history: 1 of 2 behaviours have items that are not in the catalogue or untrained: 'x'$"
    with pytest.warns(UserWarning, match=text):
        model.recommend([HISTORY[1], "x"])


@pytest.mark.rules("recall-R54")
def test_unknown_items_of_histories_are_counted_by_behaviour_and_named_once(model):
    text = "^history: 4 of 7 behaviours have items that .* untrained: 'zz', 'y'$"
    with pytest.warns(UserWarning, match=text):
        model.recommend_many([[HISTORY[0], "zz"], [HISTORY[1], "zz", "zz"], [HISTORY[2], "y"]])
    with pytest.raises(DataError, match="got 'zz', 'y'; "):
        model.recommend(["zz", "y", "zz"])


@pytest.mark.rules("recall-R46")
@pytest.mark.parametrize("change", [(-5, 0), (0, 1)])
def test_an_index_of_other_vectors_is_an_error_before_the_log_is_read(model, monkeypatch, change):
    monkeypatch.setattr(type(model.served.source), "again", lambda _: pytest.fail("read the log"))
    expected = model.served.item_vectors.shape
    shape = tuple(np.add(expected, change).tolist())
    text = f"index: expected vectors of shape {expected}, got {shape}; build it over the vectors"
    with pytest.raises(ConfigError, match=re.escape(text)):
        model.recommend_many(USERS[:2], index=ExactIndex(np.zeros(shape, np.float32)))


@pytest.mark.rules("recall-R54")
def test_only_an_id_names_an_item_of_a_batch(model):
    titles, wrong = model.served.items.titles, TITLES[ITEMS[20]]
    titles[model.served.dense[ITEMS[30]]] = wrong  # a title of two items
    hint = "a title is not accepted here; the ids of these titles"
    text = f"^history: 1 of 11 behaviours .* untrained: {wrong!r}; {hint}: {wrong!r}:"
    with pytest.warns(UserWarning, match=f"{text} '{ITEMS[20]}', '{ITEMS[30]}'$"):
        batch = model.recommend_many([[*HISTORY, wrong], [ITEMS[40]]])
    np.testing.assert_equal(batch, model.recommend_many([HISTORY, [ITEMS[40]]]))
    by_title, by_id = (model.interests([[*HISTORY, *x]]).vectors for x in ([wrong], []))
    np.testing.assert_array_equal(by_title, by_id)
    with pytest.raises(DataError, match="history: expected the title of one item, or an id, got"):
        model.recommend([*HISTORY, wrong])


@pytest.mark.rules("recall-R54")
def test_histories_without_a_known_item_are_an_error(model):
    expected = "history: expected the id of a trained item, got 'nobody', 'x'"
    for histories in ([["nobody"], ["x"]], [["nobody", "x"], []]):
        with pytest.raises(DataError, match=expected):
            model.recommend_many(histories, 2)
    assert len(model.recommend_many([[], []], 2).item) == 4
    with pytest.warns(UserWarning, match="history: 1 of 10 "):
        assert len(model.recommend_many([["nobody"], HISTORY], 2).item) == 4


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_table_is_no_list_of_requests(model, library):
    table = getattr(pytest.importorskip(library), "table" if library == "pyarrow" else "DataFrame")
    with pytest.raises(ConfigError, match=r"recommend_many: .* got a table; pass one column"):
        model.recommend_many(table({"user": USERS[:2]}))


@pytest.mark.rules("recall-R44")
@pytest.mark.parametrize("kind", ["exact", "annoy", "scores"])
def test_empty_allow_lists_give_empty_lists(model, scores_model, kind):
    if kind == "scores":
        model, kind = scores_model, "exact"
    for only, lengths in (
        ({USERS[0]: []}, [0, 3]), ([None, []], [3, 0]), ([[], []], [0, 0]), ([], [0, 0]),
    ):  # fmt: skip
        columns = model.recommend_many(USERS[:2], n=3, only=only, index=kind)
        assert [(columns.user == user).sum() for user in USERS[:2]] == lengths
    assert model.recommend(HISTORY, only=[]) == []


def test_a_list_longer_than_the_catalogue_has_every_item(model):
    everything = model.recommend(HISTORY, 500)
    assert model.recommend(HISTORY, 10**400, per_interest=10**400) == everything
    assert len(model.recommend_many([HISTORY], 10**400).item) == len(everything)
    assert len(model.similar_items(ITEMS[0], 10**400)) == len(SERVABLE) - 1


def ids(found):
    return [x.item for x in found]


def test_the_score_is_the_largest_product_over_the_interests(model):
    vectors, active = model.interests([HISTORY])[:2]
    items = model.served.item_vectors
    scores = np.where(active[0][:, None], vectors[0] @ items.T, -np.inf)
    best = scores.max(axis=0)
    best[[ITEMS.index(item) for item in HISTORY]] = -np.inf
    order = np.argsort(-best)[:5]
    found = model.recommend(HISTORY, n=5)
    assert ids(found) == [ITEMS[i] for i in order]
    assert [x.title for x in found] == [TITLES[x.item] for x in found]
    np.testing.assert_allclose([x.score for x in found], best[order], rtol=1e-5)
    assert [x.interest for x in found] == scores[:, order].argmax(axis=0).tolist()


def test_a_user_of_the_log_is_a_history_with_a_profile(mind_run, model):
    user = "customer-0002"
    row = LOG.interactions.row(list(LOG.user_ids).index(user))
    seen = [LOG.item_ids[i] for i in row]
    found = ids(model.recommend(user=user, n=200))
    assert sorted(found) == sorted(set(ITEMS) - set(seen))
    seen = [item for item in seen if item in model.served.dense]
    by_history = model.recommend(seen, n=5)
    assert model.recommend(user=user, n=5) != by_history, "the profile speaks, too"
    plain = mindref.load(mind_run)
    assert plain.recommend(user=user, n=5) == plain.recommend(seen, n=5)


def test_an_empty_history_has_the_one_interest_of_its_profile(model):
    assert model.interests([[]]).active.tolist() == [[True, False, False, False]]
    assert model.interests([]).vectors.shape == (0, 4, 8), "no history, no interests"


def test_histories_may_be_any_iterable_of_sequences(model):
    expected = model.interests([HISTORY, HISTORY[:2]]).vectors
    given = (tuple(h) for h in (HISTORY, HISTORY[:2]))
    np.testing.assert_array_equal(model.interests(given).vectors, expected)
    array = np.array(HISTORY)
    np.testing.assert_array_equal(model.interests([array, array[:2]]).vectors, expected)


def test_similar_items_are_those_of_the_largest_cosine(model):
    found = model.similar_items(ITEMS[5], n=200)
    assert sorted(ids(found)) == sorted(item for item in ITEMS if item != ITEMS[5])
    items = model.served.item_vectors
    units = items / np.linalg.norm(items, axis=1, keepdims=True)
    cosines = units @ units[5]
    expected = [cosines[ITEMS.index(x.item)] for x in found]
    np.testing.assert_allclose([x.score for x in found], expected, atol=1e-6)
    assert expected == sorted(expected, reverse=True)


def test_an_untrained_model_is_an_error():
    model = MIND(**SMALL)
    ways = ((model.recommend, HISTORY), (model.interests, [HISTORY]), (model.similar_items, "x"))
    for ask, argument in ways:
        with pytest.raises(MindrefError, match=r"MIND: expected a trained model, got none; call"):
            ask(argument)


def test_serving_changes_no_file_and_reads_the_log_only_for_users(mind_run, monkeypatch):
    before = {path: path.read_bytes() for path in sorted(mind_run.rglob("*"))}
    mindref.load(mind_run).recommend(user="customer-0001")
    monkeypatch.setattr(Source, "read", None)
    model = mindref.load(mind_run)
    assert len(model.recommend(HISTORY)) == 10
    model.similar_items(ITEMS[0])
    assert {path: path.read_bytes() for path in sorted(mind_run.rglob("*"))} == before


@pytest.mark.rules("recall-R42", "recall-R4")
def test_similar_items_can_be_filtered(model):
    everything = model.similar_items(ITEMS[3], 500)
    only, exclude = ITEMS[::2], [x.item for x in everything[:4]]
    got = model.similar_items(ITEMS[3], 6, only=only, exclude=exclude)
    assert got == [x for x in everything if x.item in only and x.item not in exclude][:6]
    assert model.similar_items(ITEMS[3], 6, exclude=exclude) == everything[4:10]
    with pytest.warns(UserWarning, match="only: 1 of 2"):
        model.similar_items(ITEMS[3], only=[ITEMS[9], "x"])


def test_no_cosine_is_above_one_because_of_rounding(model, monkeypatch):
    served, rng = model.served, np.random.default_rng(0)
    num_items, width = served.item_vectors.shape
    for _ in range(20):
        vectors = np.tile(rng.normal(size=width).astype(np.float32), (num_items, 1))
        monkeypatch.setitem(vars(served), "item_vectors", vectors)
        assert all(0.99 < x.score <= 1 for x in model.similar_items(ITEMS[3], 5))
