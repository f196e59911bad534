"""Parse a printed screen: the text of every cell, by tensor and index."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np

CAPTION = re.compile(r" (?P<name>\S+)  \((?P<axes>[^()]*)\) (?:float64|int64|bool)")
SCALAR = re.compile(r" (?P<name>\S+) = (?P<value>\S+)")
NOT_A_CELL = re.compile(r"^   \S.*:$")  # "behaviour 3 Night Ferry:"


def parse_screen(lines: Sequence[str], shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the texts of the cells: name -> object array of the tensor's shape.

    lines: a screen in full; shapes: the shapes of its tensors.
    """
    tensors: dict[str, Any] = {}
    row = 0
    while row < len(lines):
        scalar, caption = SCALAR.fullmatch(lines[row]), CAPTION.fullmatch(lines[row])
        if scalar and shapes.get(scalar["name"]) == ():
            tensors[scalar["name"]] = np.array(scalar["value"], object)
        elif caption:
            names = [caption["name"]]
            while (next_caption := CAPTION.fullmatch(lines[row + 1])) is not None:
                names.append(next_caption["name"])
                row += 1
            body = take_indented(lines[row + 1 :])
            row += len(body)
            tensors |= parse_tables(body, names, [shapes[name] for name in names])
        row += 1
    return tensors


def take_indented(lines: Sequence[str]) -> list[str]:
    """Return the leading lines that have the indent of a table."""
    count = next((i for i, line in enumerate(lines) if not line.startswith("   ")), len(lines))
    return list(lines[:count])


def parse_tables(
    body: list[str], names: list[str], shapes: list[tuple[int, ...]]
) -> dict[str, Any]:
    """Return the cells of the tensors that share tables."""
    same = re.fullmatch(r"   every number is (\S+)", "\n".join(body))
    if same:
        return {
            name: np.full(shape, same[1], object) for name, shape in zip(names, shapes, strict=True)
        }
    vertical = len(shapes[0]) == 1 and (len(names) > 1 or len(body) - 1 == shapes[0][0])
    if vertical:
        cells = parse_blocks(body, shapes[0][0], len(names))
        return {name: cells[:, k] for k, name in enumerate(names)}
    (name,), (shape,) = names, shapes
    rows = shape[-2] if len(shape) > 1 else 1
    starts = [i for i, line in enumerate(body) if NOT_A_CELL.match(line)] or [-1]
    ends = [*starts[1:], len(body)]
    parts = [body[start + 1 : end] for start, end in zip(starts, ends, strict=True)]
    cells = np.stack([parse_blocks(part, rows, shape[-1]) for part in parts])
    return {name: cells.reshape(shape)}


def parse_blocks(body: list[str], rows: int, columns: int) -> Any:
    """Return the texts (rows, columns) of blocks of columns, each with a heading and all rows."""
    assert len(body) % (rows + 1) == 0, body
    parts: list[list[list[str]]] = []
    remaining = columns
    for first in range(0, len(body), rows + 1):
        head, *below = body[first : first + rows + 1]
        heads = re.split(r"\s{2,}", head.strip())
        all_heads = len(heads) if len(heads) > remaining else max(len(heads) - 1, 1)
        count = min(all_heads, remaining)
        parts.append([split_last_cells(line, count) for line in below])
        remaining -= count
    assert remaining == 0, body
    return np.array([[*chain(*(part[i] for part in parts))] for i in range(rows)], object)


def split_last_cells(line: str, count: int) -> list[str]:
    """Return the last texts of a row, without the mark at the largest."""
    return re.split(r"\s{2,}", re.sub(r" [*^](?= |$)", "  ", line).strip())[-count:]


def is_rounded(text: str, value: Any) -> bool:
    """Return whether a text is the value, rounded to the digits of the text."""
    if isinstance(value, bool | np.bool_):
        return text == ("yes" if value else "no")
    if not np.isfinite(value):
        return float(text) == value or (value != value and text == "nan")
    if text == "0":
        return value == 0
    printed = Decimal(text)
    exact = Decimal(float(value))
    step = Decimal(1).scaleb(int(printed.as_tuple().exponent))
    return exact.quantize(step) == printed if abs(exact) < 10**9 else float(text) == value
