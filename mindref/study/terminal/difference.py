"""Compare a gradient of the trace with a finite difference of the loss."""

from __future__ import annotations

from typing import Any, NamedTuple

from mindref.errors import ConfigError
from mindref.study.terminal.cells import TraceCell
from mindref.study.terminal.number_format import format_exact, format_magnitude
from mindref.study.terminal.text import Line, label_lines
from mindref.study.trace import Trace

MARGIN = 18


class PerturbedEntry(NamedTuple):
    """The entry that is perturbed to compute the finite difference."""

    tensor: str  # a name of mindref.study.gradients.differences
    position: tuple[int, ...]


NOT_GRADIENTS = ("d_v.mixed", "d_items.rows")
"""d_v.mixed is a part of d_v, and d_items.rows has numbers of rows."""


def find_perturbed_entry(trace: Trace, cell: TraceCell) -> PerturbedEntry | None:
    """Return the entry to perturb, or None if the cell is no gradient of the loss."""
    name, index = cell.tensor.name, cell.position
    in_backward = trace.steps[cell.step_index].phase == "backward"
    if name in NOT_GRADIENTS or not in_backward or not name.startswith(("d_", "from_")):
        return None
    from mindref.study.gradients.differences import perturbed_tensor

    if name == "d_items":  # a row of the gradient has another number than its row of the table
        index = (int(trace.values["d_items.rows"][index[0]]), *index[1:])
    return PerturbedEntry(perturbed_tensor(name), index)


def format_difference(inputs: Any, trace: Trace, cell: TraceCell, columns: int) -> list[Line]:
    """Return value, gradient, finite difference and relative error; no lines for other cells.

    The finite difference evaluates the loss on both sides of the value, without any gradient.
    """
    entry = find_perturbed_entry(trace, cell)
    if entry is None or inputs is None:
        return []
    from mindref.study.gradients.differences import finite_difference, slope_error

    closed = float(cell.tensor.values[cell.position])
    try:
        result = finite_difference(inputs, entry.tensor, entry.position)
    except ConfigError as error:
        return label_lines("finite difference".ljust(MARGIN), f"none: {error}", columns)
    slope = result.difference
    note = ", smaller because of a kink nearby" if result.kink else ""
    rows = [
        (f"value of {entry.tensor}", format_exact(result.value)),
        ("closed form", format_exact(closed)),
        ("finite difference", f"{format_exact(slope)}  (step {result.step:g}{note})"),
        ("relative error", format_magnitude(slope_error(closed, slope))),
    ]
    lines = [line for name, text in rows for line in label_lines(name.ljust(MARGIN), text, columns)]
    if inputs.config.routing_gradient == "last":
        text = 'routing_gradient="last" takes the coupling weights of the last iteration as'
        text += " constants (stop-gradient); the finite difference does the same"
        lines += label_lines("constant".ljust(MARGIN), text, columns)
    return lines
