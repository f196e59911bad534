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
    times: float = 1.0  # the slope by what the gradient belongs to, over that by the tensor


OTHER = {"d_t": "t.loss", "d_target": "t"}
"""d_t is what the loss alone sends to the target, d_target what both of its uses send."""

PARTS = ("d_u.mixed", "d_items.rows")
"""Neither is the gradient by anything: a part of d_u, and the numbers of rows."""


def move(trace: Trace, cell: Cell) -> Move | None:
    """Return what to move, or None for what is no gradient of the loss."""
    name, index = cell.tensor.name, cell.place
    if name in PARTS or trace.steps[cell.at].phase != "backward":
        return None
    if name.startswith("from_sums"):
        return Move(name.replace("from_sums", "m@z"), index)
    if name.startswith("from_agreement"):
        turn = int(name.removeprefix("from_agreement[").removesuffix("]"))
        return Move(f"m@b[{turn + 1}]", index)
    if name == "d_items":
        return Move("items", (int(trace.values["d_items.rows"][index[0]]), *index[1:]))
    if name in ("d_o", "d_o_t"):  # by the product, before the temperature divides it
        return Move(name.removeprefix("d_"), index, float(trace.values["beta"]))
    if name.startswith("d_"):
        return Move(OTHER.get(name, name.removeprefix("d_")), index)
    return None


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
    slope = found.difference * moved.times
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
