"""A tensor as tables: titles on the rows, a sign at the largest of a row.

What does not fit is said, never left out in silence: rows beyond the first few, columns beyond the
edge, and the further tables of a tensor with more than two axes. With `all` nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.axes import (
    PLACES_IN,
    Axis,
    axes_of,
    named_axis,
    places,
    row_label,
    taking_part,
)
from mindref.study.terminal.lines import Line
from mindref.study.terminal.numerals import aligned, form, number
from mindref.study.terminal.widths import left, right, width
from mindref.study.trace import Tensor, Trace

INDENT = 3
ROWS = 8  # of a table, unless all are asked for
MARK = " ^"
NO_MARK = "  "
GRADIENTS = ("d_", "from_")  # how the names of gradients begin
LABEL = 28  # columns of a title when room is short
NOTHING = Axis("", ("",), False, False)


class Room(NamedTuple):
    """What there is room for, and what must not be left out."""

    columns: int
    all_: bool = False  # leave nothing out
    keep: frozenset[str] = frozenset()  # titles whose rows are shown in any case


class Grid(NamedTuple):
    """One table: texts (rows, columns), with a sign behind the largest of a row."""

    rows: Axis
    columns: Axis
    texts: list[list[str]]


def tensor_lines(trace: Trace, tensor: Tensor, room: Room) -> list[Line]:
    """Return the tables of a tensor with axes; one line where all numbers are the same."""
    array, axes = np.asarray(tensor.values), axes_of(trace, tensor)
    if array.size > ROWS and (array == array.flat[0]).all():
        same = number(array.flat[0], form(array))
        return [Line(f"{' ' * INDENT}every number is {same}")]
    lines: list[Line] = []
    leading = list(np.ndindex(*array.shape[:-2]))
    for at in leading if room.all_ else leading[:1]:
        if at:
            lines.append(Line(f"{' ' * INDENT}{places(axes, at)}:", "dim"))
        lines += grid_lines(grid_of(trace, tensor, axes, at), room)
    if not room.all_ and len(leading) > 1:
        each = " and ".join(tensor.axes[:-2])
        lines.append(more(len(leading) - 1, "table", f", one for each {each}"))
    return lines


def grid_of(trace: Trace, tensor: Tensor, axes: list[Axis], at: tuple[int, ...]) -> Grid:
    """Return the table of a matrix, or of a vector as one row."""
    array = np.atleast_2d(np.asarray(tensor.values)[at])
    rows, across = [NOTHING, *axes][-2:]
    marked = largest(array, across, taking_part(trace, across), by_size(tensor))
    shape = form(tensor.values)
    texts = [[aligned(x, shape) for x in row] for row in array.tolist()]
    return Grid(rows, across, with_marks(texts, marked))


def vectors_lines(trace: Trace, tensors: Sequence[Tensor], room: Room) -> list[Line]:
    """Return one table for vectors along one axis with titles: a column for each."""
    (axis,) = axes_of(trace, tensors[0])
    texts = []
    for tensor in tensors:
        array = np.asarray(tensor.values)
        marked = largest(array[None], axis, taking_part(trace, axis), by_size(tensor))
        texts.append(with_marks([cell_texts(trace, tensor, room.columns)], marked)[0])
    heads = Axis("", tuple(tensor.name for tensor in tensors), True, False)
    rows = [list(row) for row in zip(*texts, strict=True)]
    return grid_lines(Grid(axis, heads, rows), room)


def cell_texts(trace: Trace, tensor: Tensor, columns: int) -> list[str]:
    """Return the cells of a vector as texts: numbers, or the titles of the places they name."""
    array = np.asarray(tensor.values)
    if tensor.name not in PLACES_IN:
        return [aligned(x, form(array)) for x in array.tolist()]
    name = PLACES_IN[tensor.name]
    axis = named_axis(trace, name, len(trace.labels.get(name, ())))
    names = [row_label(axis, int(x)) if axis.titles else str(x) for x in array]
    longest = min(max(map(width, names)), max(columns * 2 // 5, len(tensor.name)))
    return [left(text, longest) for text in names]


def ranking_lines(trace: Trace, tensor: Tensor, room: Room) -> list[Line]:
    """Return the list that is served: each item with its score and the interest that brought it."""
    order = np.asarray(tensor.values)
    parts = [tensor]
    for name in ("best", "brought_by"):
        if name in trace.tensors:
            values = np.asarray(trace.values[name])[order]
            parts.append(trace.tensors[name]._replace(values=values, axes=tensor.axes))
    return vectors_lines(trace, parts, room)


def by_size(tensor: Tensor) -> bool:
    """Return whether the largest is the largest by size: a gradient has no better sign."""
    return tensor.name.startswith(GRADIENTS)


def largest(array: Any, across: Axis, live: Any, by_size: bool) -> Any:
    """Return where the largest number of each row stands (rows, columns), among the live places.

    Only among places that have names: the coordinates of a vector are not to be compared.
    """
    marked = np.zeros(array.shape, bool)
    if array.dtype.kind != "f" or not across.known or live.sum() < 2:
        return marked
    sizes = np.abs(array) if by_size else array
    sizes = np.where(np.isnan(array) | ~live, -np.inf, sizes)
    differ = sizes.max(axis=1) > sizes[:, live].min(axis=1)
    marked[np.arange(len(array))[differ], sizes.argmax(axis=1)[differ]] = True
    return marked


def with_marks(texts: list[list[str]], marked: Any) -> list[list[str]]:
    """Return texts with a sign behind the largest, and as much room behind the others."""
    if not marked.any():
        return texts
    return [
        [text + (MARK if mark else NO_MARK) for text, mark in zip(row, marks, strict=True)]
        for row, marks in zip(texts, marked, strict=True)
    ]


def grid_lines(grid: Grid, room: Room) -> list[Line]:
    """Return a table in as many blocks of columns as it takes (`all`), or the first."""
    cell = max((width(text) for row in grid.texts for text in row), default=1)
    heads = headings(grid, cell, room.columns)
    steps = widths(grid, heads)
    label = label_width(grid, heads, room.columns, sum(steps))
    first, count = 0, len(heads)
    lines: list[Line] = []
    while first < count:
        end, free = first + 1, room.columns - INDENT - label - steps[first]
        while end < count and steps[end] <= free:
            free -= steps[end]
            end += 1
        lines += block(grid, heads, range(first, end), label, steps, room)
        if end < count and not room.all_:
            return [*lines, more(count - end, "column")]
        first = end
    return lines


def widths(grid: Grid, heads: list[str]) -> list[int]:
    """Return the columns of each cell: the same for all of a tensor, each its own for vectors."""
    own = [
        max(width(head), *(width(row[j]) for row in grid.texts)) + 2 for j, head in enumerate(heads)
    ]
    return [max(own)] * len(own) if grid.columns.name else own


def more(count: int, word: str, rest: str = "") -> Line:
    """Return the line that says what is left out."""
    return Line(
        f"{' ' * INDENT}...  ({counted(count, 'more ' + word)}{rest}, `all` to show)", "dim"
    )


def counted(number: int, word: str) -> str:
    """Return "1 row" or "2 rows"."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def numbers(axis: Axis) -> list[str]:
    """Return the numbers of the places, from 1."""
    return [str(i + 1) for i in range(len(axis.titles))]


def headings(grid: Grid, cell: int, columns: int) -> list[str]:
    """Return what stands over the columns: titles, or numbers where titles take too much room."""
    titles = list(grid.columns.titles)
    longest = max(width(title) for title in titles)
    label = min(label_needed(grid), LABEL)
    fits = INDENT + label + len(titles) * (max(longest, cell) + 2) <= columns
    return titles if fits or longest <= cell or not grid.columns.name else numbers(grid.columns)


def label_needed(grid: Grid) -> int:
    """Return the columns that the longest title of a row takes."""
    return max(width(row_label(grid.rows, i)) for i in range(len(grid.rows.titles)))


def label_width(grid: Grid, heads: list[str], columns: int, cells: int) -> int:
    """Return the columns for number and title of a row; titles give way, down to `LABEL`."""
    needed = max(label_needed(grid), width(corner(grid, heads)))
    left_over = columns - INDENT - cells
    return min(needed, max(left_over, min(LABEL, columns * 2 // 5)))


def corner(grid: Grid, heads: list[str]) -> str:
    """Return what stands over the titles: the axis down, and that across if it says not itself."""
    down, across = grid.rows.name, grid.columns.name
    if across and heads == numbers(grid.columns):
        return f"{down} | {across}" if down else across
    return down


def block(
    grid: Grid, heads: list[str], shown: range, label: int, steps: list[int], room: Room
) -> list[Line]:
    """Return head and rows of some columns of a table."""
    margin = " " * INDENT
    name = corner(grid, heads)
    name = name if width(name) <= label else grid.rows.name
    over = "".join(right(heads[j], steps[j]) for j in shown)
    lines = [Line(margin + left(name, label) + over, "dim")]
    rows = rows_shown(grid, room)
    for i in rows:
        cells = "".join(right(grid.texts[i][j], steps[j]) for j in shown)
        lines.append(Line(margin + left(row_label(grid.rows, i), label) + cells))
    hidden = len(grid.texts) - len(rows)
    return [*lines, more(hidden, "row")] if hidden else lines


def rows_shown(grid: Grid, room: Room) -> list[int]:
    """Return the rows to show: all, or the first few and those that must be kept in sight."""
    count = len(grid.texts)
    if room.all_ or count <= ROWS + 1:  # "1 more row" takes the room of that one
        return list(range(count))
    kept = [i for i in range(ROWS, count) if grid.rows.titles[i] in room.keep]
    return [*range(ROWS), *kept]
