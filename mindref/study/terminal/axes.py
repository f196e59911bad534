"""The places along the axes of a tensor: their titles, safe for a terminal, and their numbers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.widths import safe
from mindref.study.trace import Tensor, Trace

PLACES_IN = {"brought_by": "interest", "top": "item"}
"""Tensors whose numbers are places along an axis: they are shown as the title of the place."""


class Axis(NamedTuple):
    """The places along one axis: its name and a title for each."""

    name: str
    titles: tuple[str, ...]
    known: bool  # the titles say more than the number of the place
    numbered: bool  # and the number is not part of them, as it is of "interest 3"


@lru_cache(maxsize=256)
def axis_of(name: str, titles: tuple[str, ...]) -> Axis:
    """Return an axis with titles that move no cursor."""
    shown = tuple(safe(title) for title in titles)
    plain = all(title == str(i + 1) for i, title in enumerate(shown))
    with_name = all(title == f"{name} {i + 1}" for i, title in enumerate(shown))
    return Axis(name, shown, not plain, not plain and not with_name)


def axes_of(trace: Trace, tensor: Tensor) -> list[Axis]:
    """Return the axes of a tensor; places without titles have their numbers from 1."""
    shape = np.shape(tensor.values)
    return [named_axis(trace, name, n) for name, n in zip(tensor.axes, shape, strict=True)]


def named_axis(trace: Trace, name: str, size: int) -> Axis:
    """Return an axis by its name, with numbers where the trace has no titles of that many."""
    titles = tuple(map(str, trace.labels.get(name, ())))
    if len(titles) != size:
        titles = tuple(str(i + 1) for i in range(size))
    return axis_of(name, titles)


def upright(trace: Trace, tensor: Tensor) -> bool:
    """Return whether a tensor is a vector whose places have titles: it stands as a column."""
    return len(tensor.axes) == 1 and (axes_of(trace, tensor)[0].known or tensor.name in PLACES_IN)


def row_label(axis: Axis, i: int) -> str:
    """Return number and title of a place; the number is what `x` takes for the title."""
    if not axis.name:
        return ""
    number = f"{i + 1:>{len(str(len(axis.titles)))}}"
    return f"{number} {axis.titles[i]}" if axis.numbered else axis.titles[i]


def places(axes: list[Axis], at: tuple[int, ...]) -> str:
    """Return where along some axes something stands, as "behaviour 3 Night Ferry"."""
    words = []
    for axis, i in zip(axes, at, strict=False):
        words.append(f"{axis.name} {i + 1}" + (f" {axis.titles[i]}" if axis.numbered else ""))
    return ", ".join(words)


def taking_part(trace: Trace, axis: Axis) -> Any:
    """Return which places of an axis take part (n,): all, but of the interests the active ones."""
    size = len(axis.titles)
    active = trace.values.get("active") if axis.name == "interest" else None
    return np.ones(size, bool) if active is None or len(active) != size else np.asarray(active)
