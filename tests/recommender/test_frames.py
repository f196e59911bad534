"""From a table with integer ids to a saved model, users of a newer table, and the command."""

import numpy as np
import pytest

import mindref
from mindref.data.frames import from_arrays, from_dataframe
from mindref.data.log import InteractionLog, Ragged
from mindref.errors import ConfigError, DataError, RunError
from mindref.recommender.evaluate_run import evaluate_run
from mindref.run.source import fingerprint
from mindref.run.stored_log import StoredLog, save_log
from tests.runs import SMALL

NAMES = {"user": "customer", "item": "product", "time": "ordered"}
SETTINGS = {**SMALL, "steps": 2, "backend": "numpy"}


def make_frame(changes=()):
    rng = np.random.default_rng(0)
    frame = {
        "customer": rng.integers(0, 40, 500),
        "product": rng.integers(100, 130, 500),
        "ordered": np.arange(500),
        "shelf": rng.choice(["a\tb", "c"], 500),
    }
    return {name: np.concatenate([x, dict(changes).get(name, x[:0])]) for name, x in frame.items()}


NEWER = {"customer": [999, 999], "product": [105, 7], "ordered": [600, 601], "shelf": ["c", "c"]}


@pytest.fixture(scope="module")
def model():
    features = {"item_features": ["shelf"], "user_features": ["shelf"]}
    settings = {**SETTINGS, **features}
    return mindref.MIND(**settings).fit(make_frame(), **NAMES, **features)


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frame") / "run"
    model.save(folder)
    return folder


def ids_of(model):
    """Return the ids of lists, whose types are compared too."""
    lists = model.recommend_many([1, "2"], n=3)
    similar = [x.item for x in model.similar_items(101, n=3)]
    users = [x.item for x in model.recommend(user=2, n=3)]
    histories = [x.item for x in model.recommend([101, "102"], n=3)]
    return lists.user.tolist(), lists.item.tolist(), similar, users, histories


@pytest.mark.rules("data-R94", "recall-R56")
def test_integer_ids_are_integers_before_and_after_saving(model, run):
    loaded = mindref.load(run)
    assert ids_of(loaded) == ids_of(model)
    assert {type(x) for ids in ids_of(loaded) for x in ids} == {int}
    assert (
        loaded.recommend_many([1]).user.dtype == loaded.recommend_many([1]).item.dtype == np.int64
    )
    assert loaded.recommend(user=2) == model.recommend(user="2") == loaded.recommend(user="2")


@pytest.mark.rules("data-R94")
@pytest.mark.parametrize(
    ("users", "items", "expected"),
    [
        ([1, 2], ["a", "b"], ("user",)),
        (["1", "2"], [1, 2], ("item",)),
        (np.array([1, 2], object), np.array([1, 2**63], np.uint64), ("user",)),
        (["1", "2"], ["1", "2"], ()),
    ],
)
def test_only_integers_are_integer_ids(users, items, expected):
    assert from_arrays(users, items).integer_ids == expected


def test_an_unused_item_with_a_text_makes_all_ids_texts():
    log = from_arrays([1], [1], titles={"a": "A"}, keep_unused_items=True)
    assert log.integer_ids == ("user",)


@pytest.mark.rules("recall-R57")
def test_users_of_a_newer_log_have_lists(model, run, tmp_path):
    loaded = mindref.load(run)
    newer = loaded.with_log(make_frame(NEWER.items()))
    with pytest.warns(UserWarning, match="1 of 2 behaviours are of items that the run does"):
        expected = newer.recommend(user=999, n=3)
    with pytest.raises(DataError, match="one of the 40 users of the log, got '999'"):
        loaded.recommend(user=999)
    newer.save(tmp_path / "newer")
    with pytest.warns(UserWarning, match="1 of 2") as caught:
        assert mindref.load(tmp_path / "newer").recommend(user=999, n=3) == expected
    assert len(caught) == 1, "the saved log needs no warning"
    rows = zip(*make_frame(NEWER.items()).values(), strict=True)
    lines = ["customer,product,ordered,shelf", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "newer.csv").write_text("\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match="1 of 2"):
        assert loaded.with_log(tmp_path / "newer.csv").recommend(user=999, n=3) == expected
    with pytest.raises(DataError, match="a column 'customer'"):
        loaded.with_log({"user": [1], "item": [101], "ordered": [1]})


@pytest.mark.rules("recall-R51")
def test_known_features_of_a_user_without_known_behaviours_are_used(model):
    rows = {"customer": [998, 997], "product": [7, 7], "ordered": [600, 601], "shelf": ["c", "new"]}
    newer = model.with_log(make_frame(rows.items()))
    text = "1 of 3 requests have no known behaviour|2 of .* behaviours are of items"
    with pytest.warns(UserWarning, match=text) as caught:
        columns = newer.recommend_many([998, 997, 1], n=3)
    assert len(caught) == 2
    assert (columns.interest[columns.user == 998] >= 0).all()
    assert (columns.interest[columns.user == 997] == -1).all()


@pytest.mark.rules("recall-R56", "recall-R57")
def test_a_run_of_a_file_stores_a_newer_table_and_a_table_keeps_minimum_counts(tmp_path):
    rows = zip(*(x.tolist() for x in make_frame().values()), strict=True)
    lines = ["customer,product,ordered,shelf", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    options = {**NAMES, "min_user_interactions": 2}
    model = mindref.MIND(**SETTINGS).fit(tmp_path / "log.csv", **options)
    newer = make_frame(
        {"customer": [999], "product": [105], "ordered": [600], "shelf": ["c"]}.items()
    )
    for fitted in (model, mindref.MIND(**SETTINGS).fit(make_frame(), **options)):
        with pytest.raises(DataError, match="one of the 40 users of the log, got '999'"):
            fitted.with_log(newer).recommend(user=999)
    later = model.with_log(newer, **NAMES)
    later.save(tmp_path / "run")
    (tmp_path / "log.csv").unlink()
    assert mindref.load(tmp_path / "run").recommend(user=999) == later.recommend(user=999)


@pytest.mark.rules("recall-R58", "model-R54")
def test_evaluate_is_the_report_of_the_training_and_of_the_command(model, run):
    loaded = mindref.load(run)
    for report in (model.evaluate(), loaded.evaluate(), loaded.evaluate(make_frame())):
        for name in ("metrics", "cases", "by_history_length", "interests", "untrained"):
            assert report[name] == model.report[name], name
    newer = loaded.evaluate(make_frame(NEWER.items()), list_lengths=[5], which="validation")
    assert "hit_rate@5" in newer["metrics"]["validation"]["model"]
    assert loaded.evaluate(max_cases=9) == evaluate_run(run, max_cases=9)
    arrays = list(make_frame().values())[:3]
    plain = mindref.MIND(**SETTINGS).fit(*arrays)
    assert plain.evaluate(*arrays)["metrics"] == plain.report["metrics"]
    built_in = mindref.MIND(**SETTINGS).fit(users=60)
    assert built_in.evaluate()["interests"]["recovery"] == built_in.report["interests"]["recovery"]
    everything = mindref.MIND(**SETTINGS).fit(make_frame(), **NAMES, split="none")
    with pytest.raises(ConfigError, match=r"the model in memory: split: .*; pass a later log"):
        everything.evaluate()
    with pytest.raises(ConfigError, match="list_lengths: expected lengths of lists"):
        loaded.evaluate(list_lengths=[0])
    with pytest.raises(ConfigError, match="data: expected users beside the items, got none"):
        loaded.evaluate(items=[101])


def test_a_stored_log_is_read_with_the_same_fingerprint(tmp_path):
    features = {"item_features": ["shelf"], "user_features": ["shelf"]}
    log = from_dataframe(make_frame(), **NAMES, **features)
    save_log(tmp_path, log, "digest")
    stored = StoredLog(tmp_path, "digest").read()
    assert fingerprint(stored) == fingerprint(log)
    assert tuple(stored.integer_ids) == log.integer_ids == ("user", "item")
    with pytest.raises(RunError, match="one of another run"):
        StoredLog(tmp_path, "other").read()


@pytest.mark.rules("security-R10")
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("interactions", lambda x: Ragged(x.offsets, x.values + 10**6)),
        ("times", lambda x: x[:-1]),
        ("titles", lambda x: ["a"]),
        ("user_ids", lambda x: x[:-1]),
    ],
)
def test_a_stored_log_with_other_sizes_is_rejected(field, change, tmp_path):
    values = vars(from_dataframe(make_frame(), **NAMES))
    save_log(tmp_path, InteractionLog(**{**values, field: change(values[field])}), "digest")
    with pytest.raises(RunError, match=r"log\.safetensors: expected a log of mindref"):
        StoredLog(tmp_path, "digest").read()
