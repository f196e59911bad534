"""The axes of a tensor, and number formats: one format for a whole table.

The text of a number is its rounded value. An exact zero is printed as "0": the entry was masked,
set to zero by a ReLU, or has no gradient. "0.000" is a small number that is not zero.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.text import escape_title
from mindref.study.trace import Tensor, Trace

INDEX_TENSORS = {"brought_by": "interest", "top": "item"}
"""Tensors whose values are positions along an axis: a table shows the title of the position."""


AXIS_WORDS = {"behaviour": "film"}
"""The words for axes of the trace whose positions are items of the study: films."""


def name_axis(name: str) -> str:
    """Return the printed name of an axis of the trace."""
    return AXIS_WORDS.get(name, name)


class Axis(NamedTuple):
    """One axis: its printed name, and a title for each position."""

    name: str
    titles: tuple[str, ...]
    has_titles: bool  # the titles are more than the numbers 1 to n
    shows_number: bool  # a label needs the number too; false for titles such as "interest 3"


@lru_cache(maxsize=256)
def make_axis(name: str, titles: tuple[str, ...]) -> Axis:
    """Return an axis with escaped titles."""
    name = name_axis(name)
    escaped = tuple(escape_title(title) for title in titles)
    numbers_only = all(title == str(i + 1) for i, title in enumerate(escaped))
    name_and_number = all(title == f"{name} {i + 1}" for i, title in enumerate(escaped))
    return Axis(name, escaped, not numbers_only, not numbers_only and not name_and_number)


def get_axes(trace: Trace, tensor: Tensor) -> list[Axis]:
    """Return the axes of a tensor; positions without titles have numbers, counted from 1."""
    shape = np.shape(tensor.values)
    return [get_labelled_axis(trace, name, n) for name, n in zip(tensor.axes, shape, strict=True)]


def get_labelled_axis(trace: Trace, name: str, size: int) -> Axis:
    """Return an axis by name, with numbers unless the trace has `size` titles for it."""
    titles = tuple(map(str, trace.labels.get(name, ())))
    if len(titles) != size:
        titles = tuple(str(i + 1) for i in range(size))
    return make_axis(name, titles)


def is_titled_vector(trace: Trace, tensor: Tensor) -> bool:
    """Return whether a tensor is a vector with titles, which is printed as a column."""
    if len(tensor.axes) != 1:
        return False
    return get_axes(trace, tensor)[0].has_titles or tensor.name in INDEX_TENSORS


def format_row_label(axis: Axis, i: int) -> str:
    """Return number and title of a position. `x` accepts the number in place of the title."""
    if not axis.name:
        return ""
    number = f"{i + 1:>{len(str(len(axis.titles)))}}"
    return f"{number} {axis.titles[i]}" if axis.shows_number else axis.titles[i]


def format_position(axes: list[Axis], index: tuple[int, ...]) -> str:
    """Return an index in words, such as "behaviour 3 Night Ferry"."""
    words = []
    for axis, i in zip(axes, index, strict=False):
        words.append(f"{axis.name} {i + 1}" + (f" {axis.titles[i]}" if axis.shows_number else ""))
    return ", ".join(words)


def select_active(trace: Trace, axis: Axis) -> Any:
    """Return a mask (n,) of an axis: the active interests, or every position of another axis."""
    size = len(axis.titles)
    active = trace.values.get("active") if axis.name == "interest" else None
    return np.ones(size, bool) if active is None or len(active) != size else np.asarray(active)


DECIMALS = 3
MOST_DECIMALS = 5
SMALLEST, LARGEST = 1e-3, 1e5  # other magnitudes are printed with an exponent


def choose_format(values: Any, extra_digits: int = 0) -> str:
    """Return one format for all numbers of an array.

    Three digits of the largest number, plus `extra_digits`, in fixed or exponent notation.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return "d"
    largest = float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
    if largest and not SMALLEST <= largest < LARGEST:
        return f".{2 + extra_digits}e"
    digits = 2 - math.floor(math.log10(largest)) if largest else DECIMALS
    return f".{min(max(digits, DECIMALS), MOST_DECIMALS) + extra_digits}f"


def format_number(value: Any, number_format: str) -> str:
    """Return a number in a format of `choose_format`; a bool as yes or no."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if value == 0:
        return "0"
    return f"{float(value):{number_format}}"


def align_number(value: Any, number_format: str) -> str:
    """Return a number padded so that decimal points align in a column that is flush right."""
    text = format_number(value, number_format)
    decimals = int(number_format[1]) if number_format.endswith("f") else 0
    return text + " " * (decimals + 1) if text == "0" and decimals else text


def format_change(value: float, number_format: str) -> str:
    """Return a difference with its sign."""
    text = format_number(value, number_format)
    return text if text[0] in "-0n" and value <= 0 else f"+{text}"


def format_exact(value: float) -> str:
    """Return all digits of a number, so that the printed terms add up to the printed total."""
    return "0" if value == 0 else repr(float(value))


def format_magnitude(value: float) -> str:
    """Return a residual or an error with two digits."""
    return "0" if value == 0 else f"{value:.1e}"
