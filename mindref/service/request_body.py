"""The JSON body of a request: its fields and limits. Spec: specs/serving.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, NamedTuple, NoReturn, NotRequired, TypeAlias, TypedDict

from mindref.errors import say
from mindref.recommender.serving.list_request import ListRequest
from mindref.run.stored_json import InvalidValue, Rule, check_json, number_range

MAX_BODY = 1 << 20  # bytes
MAX_HISTORIES = 256  # of one request
MAX_N = 1000  # items of a list
CONTENT_TYPE = "application/json"


class RequestError(Exception):
    """An invalid request: a status from 400 to 499 and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class SimilarRequest(NamedTuple):
    """A request for the items that are similar to an item."""

    item: str
    lists: ListRequest  # n, only and exclude


class RecommendRequest(NamedTuple):
    """A request for the lists of histories, or of one user of the log."""

    lists: ListRequest  # with the histories or the user
    is_batch: bool  # `histories` was given, not `history`


ItemId: TypeAlias = Annotated[
    object, Rule("item ids as strings or integers", lambda x: type(x) in (str, int))
]
UserId: TypeAlias = Annotated[
    object, Rule("a user id as a string or an integer", lambda x: type(x) in (str, int))
]
ItemIds: TypeAlias = Annotated[list[ItemId], Rule("a list of item ids")]
ListLength: TypeAlias = Annotated[int, number_range(1, MAX_N, f"an integer from 1 to {MAX_N}")]
MANY_HISTORIES = Rule(
    f"a list of 1 to {MAX_HISTORIES} histories", lambda x: 1 <= len(x) <= MAX_HISTORIES
)


class RequestFields(TypedDict, total=False):
    """The fields of a body. One of `user`, `history` and `histories` is required."""

    user: UserId
    history: ItemIds
    histories: Annotated[list[ItemIds], MANY_HISTORIES]
    n: ListLength
    only: ItemIds | None
    exclude: ItemIds | None
    per_interest: ListLength | None
    exclude_seen: bool | None


class SimilarFields(TypedDict):
    """The fields of a body of /similar."""

    item: ItemId
    n: NotRequired[ListLength]
    only: NotRequired[ItemIds | None]
    exclude: NotRequired[ItemIds | None]


def parse_similar(body: bytes) -> SimilarRequest:
    """Return the request of a body of /similar. Raises as `parse_request`."""
    values = parse_fields(body, SimilarFields)
    return SimilarRequest(str(values["item"]), list_request(values))


def list_request(values: Mapping[str, Any]) -> ListRequest:
    """Return a request with the options of a body, without users and histories."""
    return ListRequest(
        n=values.get("n", ListRequest.n),
        only=ids_as_text(values.get("only")),
        exclude=ids_as_text(values.get("exclude")),
        per_interest=values.get("per_interest"),
        exclude_seen=values.get("exclude_seen"),
    )


def parse_fields(body: bytes, fields: type) -> dict[str, Any]:
    """Return the values of a JSON body with these fields. Raises as `parse_request`."""
    values = parse_json(body)
    try:
        check_json(values, fields)
    except InvalidValue as error:
        is_unknown = isinstance(values, dict) and not error.location
        got = error.got if is_unknown else json.dumps(error.value)
        reject(error.location or "body", error.expected, got)
    return dict(values)


def parse_request(body: bytes) -> RecommendRequest:
    """Return the request of a body. Raises RequestError: 400 for bad JSON, 422 for bad values."""
    values = parse_fields(body, RequestFields)
    subjects = [name for name in ("user", "history", "histories") if name in values]
    if len(subjects) != 1:
        reject("body", "one of user, history and histories", " and ".join(subjects) or "none")
    request = list_request(values)
    if "user" in values:
        return RecommendRequest(replace(request, users=[str(values["user"])]), is_batch=False)
    is_batch = "histories" in values
    histories = values["histories"] if is_batch else [values["history"]]
    texts = [ids_as_text(ids) for ids in histories]
    return RecommendRequest(replace(request, histories=texts), is_batch)


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises RequestError for other bytes and for NaN."""

    def reject_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(body, parse_constant=reject_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise RequestError(400, say("body", "JSON", reason)) from None  # serving-R10


def ids_as_text(ids: list[str | int] | None) -> list[str] | None:
    """Return item ids as text; an integer is the text of its digits."""
    return None if ids is None else [str(item) for item in ids]


def reject(name: str, expected: str, got: str) -> NoReturn:
    """Raise RequestError with status 422 for a value."""
    raise RequestError(422, say(name, expected, got))  # serving-R10
