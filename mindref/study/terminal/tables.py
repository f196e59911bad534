"""A tensor as tables: titles on the rows, a sign at the largest of a row.

What does not fit is said, never left out in silence: rows beyond the first few, columns beyond the
edge, and the further tables of a tensor with more than two axes. With `all` nothing is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.lines import Line
from mindref.study.terminal.numerals import aligned, form
from mindref.study.terminal.widths import left, right, safe, width

INDENT = 3
ROWS = 8  # of a table, unless all are asked for
MARK = "^"
GRADIENTS = ("d_", "from_")  # how the names of gradients begin
LABEL = 20  # columns of a title when room is short


class Axis(NamedTuple):
    """The places along one axis: its name and a title for each."""

    name: str
    titles: tuple[str, ...]
    known: bool  # the titles say more than the number of the place
    numbered: bool  # and the number is not part of them, as it is of "interest 3"


class Grid(NamedTuple):
    """One table: texts (rows, columns), and where the largest of a row stands."""

    rows: Axis
    columns: Axis
    texts: list[list[str]]
    marked: Any  # (rows, columns) of truth values


def axis_of(labels: Any, name: str, size: int) -> Axis:
    """Return an axis with the titles that the trace has for it, or with numbers from 1."""
    given = labels.get(name)
    if given is None or len(given) != size:
        given = range(1, size + 1)
    titles = tuple(safe(str(title)) for title in given)
    plain = all(title == str(i + 1) for i, title in enumerate(titles))
    with_name = all(title == f"{name} {i + 1}" for i, title in enumerate(titles))
    return Axis(name, titles, not plain, not plain and not with_name)


def tensor_lines(tensor: Any, labels: Any, columns: int, all_: bool = False) -> list[Line]:
    """Return the tables of a tensor with axes."""
    array = np.asarray(tensor.array)
    axes = [axis_of(labels, *pair) for pair in zip(tensor.axes, array.shape, strict=True)]
    by_size = tensor.name.startswith(GRADIENTS)
    lines: list[Line] = []
    leading = list(np.ndindex(*array.shape[:-2]))
    for at in leading if all_ else leading[:1]:
        if at:
            lines.append(Line(" " * INDENT + place(axes, at) + ":"))
        grid = grid_of(array[at], axes[len(at) :], form(array), by_size)
        lines += grid_lines(grid, columns, all_)
    if not all_ and len(leading) > 1:
        each = " and ".join(tensor.axes[:-2])
        lines.append(more(f"{counted(len(leading) - 1, 'table')}, one for each {each},"))
    return lines


def vectors_lines(tensors: Any, labels: Any, columns: int, all_: bool = False) -> list[Line]:
    """Return one table for vectors along one axis with titles: a column for each."""
    axis = axis_of(labels, tensors[0].axes[0], tensors[0].shape[0])
    texts, marks = [], []
    for tensor in tensors:
        array = np.asarray(tensor.array)
        texts.append([aligned(x, form(array)) for x in array.tolist()])
        marks.append(largest(array[None, :], axis, tensor.name.startswith(GRADIENTS))[0])
    names = tuple(str(tensor.name) for tensor in tensors)
    heads = Axis("", names, True, False)
    rows = [list(row) for row in zip(*texts, strict=True)]
    return grid_lines(Grid(axis, heads, rows, np.array(marks).T), columns, all_)


def place(axes: list[Axis], at: tuple[int, ...]) -> str:
    """Return where along the leading axes a table stands, as "behaviour 3 Night Ferry"."""
    words = []
    for axis, i in zip(axes, at, strict=False):
        words.append(f"{axis.name} {i + 1}" + (f" {axis.titles[i]}" if axis.known else ""))
    return ", ".join(words)


def grid_of(array: Any, axes: list[Axis], form_: str, by_size: bool) -> Grid:
    """Return the table of a matrix, or of a vector as one row."""
    if array.ndim == 1:
        array, axes = array[None, :], [Axis("", ("",), False, False), axes[0]]
    marked = largest(array, axes[1], by_size)
    texts = [[aligned(x, form_) for x in row] for row in array.tolist()]
    return Grid(axes[0], axes[1], texts, marked)


def largest(array: Any, columns: Axis, by_size: bool) -> Any:
    """Return where the largest number of each row stands (rows, columns); of a gradient by size.

    Only among places that have names: the coordinates of a vector are not to be compared.
    """
    marked = np.zeros(array.shape, bool)
    if array.dtype.kind != "f" or not columns.known or array.shape[1] < 2:
        return marked
    sizes = np.where(np.isnan(array), -np.inf, np.abs(array) if by_size else array)
    lively = sizes.max(axis=1) > sizes.min(axis=1)
    marked[np.arange(len(array))[lively], sizes.argmax(axis=1)[lively]] = True
    return marked


def grid_lines(grid: Grid, columns: int, all_: bool) -> list[Line]:
    """Return a table in as many blocks of columns as it takes (`all_`), or the first."""
    cell = max((width(text) for row in grid.texts for text in row), default=1)
    heads = headings(grid.columns, cell, columns)
    mark = 1 + len(MARK) if grid.marked.any() else 0
    step = max(cell, *(width(head) for head in heads)) + 2 + mark
    label = label_width(grid, columns, step)
    fit = max((columns - INDENT - label) // step, 1)
    count = len(heads)
    lines: list[Line] = []
    for first in range(0, count if all_ else min(count, fit), fit):
        shown = range(first, min(first + fit, count))
        lines += block(grid, heads, shown, label, step - mark, mark, all_)
    if not all_ and count > fit:
        lines.append(more(counted(count - fit, "column")))
    return lines


def more(what: str) -> Line:
    """Return the line that says what is left out."""
    return Line(f"{' ' * INDENT}...  ({what} more, `all` to show)", "dim")


def counted(number: int, word: str) -> str:
    """Return "1 row" or "2 rows"."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def headings(axis: Axis, cell: int, columns: int) -> list[str]:
    """Return what stands over the columns: titles, or numbers where titles take too much room."""
    room = (columns - INDENT - LABEL) // max(len(axis.titles), 1) - 4
    longest = max(width(title) for title in axis.titles)
    if longest <= max(room, cell):
        return list(axis.titles)
    return [str(j + 1) for j in range(len(axis.titles))]


def corner(grid: Grid, heads: list[str]) -> str:
    """Return what stands over the titles: the axis down, and that across if it says not itself."""
    down, across = grid.rows.name, grid.columns.name
    if across and heads == [str(j + 1) for j in range(len(heads))]:
        return f"{down} | {across}" if down else across
    return down


def label_width(grid: Grid, columns: int, step: int) -> int:
    """Return the columns for number and title of a row; titles give way, down to `LABEL`."""
    longest = max(width(row_label(grid.rows, i)) for i in range(len(grid.rows.titles)))
    head = width(corner(grid, [str(j + 1) for j in range(len(grid.columns.titles))]))
    left_over = columns - INDENT - step * len(grid.columns.titles)
    return min(max(longest, head), max(left_over, min(LABEL, columns // 3)))


def row_label(rows: Axis, i: int) -> str:
    """Return number and title of a row; the number is what `x` takes for the title."""
    if not rows.name:
        return ""
    number = f"{i + 1:>{len(str(len(rows.titles)))}}"
    return f"{number} {rows.titles[i]}" if rows.numbered else rows.titles[i]


def block(
    grid: Grid, heads: list[str], shown: range, label: int, step: int, mark: int, all_: bool
) -> list[Line]:
    """Return head and rows of some columns of a table."""
    margin, count = " " * INDENT, len(grid.texts)
    over = "".join(right(heads[j], step) + " " * mark for j in shown)
    name = corner(grid, heads)
    name = name if width(name) <= label else grid.rows.name
    lines = [Line(margin + left(name, label) + over, "dim")]
    few = count if all_ or count <= ROWS + 1 else ROWS  # "1 more" takes the room of that one
    for i in range(few):
        cells = "".join(
            right(grid.texts[i][j], step) + (f" {MARK}" if grid.marked[i, j] else " " * mark)
            for j in shown
        )
        lines.append(Line(margin + left(row_label(grid.rows, i), label) + cells))
    if few < count:
        lines.append(more(counted(count - few, "row")))
    return lines
