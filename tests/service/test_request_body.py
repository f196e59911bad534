"""Bodies of requests: what is parsed, and the status of what is not."""

import json

import pytest

from mindref.recommender.serving.list_request import ListRequest
from mindref.service.request_body import MAX_HISTORIES, MAX_N, RequestError, parse_request


def parse(**values):
    return parse_request(json.dumps(values).encode())


def test_the_values_of_a_request():
    request = parse(history=["a", 7], n=3, only=[1], exclude=["b"], per_interest=2)
    assert not request.is_batch
    assert request.lists == ListRequest(
        histories=[["a", "7"]], n=3, only=["1"], exclude=["b"], per_interest=2
    )
    request = parse(histories=[[], ["a"]], exclude_seen=False, only=None, per_interest=None)
    assert request.is_batch
    assert request.lists == ListRequest(histories=[[], ["a"]], n=10, exclude_seen=False)


@pytest.mark.rules("serving-R10")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: expected JSON"),
        (b'{"history": ["a"]', "body: expected JSON"),
        (b"\xff\xfe", "body: expected JSON"),
        (b'{"history": [], "n": NaN}', "NaN is not JSON"),
        (b'{"history": [], "n": Infinity}', "Infinity is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"n": ' + b"9" * 5000 + b"}", "body: expected JSON"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_a_body_that_is_not_json(body, message):
    with pytest.raises(RequestError, match=message) as raised:
        parse_request(body)
    assert raised.value.status == 400


@pytest.mark.rules("serving-R10", "serving-R11")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"body: expected an object, got \[\]"),
        (None, "body: expected an object, got null"),
        ({}, "body: expected one of user, history and histories, got none"),
        ({"history": [], "histories": [[]]}, "body: expected one of .*, got history and histories"),
        ({"history": [], "N": 3}, "body: expected the fields user, history, .*, got N"),
        ({"user": [1]}, r"user: expected a user id as a string or an integer, got \[1\]"),
        ({"user": 1, "history": []}, "body: expected one of .*, got user and history"),
        ({"history": "abc"}, 'history: expected a list of item ids, got "abc"'),
        ({"history": [1.5]}, r"history\[0\]: expected item ids as strings or integers, got 1.5"),
        ({"history": [True]}, r"history\[0\]: expected item ids .* got true"),
        ({"history": [["a"]]}, r"history\[0\]: expected item ids"),
        ({"histories": ["a"]}, r"histories\[0\]: expected a list of item ids"),
        ({"histories": []}, r"histories: expected a list of 1 to 256 histories, got \[\]"),
        ({"histories": {}}, "histories: expected a list of 1 to 256"),
        ({"histories": [[]] * (MAX_HISTORIES + 1)}, "expected a list of 1 to 256 histories"),
        ({"history": [], "n": 0}, "n: expected an integer from 1 to 1000, got 0"),
        ({"history": [], "n": MAX_N + 1}, "n: expected an integer from 1 to 1000, got 1001"),
        ({"history": [], "n": "3"}, 'n: expected an integer from 1 to 1000, got "3"'),
        ({"history": [], "n": True}, "n: expected an integer .* got true"),
        ({"history": [], "n": None}, "n: expected an integer .* got null"),
        ({"history": [], "only": "a"}, "only: expected a list of item ids"),
        ({"history": [], "exclude": [None]}, r"exclude\[0\]: expected item ids .* got null"),
        ({"history": [], "per_interest": 0}, "per_interest: expected an integer from 1"),
        ({"history": [], "exclude_seen": 1}, "exclude_seen: expected true or false, got 1"),
    ],
    ids=str,
)
def test_a_value_out_of_range(values, message):
    with pytest.raises(RequestError, match=message) as raised:
        parse_request(json.dumps(values).encode())
    assert raised.value.status == 422
