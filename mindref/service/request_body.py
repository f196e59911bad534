"""The JSON body of a request: its fields and limits. Spec: specs/serving.md."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, NamedTuple, NoReturn, TypeAlias, TypedDict

from mindref.errors import say
from mindref.recommender.serving.list_request import ListRequest
from mindref.run.stored_json import InvalidValue, Rule, check_json, number_range

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

    lists: ListRequest  # with the histories
    is_batch: bool  # `histories` was given, not `history`


ItemId: TypeAlias = Annotated[
    object, Rule("item ids as strings or integers", lambda x: type(x) in (str, int))
]
ItemIds: TypeAlias = Annotated[list[ItemId], Rule("a list of item ids")]
ListLength: TypeAlias = Annotated[int, number_range(1, MAX_N, f"an integer from 1 to {MAX_N}")]
MANY_HISTORIES = f"a list of 1 to {MAX_HISTORIES} histories"


class RequestFields(TypedDict, total=False):
    """The fields of a body. Either `history` or `histories` is required."""

    history: ItemIds
    histories: Annotated[list[ItemIds], Rule(MANY_HISTORIES)]
    n: ListLength
    only: ItemIds | None
    exclude: ItemIds | None
    per_interest: ListLength | None
    exclude_seen: bool | None


def parse_request(body: bytes) -> RecommendRequest:
    """Return the request of a body. Raises RequestError: 400 for bad JSON, 422 for bad values."""
    values = parse_json(body)
    if not isinstance(values, dict):
        reject("body", "a JSON object", json.dumps(values))
    for name in values:
        if name not in RequestFields.__annotations__:
            fields = ", ".join(sorted(RequestFields.__annotations__))
            reject(name, f"one of the fields {fields}", "an unknown field")
    try:
        check_json(values, RequestFields)
    except InvalidValue as error:
        reject(error.location, error.expected, json.dumps(error.value))
    if ("history" in values) == ("histories" in values):
        reject("body", "history or histories", "both" if "history" in values else "none")
    is_batch = "histories" in values
    histories = values["histories"] if is_batch else [values["history"]]
    if not 1 <= len(histories) <= MAX_HISTORIES:
        reject("histories", MANY_HISTORIES, f"{len(histories)} histories")
    request = ListRequest(
        histories=[list(map(str, ids)) for ids in histories],
        n=values.get("n", ListRequest.n),
        only=ids_as_text(values.get("only")),
        exclude=ids_as_text(values.get("exclude")),
        per_interest=values.get("per_interest"),
        exclude_seen=values.get("exclude_seen"),
    )
    return RecommendRequest(request, is_batch)


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


def ids_as_text(ids: list[str | int] | None) -> Ids | None:
    """Return item ids as text; an integer is the text of its digits."""
    return None if ids is None else [str(item) for item in ids]


def reject(name: str, expected: str, got: str) -> NoReturn:
    """Raise RequestError with status 422 for a value."""
    raise RequestError(422, say(name, expected, got[:QUOTED]))  # serving-R10
