"""The JSON body of a request: its fields and limits. Spec: specs/serving.md."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple, NoReturn

from mindref.errors import say
from mindref.recommender.serving.list_request import ListOptions

MAX_BODY = 1 << 20  # bytes
MAX_HISTORIES = 256  # of one request
MAX_N = 1000  # items of a list
QUOTED = 200  # characters of a wrong value in a message
MAX_DIGITS = 1000  # of an integer
CONTENT_TYPE = "application/json"

Ids = list[str]


class RequestError(Exception):
    """An invalid request: a status from 400 to 499 and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RecommendRequest(NamedTuple):
    """A request for the lists of histories."""

    histories: list[Ids]
    is_batch: bool  # `histories` was given, not `history`
    options: ListOptions = ListOptions()


FIELDS = {"history", "histories", *ListOptions._fields}
DEFAULT_N = ListOptions().n


def parse_request(body: bytes) -> RecommendRequest:
    """Return the request of a body. Raises RequestError: 400 for bad JSON, 422 for bad values."""
    values = parse_json(body)
    if not isinstance(values, dict):
        reject("body", "a JSON object", json.dumps(values))
    for name in values:
        if name not in FIELDS:
            reject(name, f"one of the fields {', '.join(sorted(FIELDS))}", "an unknown field")
    if ("history" in values) == ("histories" in values):
        reject("body", "history or histories", "both" if "history" in values else "none")
    is_batch = "histories" in values
    histories = values["histories"] if is_batch else [values["history"]]
    if not isinstance(histories, list) or not 1 <= len(histories) <= MAX_HISTORIES:
        is_list = isinstance(histories, list)
        got = f"{len(histories)} histories" if is_list else json.dumps(histories)
        reject("histories", f"a list of 1 to {MAX_HISTORIES} histories", got)
    histories = [json_ids("history", history) for history in histories]
    options = ListOptions(
        json_count("n", values.get("n", DEFAULT_N)),
        optional_ids("only", values.get("only")),
        optional_ids("exclude", values.get("exclude")),
        optional_count("per_interest", values.get("per_interest")),
        optional_flag("exclude_seen", values.get("exclude_seen")),
    )
    return RecommendRequest(histories, is_batch, options)


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises RequestError for other bytes, NaN, infinity, and an integer of more than MAX_DIGITS.
    """

    def reject_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    def finite_float(text: str) -> float:
        if math.isinf(value := float(text)):
            raise ValueError("a number that is too large for a double")
        return value

    def short_integer(text: str) -> int:
        if len(text.lstrip("-")) > MAX_DIGITS:
            raise ValueError(f"an integer of more than {MAX_DIGITS:,} digits")
        return int(text)

    try:
        return json.loads(
            body,
            parse_constant=reject_constant,
            parse_float=finite_float,
            parse_int=short_integer,
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise RequestError(400, say("body", "JSON", reason)) from None  # serving-R10


def json_ids(name: str, value: object) -> Ids:
    """Return item ids as text; an integer is the text of its digits."""
    if not isinstance(value, list):
        reject(name, "a list of item ids", json.dumps(value))
    for item in value:
        if not isinstance(item, str | int) or isinstance(item, bool):
            reject(name, "item ids as strings or integers", json.dumps(item))
    return [str(item) for item in value]


def optional_ids(name: str, value: object) -> Ids | None:
    """Return item ids, None for null."""
    return None if value is None else json_ids(name, value)


def json_count(name: str, value: object) -> int:
    """Return an integer from 1 to MAX_N."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_N:
        reject(name, f"an integer from 1 to {MAX_N}", json.dumps(value))
    return value


def optional_count(name: str, value: object) -> int | None:
    """Return an integer from 1 to MAX_N, None for null."""
    return None if value is None else json_count(name, value)


def optional_flag(name: str, value: object) -> bool | None:
    """Return true or false, None for null."""
    if value is not None and not isinstance(value, bool):
        reject(name, "true or false", json.dumps(value))
    return value


def reject(name: str, expected: str, got: str) -> NoReturn:
    """Raise RequestError with status 422 for a value."""
    raise RequestError(422, say(name, expected, got[:QUOTED]))  # serving-R10
