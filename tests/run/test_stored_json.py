"""A JSON value is compared with its declaration, and the first difference is named."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NotRequired, TypedDict

import pytest

from mindref.run.stored_json import Count, Finite, InvalidValue, Rule, check_json


class Item(TypedDict):
    id: str
    count: Count
    title: NotRequired[str | None]


@dataclass
class Stored:
    name: str | int
    items: list[Item]
    weights: dict[str, Finite]
    pair: tuple[float, bool] | None = None
    kind: Literal["one", "two"] = "one"


ITEM = {"id": "a", "count": 2}
RIGHT = {"name": 7, "items": [ITEM], "weights": {"x": 1}, "pair": [2, True], "kind": "two"}


@pytest.mark.rules("security-R1")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": True}, "^name: expected a text or an integer, got True$"),
        ({"name": 1 << 63}, "^name: expected a text or an integer, got 92"),
        ({"items": {}}, r"^items: expected a list, got \{\}$"),
        ({"items": [ITEM, 3]}, r"^items\[1\]: expected an object, got 3$"),
        ({"items": [{"id": "a"}]}, r"\[0\]: expected the fields id, count, got none of count$"),
        ({"items": [{**ITEM, "x": 1}]}, r"\[0\]: expected the fields id, count, title, got x$"),
        ({"items": [{**ITEM, "count": -1}]}, "count: expected an integer of at least 0, got -1$"),
        ({"items": [{**ITEM, "count": "2"}]}, "count: expected an integer of at least 0, got '2'$"),
        ({"items": [{**ITEM, "title": 3}]}, "title: expected a text, got 3$"),
        ({"weights": {"y": math.nan}}, "^weights: y: expected a finite number, got nan$"),
        ({"pair": [1]}, r"^pair: expected a list of 2 values, got \[1\]$"),
        ({"pair": [1, 0]}, r"^pair\[1\]: expected true or false, got 0$"),
        ({"kind": "three"}, "^kind: expected 'one' or 'two', got 'three'$"),
        ({"other": 1}, "^JSON value: expected exactly the fields name, items, .*, got other$"),
    ],
)  # fmt: skip
def test_the_first_difference_is_named(change, message):
    check_json(RIGHT, Stored)
    check_json({**RIGHT, "items": [{**ITEM, "title": None}], "pair": None}, Stored)
    with pytest.raises(InvalidValue, match=message):
        check_json({**RIGHT, **change}, Stored)


def test_only_the_outer_object_of_a_partial_check_may_have_other_fields():
    check_json({**RIGHT, "other": 1}, Stored, partial=True)
    with pytest.raises(InvalidValue, match=r"^file: items\[0\]: expected the fields"):
        check_json({**RIGHT, "items": [{**ITEM, "x": 1}]}, Stored, "file", partial=True)


def test_a_rule_describes_the_whole_value():
    kind = Annotated[list[int], Rule("one or two integers", lambda x: 1 <= len(x) <= 2)]
    check_json([1], kind)
    for value, message in (
        (3, "^n: expected one or two"),
        (["a"], r"^n\[0\]: expected an integer"),
    ):
        with pytest.raises(InvalidValue, match=message):
            check_json(value, kind, "n")
    with pytest.raises(InvalidValue, match=r"got \[\]"):
        check_json([], kind, "n")
