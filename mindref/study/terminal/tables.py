"""Tensors as tables: titles of the rows, and a mark at the largest number of a row.

A table prints how much it omits: rows after the first few, columns beyond the width, and the
further matrices of a tensor with more than two axes. With `all_` a table omits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.marks import append_marks, mark_tensor
from mindref.study.terminal.numbers_and_axes import (
    INDEX_TENSORS,
    Axis,
    align_number,
    choose_format,
    format_number,
    format_position,
    format_row_label,
    get_axes,
    get_labelled_axis,
    name_axis,
)
from mindref.study.terminal.text import Line, align_left, align_right, display_width
from mindref.study.terminal.window import ROWS, select_padding, shade_weights
from mindref.study.trace import Tensor, Trace

INDENT = 3
LABEL = 28  # columns of a title on a narrow screen
UNNAMED = Axis("", ("",), False, False)


class TableLayout(NamedTuple):
    """The width of the screen, and the rows that a table must not omit."""

    columns: int
    all_: bool = False  # omit nothing
    rows: int = ROWS
    window: bool = False  # fold padding, print blocks of rows side by side
    shaded: bool = False  # a block after each weight
    blocks: bool = False  # every block of columns
    pinned: frozenset[str] = frozenset()  # titles of rows that are always printed


class TableGrid(NamedTuple):
    """One table: texts (rows, columns), with a mark after the largest number of a row."""

    rows: Axis
    columns: Axis
    texts: list[list[str]]
    padding: Any  # mask of the rows that are padding


def format_tensor(trace: Trace, tensor: Tensor, layout: TableLayout) -> list[Line]:
    """Return the tables of a tensor with axes; one line if all numbers are the same."""
    array, axes = np.asarray(tensor.values), get_axes(trace, tensor)
    if array.size > ROWS and (array == array.flat[0]).all():
        text = format_number(array.flat[0], choose_format(array))
        return [Line(f"{' ' * INDENT}every number is {text}")]
    lines: list[Line] = []
    leading = list(np.ndindex(*array.shape[:-2]))
    for index in leading if layout.all_ else leading[:1]:
        if index:
            lines.append(Line(f"{' ' * INDENT}{format_position(axes, index)}:", "dim"))
        lines += format_grid(make_grid(trace, tensor, axes, index, layout), layout)
    if not layout.all_ and len(leading) > 1:
        each = " and ".join(map(name_axis, tensor.axes[:-2]))
        lines.append(format_omitted(len(leading) - 1, "table", f", one for each {each}"))
    return lines


def make_grid(
    trace: Trace,
    tensor: Tensor,
    axes: list[Axis],
    leading_index: tuple[int, ...],
    layout: TableLayout,
) -> TableGrid:
    """Return the table of a matrix, or of a vector as one row."""
    array = np.atleast_2d(np.asarray(tensor.values)[leading_index])
    down, across = [UNNAMED, *axes][-2:]
    marks = mark_tensor(trace, tensor, array, across)
    number_format = choose_format(tensor.values)
    texts = [[align_number(x, number_format) for x in row] for row in array.tolist()]
    texts = append_blocks(texts, shade_weights(tensor, array) if layout.shaded else None)
    padding = select_padding(trace, down.name, len(array))
    return TableGrid(down, across, append_marks(texts, marks, tensor), padding)


def format_vectors(trace: Trace, tensors: Sequence[Tensor], layout: TableLayout) -> list[Line]:
    """Return one table for titled vectors along one axis, with a column for each vector."""
    (axis,) = get_axes(trace, tensors[0])
    texts = []
    for tensor in tensors:
        array = np.asarray(tensor.values)
        marks = mark_tensor(trace, tensor, array[None], axis)
        cells = [format_vector_cells(trace, tensor, layout.columns)]
        blocks = shade_weights(tensor, array[None]) if layout.shaded else None
        texts.append(append_marks(append_blocks(cells, blocks), marks, tensor)[0])
    heads = Axis("", tuple(tensor.name for tensor in tensors), True, False)
    rows = [list(row) for row in zip(*texts, strict=True)]
    padding = select_padding(trace, axis.name, len(rows))
    return format_grid(TableGrid(axis, heads, rows, padding), layout)


def format_vector_cells(trace: Trace, tensor: Tensor, columns: int) -> list[str]:
    """Return the cells of a vector as texts: numbers, or titles for an index tensor."""
    array = np.asarray(tensor.values)
    if tensor.name not in INDEX_TENSORS:
        return [align_number(x, choose_format(array)) for x in array.tolist()]
    name = INDEX_TENSORS[tensor.name]
    axis = get_labelled_axis(trace, name, len(trace.labels.get(name, ())))
    names = [format_row_label(axis, int(x)) if axis.titles else str(x) for x in array]
    longest = min(max(map(display_width, names)), max(columns * 2 // 5, len(tensor.name)))
    return [align_left(text, longest) for text in names]


def format_top_items(trace: Trace, tensor: Tensor, layout: TableLayout) -> list[Line]:
    """Return the top-n items, each with its score and the interest of that score."""
    order = np.asarray(tensor.values)
    parts = [tensor]
    for name in ("best", "brought_by"):
        if name in trace.tensors:
            values = np.asarray(trace.values[name])[order]
            parts.append(trace.tensors[name]._replace(values=values, axes=tensor.axes))
    return format_vectors(trace, parts, layout)


def append_blocks(texts: list[list[str]], blocks: list[list[str]] | None) -> list[list[str]]:
    """Return texts with a block after each; unchanged without blocks."""
    if blocks is None:
        return texts
    return [
        [f"{text} {block}" for text, block in zip(row, row_blocks, strict=True)]
        for row, row_blocks in zip(texts, blocks, strict=True)
    ]


def format_grid(grid: TableGrid, layout: TableLayout) -> list[Line]:
    """Return the first block of columns that fits the width; with `all_` every block."""
    labels = [format_row_label(grid.rows, i) for i in range(len(grid.texts))]
    longest = max(map(display_width, labels))
    heads, corner = choose_headings(grid, longest, layout.columns)
    widths = measure_columns(grid, heads)
    # labels give way to the cells down to `LABEL`
    remaining = layout.columns - INDENT - sum(widths)
    least = min(LABEL, layout.columns * 2 // 5)
    label = min(max(longest, display_width(corner)), max(remaining, least))
    corner = corner if display_width(corner) <= label else grid.rows.name
    beside = 1
    if layout.window:  # blocks of rows side by side, if every column fits
        beside = max((layout.columns - INDENT) // (label + sum(widths) + INDENT), 1)
    rows = select_table_rows(grid, layout, beside)
    first, count = 0, len(heads)
    omitted = format_omitted_rows(grid, rows)
    if beside > 1 and len(rows) > layout.rows:
        height = -(-len(rows) // beside)
        head = format_table_row(corner, label, heads, widths, "dim")
        texts = [format_table_row(labels[i], label, grid.texts[i], widths) for i in rows]
        columns = [[head, *texts[k : k + height]] for k in range(0, len(texts), height)]
        return [*join_columns(columns, INDENT + label + sum(widths)), *omitted]
    lines: list[Line] = []
    while first < count:
        end, free = first + 1, layout.columns - INDENT - label - widths[first]
        while end < count and widths[end] <= free:
            free -= widths[end]
            end += 1
        block, block_widths = slice(first, end), widths[first:end]
        lines.append(format_table_row(corner, label, heads[block], block_widths, "dim"))
        for i in rows:
            lines.append(format_table_row(labels[i], label, grid.texts[i][block], block_widths))
        lines += omitted
        if end < count and not (layout.all_ or layout.blocks):
            return [*lines, format_omitted(count - end, "column")]
        first = end
    return lines


def format_table_row(
    name: str, label: int, cells: Sequence[str], widths: Sequence[int], style: str = ""
) -> Line:
    """Return a row of a table: the name flush left, the cells flush right."""
    numbers = "".join(map(align_right, cells, widths))
    return Line(" " * INDENT + align_left(name, label) + numbers, style)


def measure_columns(grid: TableGrid, heads: list[str]) -> list[int]:
    """Return the width of each column: one width for a tensor, separate widths for vectors."""
    columns = zip(heads, *grid.texts, strict=True)
    widths = [max(map(display_width, column)) + 2 for column in columns]
    return [max(widths)] * len(widths) if grid.columns.name else widths


def choose_headings(grid: TableGrid, longest_label: int, columns: int) -> tuple[list[str], str]:
    """Return the column headings, numbers if the titles are too wide, and the corner heading."""
    down, across = grid.rows.name, grid.columns.name
    titles = list(grid.columns.titles)
    numbers = [str(i + 1) for i in range(len(titles))]
    longest = max(map(display_width, titles))
    cell = max((display_width(text) for row in grid.texts for text in row), default=1)
    label = min(longest_label, LABEL)
    fits = INDENT + label + len(titles) * (max(longest, cell) + 2) <= columns
    heads = titles if fits or longest <= cell or not across else numbers
    if not across or heads != numbers:
        return heads, down
    return heads, f"{down} | {across}" if down else across


def format_omitted(count: int, noun: str, suffix: str = "") -> Line:
    """Return the line with the number of omitted rows, columns or tables."""
    text = f"...  ({count_noun(count, 'more ' + noun)}{suffix}, `all` to show)"
    return Line(" " * INDENT + text, "dim")


def count_noun(number: int, noun: str) -> str:
    """Return "1 row" or "2 rows"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def select_table_rows(grid: TableGrid, layout: TableLayout, beside: int = 1) -> list[int]:
    """Return the rows to print: all rows, or the first few and the pinned rows."""
    count, limit = len(grid.texts), layout.rows * beside
    if layout.all_:
        return list(range(count))
    real = [i for i in range(count) if not (layout.window and grid.padding[i])]
    if len(real) <= limit + (len(real) == count):  # the line "1 more row" is as long as the row
        return real
    pinned = [i for i in real[limit:] if grid.rows.titles[i] in layout.pinned]
    return [*real[:limit], *pinned]


def format_omitted_rows(grid: TableGrid, rows: list[int]) -> list[Line]:
    """Return the line with the number of omitted rows, padding separately; [] for none."""
    omitted = set(range(len(grid.texts))) - set(rows)
    padded = sum(bool(grid.padding[i]) for i in omitted)
    if not omitted:
        return []
    if not padded or not all(grid.padding[i] for i in omitted):
        return [format_omitted(len(omitted), "row", f", {padded} of padding" if padded else "")]
    text = f"...  ({count_noun(padded, 'row')} of padding, `all` to show)"
    return [Line(" " * INDENT + text, "dim")]


def join_columns(columns: list[list[Line]], width: int) -> list[Line]:
    """Return blocks of rows of one table side by side."""
    lines = []
    for i in range(len(columns[0])):
        texts = [align_left(column[i].text, width) for column in columns if i < len(column)]
        lines.append(Line("".join(texts), columns[0][i].style))
    return lines
