"""The service answers as the Python interface, also with other requests at the same time."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref.run.source import Source
from mindref.service.answers import HistoryAnswers
from tests.runs import trained
from tests.service.conftest import started_service


@pytest.fixture(scope="module")
def model(small_run):
    return mindref.load(small_run)


def draw_histories(model, count):
    """Return histories of one to twelve items of the catalogue."""
    ids, rng = list(model.served.dense), np.random.default_rng(0)
    return [list(rng.choice(ids, size)) for size in rng.integers(1, 13, count)]


def rows_of(columns, user):
    """Return the list of a request in the columns of `recommend_many`, as the service states it."""
    values = zip(*(column[columns.user == user].tolist() for column in columns), strict=True)
    return [dict(zip(columns._fields[1:], row[1:], strict=True)) for row in values]


@pytest.mark.rules("serving-R9")
@pytest.mark.parametrize(
    "options",
    [{}, {"n": 25}, {"per_interest": 2}, {"exclude_seen": False}, {"lists": True}],
    ids=str,
)
def test_the_answer_is_that_of_recommend_many(options, service, model):
    histories, options = draw_histories(model, 12), dict(options)
    if options.pop("lists", False):
        ids = list(model.served.dense)
        options |= {"only": ids[:40], "exclude": ids[10:20]}
    status, batch = service.post({"histories": histories, **options})
    assert status == 200
    columns = model.recommend_many(histories, **options)
    assert [answer["items"] for answer in batch["lists"]] == [
        rows_of(columns, user) for user in range(len(histories))
    ]
    active = model.interests(histories).active.sum(axis=1)
    assert [answer["interests"] for answer in batch["lists"]] == active.tolist()
    for history in histories[:3]:
        status, single = service.post({"history": history, **options})
        expected = rows_of(model.recommend_many([history], **options), 0)
        assert (status, single["items"], single["unknown"]) == (200, expected, [])


@pytest.mark.rules("serving-R9")
@pytest.mark.parametrize("logits", ["keyed", "per_call"])
def test_requests_at_once_have_the_bytes_of_one_alone(logits, model, tmp_path):
    bodies = [{"history": x, "n": 7} for x in draw_histories(model, 40)]
    run = trained(tmp_path / "run", logits=logits)
    loaded = HistoryAnswers.load(run, "exact", None, "cpu", [])
    with started_service(loaded, threads=4) as client, ThreadPoolExecutor(8) as pool:
        alone = [json.dumps(client.post(body)) for body in bodies]
        assert len(set(alone)) > 30
        together = [json.dumps(answer) for answer in pool.map(client.post, bodies)]
        assert together == alone


def test_unknown_items_are_listed_for_each_history(service, model):
    known = next(iter(model.served.dense))
    histories = [[known, "x"], ["lone \ud800", "y"], []]
    status, batch = service.post({"histories": histories, "exclude": ["z", known]})
    assert status == 200
    assert [answer["unknown"] for answer in batch["lists"]] == [["x"], ["lone \ud800", "y"], []]
    assert batch["warnings"] == [
        "exclude: 1 of 2 items are not in the catalogue or untrained: 'z'",
        "2 of 3 requests have no known behaviour: their lists are the most popular items",
    ]
    assert [answer.get("fallback") for answer in batch["lists"]] == [None, "popular", "popular"]
    assert all(known not in [item["item"] for item in answer["items"]] for answer in batch["lists"])


@pytest.mark.rules("serving-R18")
@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ({"history": []}, None),
        ({"history": ["x", "y"]}, "history: 2 of 2 behaviours have items that are not in the cat"),
        ({"user": "nobody"}, "user: 'nobody' is not in the log of the run"),
    ],
)
def test_a_request_of_which_nothing_is_known_has_the_popular_items(body, warning, service, model):
    status, answer = service.post({**body, "n": 3})
    counts = model.served.items.counts
    scores = sorted((counts[i] for i in model.served.servable.ids), reverse=True)
    assert (status, answer["fallback"], len(answer["items"])) == (200, "popular", 3)
    assert [x["score"] for x in answer["items"]] == scores[:3]
    assert {x["interest"] for x in answer["items"]} == {-1}
    text = "1 of 1 requests have no known behaviour: their lists are the most popular items"
    assert [x[:60] for x in answer["warnings"]] == [x[:60] for x in (warning, text) if x]


@pytest.mark.rules("serving-R18")
def test_a_user_of_the_run_has_the_list_of_recommend(service, model):
    status, answer = service.post({"user": "customer-0003", "n": 5})
    expected = model.recommend(user="customer-0003", n=5)
    assert (status, answer["warnings"], "fallback" in answer) == (200, [], False)
    listed = [{"rank": rank, **x._asdict()} for rank, x in enumerate(expected, 1)]
    assert answer["items"] == listed


@pytest.mark.rules("serving-R18")
def test_a_user_of_a_run_without_its_log_is_an_error_without_a_path(small_run, tmp_path):
    run = Path(shutil.copytree(small_run, tmp_path / "run"))
    answers = HistoryAnswers.load(run, "exact", None, "cpu", [])
    answers.served.source = Source(str(tmp_path / "gone.csv"))
    with started_service(answers) as client:
        status, answer = client.post({"user": "customer-0003"})
        assert (status, "gone" in answer["error"]) == (422, False)
        assert answer["error"].endswith("a log that cannot be read; send a history")


def test_similar_items_are_those_of_the_python_interface(service, model):
    item = next(iter(model.served.dense))
    status, answer = service.post({"item": item, "n": 4, "exclude": [item]}, "/similar")
    expected = model.similar_items(item, 4)
    assert (status, answer["item"], answer["warnings"]) == (200, item, [])
    assert [x["item"] for x in answer["items"]] == [x.item for x in expected]
    status, answer = service.post({"item": "x"}, "/similar")
    assert status == 422
    assert answer["error"].startswith("item: expected the id of a trained item, got 'x'")
    assert service.post({"n": 3}, "/similar")[0] == 422


def test_health_states_the_model(service, small_run):
    status, text = service.get("/health")
    facts = json.loads(text)
    assert (status, facts["status"], facts["model"], facts["step"]) == (200, "ok", "mind", 3)
    assert facts["index"] == {"kind": "exact", "recall": 1.0}
    assert (facts["exclude_seen"], facts["items"] > 0) == (True, True)
