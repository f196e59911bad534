"""What stands beside a gradient: the same slope, found by a finite difference."""

from __future__ import annotations

from typing import Any

from mindref.errors import ConfigError
from mindref.study.terminal.cells import Cell
from mindref.study.terminal.lines import Line, named
from mindref.study.terminal.numerals import exact, tiny
from mindref.study.trace import Trace

MARGIN = 18


def moved_by(trace: Trace, cell: Cell) -> tuple[str, tuple[int, ...]] | None:
    """Return what to move for the slope that a cell claims to be, or None if it is no gradient."""
    name = cell.tensor.name
    if name.startswith("from_sums"):
        return name.replace("from_sums", "m@z"), cell.index
    if name.startswith("from_agreement"):
        round_ = int(name.removeprefix("from_agreement[").removesuffix("]"))
        return f"m@b[{round_ + 1}]", cell.index
    return (name.removeprefix("d_"), cell.index) if name.startswith("d_") else None


def beside(given: Any, trace: Trace, cell: Cell, columns: int) -> list[Line]:
    """Return value, gradient, finite difference and relative error; nothing for no gradient.

    The difference moves the number both ways and computes the loss anew: no gradient is used.
    """
    moved = moved_by(trace, cell)
    if moved is None or given is None or trace.steps[cell.at].phase != "backward":
        return []
    from mindref.study.differences import difference, relative_error

    closed = float(cell.tensor.values[cell.index])
    try:
        found = difference(given, *moved)
    except ConfigError as error:
        return named("difference".ljust(MARGIN), f"none: {error}", columns)
    rows = [
        (f"value of {moved[0]}", exact(found.value)),
        ("closed form", exact(closed)),
        ("finite difference", f"{exact(found.difference)}  (step {found.step:g})"),
        ("relative error", tiny(relative_error(closed, found.difference))),
    ]
    lines = [line for name, text in rows for line in named(name.ljust(MARGIN), text, columns)]
    return lines
