"""The service answers as the Python interface, also with other requests at the same time."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mindref
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
    assert batch["warnings"] == ["exclude: 1 of 2 items are not in the catalogue or untrained: 'z'"]
    assert all(known not in [item["item"] for item in answer["items"]] for answer in batch["lists"])


@pytest.mark.rules("serving-R10")
def test_a_request_without_any_known_item(service):
    expected = "history: expected the id of a trained item, got"
    error = {"error": f"{expected} 'x', 'y'; the items.tsv of the run lists all"}
    assert service.post({"history": ["x", "y"]}) == (422, error)
    status, answer = service.post({"history": [], "only": ["x"]})
    assert status == 422
    assert "only: expected at least one item id of the catalogue" in answer["error"]


def test_health_states_the_model(service, small_run):
    status, text = service.get("/health")
    facts = json.loads(text)
    assert (status, facts["status"], facts["model"], facts["step"]) == (200, "ok", "mind", 3)
    assert facts["index"] == {"kind": "exact", "recall": 1.0}
