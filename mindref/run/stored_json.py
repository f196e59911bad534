"""Checks of JSON values against a declaration: types, ranges, and the names of the fields.

A declaration is a type: `str`, `int`, `float`, `bool`, `object` (any value), `T | None`,
`Literal[...]`, `list[T]`, `dict[str, T]`, `tuple[S, T]` (a list of two values), or a TypedDict or
dataclass (the fields of an object). `Annotated[T, Rule(...)]` adds a range. A bool is no number. A
`float` may be written without a fraction. The declaration is also the type of the values for a type
checker. metadata.py declares the values of config.json and of the headers of arrays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    NotRequired,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from mindref.errors import say

Decoded = TypeVar("Decoded")
LONGEST_INTEGER = (1 << 63) - 1  # of int64
LARGEST_COUNT = (1 << 62) - 1


class InvalidValue(ValueError):
    """A value that differs from its declaration: where, what is expected, and the value.

    got: description of the value; by default the value itself.
    """

    def __init__(self, location: str, expected: str, value: object, got: str = "") -> None:
        self.location, self.expected, self.value = location, expected, value
        self.got = got or repr(value)
        super().__init__(say(location or "JSON value", expected, self.got))

    def message(self, path: object, todo: str) -> str:
        """Return the text of the error for a file, with advice."""
        return say(inner_location(str(path), self.location), self.expected, self.got, todo)


@dataclass(frozen=True)
class Rule:
    """The accepted values of a type, and their description in messages."""

    expected: str
    accepts: Callable[[Any], bool] = lambda value: True


def number_range(low: float, high: float, expected: str) -> Rule:
    """Return the rule of numbers from `low` to `high`; NaN is not one of them."""
    return Rule(expected, lambda value: low <= value <= high)


def is_json_integer(value: object) -> bool:
    """Return whether a value is an integer that fits int64, and no bool."""
    return type(value) is int and abs(value) <= LONGEST_INTEGER


PLAIN: dict[object, Rule] = {
    str: Rule("a text", lambda value: isinstance(value, str)),
    bool: Rule("true or false", lambda value: isinstance(value, bool)),
    int: Rule("an integer", is_json_integer),
    float: Rule("a number", lambda value: isinstance(value, float) or is_json_integer(value)),
    NoneType: Rule("null", lambda value: value is None),
    object: Rule("any value"),
    list: Rule("a list", lambda value: isinstance(value, list | tuple)),
    dict: Rule("an object", lambda value: isinstance(value, Mapping)),
}
Count: TypeAlias = Annotated[int, number_range(0, LARGEST_COUNT, "an integer of at least 0")]
Finite: TypeAlias = Annotated[
    float, number_range(-sys.float_info.max, sys.float_info.max, "a finite number")
]


def check_json(value: Any, kind: Any, location: str = "", *, partial: bool = False) -> None:
    """Raise InvalidValue with the first part of a JSON value that differs from its declaration.

    location: name of the value in the error; "" for the content of a file. partial: the object may
    have further fields; objects within it may not.
    """
    origin, parameters = get_origin(kind), get_args(kind)
    if is_typeddict(kind) or is_dataclass(kind):
        check_fields(value, kind, location, partial=partial)
    elif origin is Annotated:
        check_annotated(value, parameters[0], parameters[1], location)
    elif origin in (Union, UnionType):
        check_union(value, parameters, location)
    elif origin is dict:
        check_plain(value, dict, location)
        for name, element in value.items():
            check_json(element, parameters[1], inner_location(location, name))
    elif origin in (list, tuple):
        check_plain(value, list, location)
        if origin is tuple and len(value) != len(parameters):
            raise InvalidValue(location, f"a list of {len(parameters)} values", value)
        kinds = parameters if origin is tuple else parameters * len(value)
        for index, element in enumerate(value):
            check_json(element, kinds[index], f"{location}[{index}]")
    else:
        check_plain(value, kind, location)


def decode(value: Mapping[str, Any], kind: Callable[..., Decoded]) -> Decoded:
    """Return the dataclass of this kind that a JSON object declares. Raises as `check_json`."""
    check_json(value, kind)
    return kind(**value)


def check_plain(value: object, kind: object, location: str) -> None:
    """Raise InvalidValue unless a value has this type of `PLAIN`, or is one of a Literal."""
    words = get_args(kind)
    rule = Rule(" or ".join(map(repr, words)), words.__contains__) if words else PLAIN[kind]
    if not rule.accepts(value):
        raise InvalidValue(location, rule.expected, value)


def check_annotated(value: object, kind: object, rule: Rule, location: str) -> None:
    """Raise InvalidValue unless a value has a type and follows a rule."""
    try:
        check_json(value, kind, location)
    except InvalidValue as error:
        if error.location != location:  # a part of the value
            raise
        raise InvalidValue(location, rule.expected, value) from None
    if not rule.accepts(value):
        raise InvalidValue(location, rule.expected, value)


def check_union(value: object, kinds: tuple[object, ...], location: str) -> None:
    """Raise InvalidValue unless a value is null, where allowed, or has one of the types."""
    alternatives = [kind for kind in kinds if kind is not NoneType]
    if value is None and NoneType in kinds:
        return
    if len(alternatives) == 1:
        check_json(value, alternatives[0], location)
    elif not any(PLAIN[kind].accepts(value) for kind in alternatives):
        expected = " or ".join(PLAIN[kind].expected for kind in alternatives)
        raise InvalidValue(location, expected, value)


def check_fields(value: object, kind: Any, location: str, *, partial: bool) -> None:
    """Raise InvalidValue unless a value is an object with the fields of a declaration."""
    if not isinstance(value, Mapping):
        raise InvalidValue(location, "an object", value)
    field_types, required = declared_fields(kind)
    missing = sorted(required - value.keys())
    unknown = [] if partial else sorted(value.keys() - field_types.keys())
    if missing or unknown:
        exactly = "exactly " if required == field_types.keys() and not partial else ""
        names = ", ".join(name for name in field_types if unknown or name in required)
        got = f"none of {', '.join(missing)}" if missing else ", ".join(unknown)
        raise InvalidValue(location, f"{exactly}the fields {names}", value, got)
    for name, field_type in field_types.items():
        if name in value:
            check_json(value[name], field_type, inner_location(location, name))


@cache
def declared_fields(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """Return name -> type of the fields of a TypedDict or dataclass, and the required names.

    All fields of a dataclass are required, also those with a default value.
    """
    hints = get_type_hints(kind, include_extras=True)
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    types = {name: get_args(x)[0] if name in optional else x for name, x in hints.items()}
    return types, types.keys() - optional if getattr(kind, "__total__", True) else set()


def inner_location(location: str, name: str) -> str:
    """Return the name of a part of a value in an error."""
    return ": ".join(filter(None, (location, name)))
