"""What stands beside a gradient: the same slope, found by a finite difference."""

from __future__ import annotations

from typing import Any, NamedTuple

from mindref.errors import ConfigError
from mindref.study.terminal.cells import Cell
from mindref.study.terminal.lines import Line, named
from mindref.study.terminal.numerals import exact, tiny
from mindref.study.trace import Trace

MARGIN = 18


class Move(NamedTuple):
    """What is moved to find the slope that a gradient claims to be."""

    tensor: str  # by the names of mindref.study.gradients.differences
    place: tuple[int, ...]


PARTS = ("d_u.mixed", "d_items.rows")
"""Neither is the gradient by anything: a part of d_u, and the numbers of rows."""


def move(trace: Trace, cell: Cell) -> Move | None:
    """Return what to move, or None for what is no gradient of the loss."""
    name, place = cell.tensor.name, cell.place
    backward = trace.steps[cell.at].phase == "backward" and name.startswith(("d_", "from_"))
    if name in PARTS or not backward:
        return None
    from mindref.study.gradients.differences import moved_by

    if name == "d_items":  # a row of the gradient is a row of the table by another number
        place = (int(trace.values["d_items.rows"][place[0]]), *place[1:])
    return Move(moved_by(name), place)


def beside(given: Any, trace: Trace, cell: Cell, columns: int) -> list[Line]:
    """Return value, gradient, finite difference and relative error; nothing for no gradient.

    The difference moves the number both ways and computes the loss anew: no gradient is used.
    """
    moved = move(trace, cell)
    if moved is None or given is None:
        return []
    from mindref.study.gradients.differences import difference, relative_error

    closed = float(cell.tensor.values[cell.place])
    try:
        found = difference(given, moved.tensor, moved.place)
    except ConfigError as none:
        return named("finite difference".ljust(MARGIN), f"none: {none}", columns)
    slope = found.difference
    error = relative_error(closed, slope)
    how = f"(step {found.step:g}{', smaller: a corner is near' if found.corner else ''})"
    rows = [
        (f"value of {moved.tensor}", exact(found.value)),
        ("closed form", exact(closed)),
        ("finite difference", f"{exact(slope)}  {how}"),
        ("relative error", tiny(error)),
    ]
    lines = [line for name, text in rows for line in named(name.ljust(MARGIN), text, columns)]
    if given.config.routing_gradient == "last":
        text = "the weights of the last round stay as they are: routing_gradient is last, so the"
        text += " difference, too, takes them for constants (stop-gradient)"
        lines += named("held".ljust(MARGIN), text, columns)
    return lines
