"""Reading the name of a cell as a learner writes it: `w[Night Ferry, 4]`, `w[2][1, 4]`, `loss`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from mindref.data.shown import shown
from mindref.errors import ConfigError, say
from mindref.study.close import closest
from mindref.study.terminal.axes import PLACES_IN, Axis, axes_of
from mindref.study.terminal.finding import main_tensor, place_of
from mindref.study.terminal.widths import safe
from mindref.study.trace import Trace


class Cell(NamedTuple):
    """One number of a tensor."""

    tensor: Any
    at: int  # place of the step that makes it
    place: tuple[int, ...]


def cell(trace: Trace, at: int, text: str) -> Cell:
    """Return the cell that a text names, seen from a step; without an index the largest.

    A tensor is named in full (`w[2]`) or by its symbol (`w`: the one on the screen, or the last
    before it). A place is a number from 1, a title, or the beginning or a part of one title.
    Raises ConfigError that says what there is.
    """
    if not text.strip():
        tensor = main_tensor(trace.steps[at])
        return Cell(tensor, at, largest_of(tensor))
    for tensor, made_at, rest in readings(trace, at, text.strip()):
        if not rest:
            return Cell(tensor, made_at, largest_of(tensor))
        if rest[0] == "[" and rest[-1] == "]":
            return Cell(tensor, made_at, index_of(trace, tensor, rest[1:-1]))
    names = [*trace.tensors]
    expected = "a cell such as " + example(trace, at)
    raise ConfigError(say("cell", expected, shown(text), closest(text, names)))


def readings(trace: Trace, at: int, text: str) -> Iterator[tuple[Any, int, str]]:
    """Yield tensor, step and what follows, the longest names first, symbols after names."""
    known = trace.tensors
    for name in sorted(known, key=len, reverse=True):
        if text.startswith(name):
            yield known[name], place_of(trace, name), text[len(name) :].strip()
    places = [(place_of(trace, name), name) for name in known]
    near = sorted(places, key=lambda found: (found[0] > at, abs(found[0] - at)))
    for place, name in sorted(near, key=lambda found: -len(known[found[1]].symbol)):
        symbol = known[name].symbol
        if text.startswith(symbol):
            yield known[name], place, text[len(symbol) :].strip()


def largest_of(tensor: Any) -> tuple[int, ...]:
    """Return where the largest number of a tensor stands, by size; of places the first."""
    if tensor.name in PLACES_IN:
        return (0,)
    sizes = np.abs(np.nan_to_num(np.asarray(tensor.values, float), neginf=0, posinf=0))
    return tuple(int(i) for i in np.unravel_index(int(sizes.argmax()), sizes.shape))


def index_of(trace: Trace, tensor: Any, text: str) -> tuple[int, ...]:
    """Return the places that are named between the brackets; a title may have commas in it."""
    axes = axes_of(trace, tensor)
    pieces = text.split(",")
    for groups in partitions(pieces, len(axes)):
        places = [place_on(axis.titles, group) for axis, group in zip(axes, groups, strict=True)]
        if all(isinstance(place, int) for place in places):
            return tuple(places)  # type: ignore[arg-type]
    raise ConfigError(misfit(tensor, axes, text, pieces))


def misfit(tensor: Any, axes: list[Axis], text: str, pieces: list[str]) -> str:
    """Return the message for places that are not there: how many, or the first that fails."""
    if axes and len(pieces) >= len(axes):
        groups = [*pieces[: len(axes) - 1], ",".join(pieces[len(axes) - 1 :])]
        for axis, group in zip(axes, groups, strict=True):
            place = place_on(axis.titles, group)
            if not isinstance(place, int):
                expected = f"a number from 1 to {len(axis.titles)} or a title"
                return say(axis.name, expected, shown(group.strip()), place)
    wanted = f"{len(axes)} places" + "".join(f", {axis.name}" for axis in axes)
    return say(f"{tensor.name}[..]", wanted, shown(text))


def partitions(pieces: list[str], count: int) -> Iterator[list[str]]:
    """Yield every way to join neighbouring pieces to so many groups."""
    if count == 1:
        yield [",".join(pieces)]
    for first in range(1, len(pieces) - count + 2 if count > 1 else 0):
        for rest in partitions(pieces[first:], count - 1):
            yield [",".join(pieces[:first]), *rest]


def place_on(titles: tuple[str, ...], text: str) -> int | str:
    """Return the place with that number or title, from 0; else what could have been meant."""
    word = safe(text.strip())
    if word.isdecimal() and 1 <= int(word) <= len(titles):
        return int(word) - 1
    word = word.strip("'\"").casefold()
    folded = [title.casefold() for title in titles]
    tests = (word.__eq__, lambda title: title.startswith(word), lambda title: word in title)
    for test in tests:
        places = [i for i, title in enumerate(folded) if test(title)]
        if len(places) == 1:
            return places[0]
        if places:
            return "it could be " + " or ".join(str(i + 1) for i in places[:5])
    return closest(word, titles)


def example(trace: Trace, at: int) -> str:
    """Return the name of the largest cell on the screen."""
    tensor = main_tensor(trace.steps[at])
    return cell_name(trace, tensor, largest_of(tensor))


def cell_name(trace: Trace, tensor: Any, index: tuple[int, ...]) -> str:
    """Return the name of a cell in the form in which it can be typed."""
    if not index:
        return str(tensor.name)
    axes = axes_of(trace, tensor)
    words = [place_name(axis, i) for axis, i in zip(axes, index, strict=True)]
    return f"{tensor.name}[{', '.join(words)}]"


def place_name(axis: Axis, i: int) -> str:
    """Return the title of a place if typing it would find that place, else its number."""
    title = axis.titles[i]
    clear = axis.numbered and "," not in title and place_on(axis.titles, title) == i
    return title if clear else str(i + 1)
