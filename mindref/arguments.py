"""Checks of the arguments of public functions, derived from the annotations of their parameters.

Spec: specs/model.md, model-R64 and R65. `@check_arguments` checks, before the function is called,
each argument whose annotation is a kind of `KINDS`, a union of them, or `str | Path`. The fields of
a TypedDict in `**keywords: Unpack[...]` are arguments too. Functions check the elements of lists
and mappings, and the arguments of other types, themselves.

This module does not import NumPy, because commands set the number of threads before.
"""

from __future__ import annotations

import inspect
import math
import numbers
import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from mindref.errors import FOREIGN_ERRORS, ConfigError, say, value_text

Function = TypeVar("Function", bound=Callable[..., Any])
Count: TypeAlias = int
"""Annotation of an integer of at least 1."""

Natural: TypeAlias = int
"""Annotation of an integer of at least 0."""

LogPath: TypeAlias = str | Path
"""Annotation of the path of a log, which may continue within an archive; the reader checks it."""

LONGEST_NAME = 255  # bytes of a part of a path
LONGEST_PATH = 4095  # bytes
UNCHECKED = (
    "Any",
    "object",
    "ArrayLike",
    "Table",
    "Columns",
    "FeatureNames",
    "Recommender",
    "Index",
    "Origin",
    "ListRequest",
)
"""Annotations of arguments that the functions check themselves."""


class Kind(NamedTuple):
    """What an argument may be."""

    expected: str
    accepts: Callable[[Any], bool]
    convert: Callable[[Any], object] = lambda value: value


def is_flag(value: object) -> bool:
    """Return whether a value is True or False, of Python or NumPy."""
    kind = type(value)
    return isinstance(value, bool) or (kind.__module__ == "numpy" and "bool" in kind.__name__)


def is_integer(value: object) -> bool:
    """Return whether a value is an integer of Python or NumPy, and no bool."""
    is_duration = type(value).__name__ == "timedelta64"  # which NumPy registers as an integer
    return isinstance(value, numbers.Integral) and not is_flag(value) and not is_duration


def is_finite_number(value: object) -> bool:
    """Return whether a value is a finite number of Python or NumPy, and no bool."""
    if is_flag(value) or not isinstance(value, numbers.Real):
        return False
    try:
        return is_integer(value) or math.isfinite(value)
    except OverflowError:  # a fraction of long integers
        return False


def is_path(value: object) -> bool:
    """Return whether a value can name a file: not empty, no NUL, and no part that is too long."""
    if not isinstance(value, str | Path) or not str(value):
        return False
    try:
        name = os.fsencode(value)  # model-R65
    except UnicodeEncodeError:
        return False
    is_short = len(name) <= LONGEST_PATH and max(map(len, name.split(b"/"))) <= LONGEST_NAME
    return is_short and b"\0" not in name


def is_array(value: object) -> bool:
    """Return whether a value is an array of NumPy; none can be before NumPy is imported."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def is_iterable(value: object) -> bool:
    """Return whether a value has several values; a text and bytes are one value."""
    try:
        iter(value)  # type: ignore[call-overload]
    except FOREIGN_ERRORS:
        return False
    return not isinstance(value, str | bytes)


KINDS = {
    "bool": Kind("True or False", is_flag, bool),
    "int": Kind("an integer", is_integer, int),
    "Count": Kind("an integer of at least 1", lambda x: is_integer(x) and x >= 1, int),
    "Natural": Kind("an integer of at least 0", lambda x: is_integer(x) and x >= 0, int),
    "float": Kind("a finite number", is_finite_number),
    "str": Kind("a text", lambda x: isinstance(x, str)),
    "Path": Kind("the path of a file or folder", is_path, Path),
    "LogPath": Kind("the path of a log", lambda x: isinstance(x, str | Path)),
    "Array": Kind("an array of NumPy", is_array),
    "Iterable": Kind("a list", is_iterable),
    "Sequence": Kind("a list", is_iterable),
    "tuple": Kind("a pair", lambda x: isinstance(x, list | tuple) and len(x) == 2),
    "Mapping": Kind("a mapping", lambda x: isinstance(x, Mapping)),
    "dict": Kind("a mapping", lambda x: isinstance(x, Mapping)),
    "None": Kind("None", lambda x: x is None),
}
PATH_OR_TEXT = KINDS["Path"]._replace(convert=lambda value: value)


def check_arguments(function: Function) -> Function:
    """Check the arguments of a function by its annotations before each call.

    Raises ConfigError with the name of the function and of the parameter. An integer or a bool of
    NumPy becomes one of Python, and a text becomes a Path if only a Path is annotated.
    """
    signature = named_keywords(function, inspect.signature(function))
    kinds = {name: accepted_kinds(x) for name, x in signature.parameters.items()}
    checked = {name: accepted for name, accepted in kinds.items() if accepted}
    label = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

    @wraps(function)
    def call(*arguments: object, **keywords: object) -> object:
        try:
            bound = signature.bind(*arguments, **keywords)
        except TypeError as error:
            raise TypeError(f"{function.__name__}() {error}") from None
        for name, accepted in checked.items():
            if name in bound.arguments:  # model-R64
                bound.arguments[name] = convert_argument(
                    f"{label}: {name}", bound.arguments[name], accepted
                )
        return function(*bound.args, **bound.kwargs)

    return cast(Function, call)


def named_keywords(function: Callable[..., Any], signature: inspect.Signature) -> inspect.Signature:
    """Return a signature with the fields of a TypedDict in place of `**keywords: Unpack[...]`."""
    parameters = list(signature.parameters.values())
    last = parameters[-1] if parameters else None
    if last is None or last.kind is not last.VAR_KEYWORD or "Unpack[" not in str(last.annotation):
        return signature
    fields = function.__globals__[str(last.annotation).removeprefix("Unpack[").removesuffix("]")]
    arguments = [
        inspect.Parameter(name, last.KEYWORD_ONLY, default=..., annotation=kind.__forward_arg__)
        for name, kind in fields.__annotations__.items()
    ]
    return signature.replace(parameters=[*parameters[:-1], *arguments])


def accepted_kinds(parameter: inspect.Parameter) -> list[Kind]:
    """Return the kinds that a parameter accepts; none if the function checks it."""
    words = str(parameter.annotation).split(" | ")
    is_unchecked = parameter.annotation is parameter.empty or parameter.kind in (
        parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL,
    )  # fmt: skip
    names = [word.partition("[")[0].rpartition(".")[2] for word in words]
    if is_unchecked or any(name in UNCHECKED for name in names):
        return []
    if {"str", "Path"} <= set(names):
        return [PATH_OR_TEXT, *(KINDS[name] for name in names if name not in ("str", "Path"))]
    return [KINDS[name] for name in names]


def convert_argument(location: str, value: object, accepted: list[Kind]) -> object:
    """Return a value as its kind. Raises ConfigError for any other value."""
    for kind in accepted:
        if kind.accepts(value):
            return kind.convert(value)
    expected = " or ".join(kind.expected for kind in accepted)
    raise ConfigError(say(location, expected, value_text(value, quoted=True)))


def check_path_argument(location: str, value: object) -> None:
    """Raise ConfigError unless a value can name a file."""
    convert_argument(location, value, [PATH_OR_TEXT])
