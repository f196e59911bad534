"""Reading a screen back: the numbers that stand on it, by where they stand."""

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


def tensors_on(lines: Sequence[str], shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return name -> texts of the cells (an array of objects of the tensor's shape).

    lines: a screen with nothing left out; shapes: of the tensors that it must show.
    """
    found: dict[str, Any] = {}
    at = 0
    while at < len(lines):
        scalar, caption = SCALAR.fullmatch(lines[at]), CAPTION.fullmatch(lines[at])
        if scalar and shapes.get(scalar["name"]) == ():
            found[scalar["name"]] = np.array(scalar["value"], object)
        elif caption:
            names = [caption["name"]]
            while (more := CAPTION.fullmatch(lines[at + 1])) is not None:
                names.append(more["name"])
                at += 1
            body = body_of(lines[at + 1 :])
            at += len(body)
            found |= tables(body, names, [shapes[name] for name in names])
        at += 1
    return found


def body_of(lines: Sequence[str]) -> list[str]:
    """Return the lines of tables: those with the indent of one."""
    count = next((i for i, line in enumerate(lines) if not line.startswith("   ")), len(lines))
    return list(lines[:count])


def tables(body: list[str], names: list[str], shapes: list[tuple[int, ...]]) -> dict[str, Any]:
    """Return the cells of tensors that share tables."""
    same = re.fullmatch(r"   every number is (\S+)", "\n".join(body))
    if same:
        return {
            name: np.full(shape, same[1], object) for name, shape in zip(names, shapes, strict=True)
        }
    upright = len(shapes[0]) == 1 and (len(names) > 1 or rows_below(body) == shapes[0][0])
    if upright:
        cells = blocks(body, shapes[0][0], len(names))
        return {name: cells[:, k] for k, name in enumerate(names)}
    (name,), (shape,) = names, shapes
    rows = shape[-2] if len(shape) > 1 else 1
    starts = [i for i, line in enumerate(body) if NOT_A_CELL.match(line)] or [-1]
    ends = [*starts[1:], len(body)]
    parts = [body[start + 1 : end] for start, end in zip(starts, ends, strict=True)]
    cells = np.stack([blocks(part, rows, shape[-1]) for part in parts])
    return {name: cells.reshape(shape)}


def rows_below(body: list[str]) -> int:
    """Return how many rows stand under the first heading."""
    return len(body) - 1


def blocks(body: list[str], rows: int, columns: int) -> Any:
    """Return the texts (rows, columns) of blocks of columns, each a heading and the rows."""
    assert len(body) % (rows + 1) == 0, body
    parts: list[list[list[str]]] = []
    left = columns
    for first in range(0, len(body), rows + 1):
        head, *below = body[first : first + rows + 1]
        heads = re.split(r"\s{2,}", head.strip())
        count = min(len(heads) if len(heads) > left else max(len(heads) - 1, 1), left)
        parts.append([last_cells(line, count) for line in below])
        left -= count
    assert left == 0, body
    return np.array([[*chain(*(part[i] for part in parts))] for i in range(rows)], object)


def last_cells(line: str, count: int) -> list[str]:
    """Return the last texts of a row, without the sign at the largest."""
    return re.split(r"\s{2,}", line.replace(" ^", "  ").strip())[-count:]


def is_rounded(text: str, value: Any) -> bool:
    """Return whether a text is the value, rounded to the digits that the text has."""
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
