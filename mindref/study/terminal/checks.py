"""What must hold at a step, and what moved: the lines under a table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.study.terminal.axes import axes_of
from mindref.study.terminal.finding import main_tensor, round_before, twin
from mindref.study.terminal.lines import Line, named
from mindref.study.terminal.numerals import form, moved, number, tiny
from mindref.study.terminal.tables import counted
from mindref.study.terminal.widths import cut, width
from mindref.study.trace import Invariant, Step, Tensor, Trace

MARGIN = 20  # columns of "sum over interests"


def below(trace: Trace, at: int, columns: int) -> list[Line]:
    """Return both sums of softmax weights, what must hold, and what moved since the last round."""
    step = trace.steps[at]
    lines: list[Line] = []
    told: list[Invariant] = []
    for tensor in step.outputs:
        if tensor.recipe["op"] == "softmax":
            own = sum_that_is_one(step, tensor)
            told += own
            lines += sums(tensor, own, columns)
    for each in step.invariants:
        if each not in told:
            word, style = ("ok ", "ok") if each.holds else ("NOT", "bad")
            lines += named(word, f"{each.text}  ({residual(each)})", columns, style)
    return [*lines, *since(trace, at, columns)]


def residual(each: Invariant) -> str:
    """Return how far something is off, and where it does not hold how far it may be."""
    allowed = "" if each.holds else f", allowed {tiny(each.tolerance)}"
    return f"residual {tiny(each.residual)}{allowed}"


def sum_that_is_one(step: Step, tensor: Tensor) -> list[Invariant]:
    """Return the invariant that a sum over the axis of the softmax is 1, if the step has it."""
    letters = f"{tensor.name}:{tensor.recipe['out']}"
    wanted = {"of": letters, "over": tensor.recipe["over"], "equals": 1}
    return [x for x in step.invariants if wanted.items() <= x.check.items()][:1]


def sums(tensor: Tensor, own: list[Invariant], columns: int) -> list[Line]:
    """Return the sum of weights over each axis: the one that must be 1, and the others.

    The most asked question about routing is over which axis the softmax runs.
    """
    out, over = tensor.recipe["out"], tensor.recipe["over"]
    lines = []
    for k in sorted(range(len(out)), key=lambda k: out[k] != over):
        totals = np.atleast_1d(np.asarray(tensor.values).sum(axis=k))
        name = f"sum over {tensor.axes[k]}s".ljust(MARGIN)
        if out[k] == over:
            others = [axis for axis in tensor.axes if axis != tensor.axes[k]]
            text, style = sum_of_one(totals, others, own)
        else:
            shown = "  ".join(number(total, form(totals)) for total in totals)
            text, style = f"{shown}  (need not be 1)", ""
        lines += named(name, text, columns, style)
    return lines


def sum_of_one(totals: Any, others: list[str], own: list[Invariant]) -> tuple[str, str]:
    """Return the sums over the axis of the softmax in one word where they agree, and a style."""
    live = totals[totals != 0]
    if not len(live) or np.abs(live - live[0]).max() > 1e-9:
        text = "  ".join(number(total, form(totals)) for total in totals)
    else:
        text = number(live[0], ".3f") + (f" for every {others[0]}" if others else "")
        if len(live) < len(totals):
            text = f"{number(live[0], '.3f')} for {counted(len(live), others[0])}"
            text += f", 0 for {len(totals) - len(live)}"
    if not own:
        return text, ""
    word, style = ("ok", "ok") if own[0].holds else ("NOT 1", "bad")
    return f"{text}   {word}   {residual(own[0])}", style


class Moved(NamedTuple):
    """The cell that moved most since the round before."""

    turn: int  # the round before
    place: tuple[int, ...]
    change: float
    form: str
    tensor: Tensor


def biggest_move(trace: Trace, at: int) -> Moved | None:
    """Return what moved most since the same step of the round before, or None without one."""
    before = round_before(trace, at)
    tensor = main_tensor(trace.steps[at])
    old = None if before is None else twin(tensor, trace.steps[before])
    if before is None or old is None:
        return None
    change = np.asarray(tensor.values, float) - np.asarray(old.values, float)
    change = np.where(np.isfinite(change), change, 0)
    index = np.unravel_index(int(np.abs(change).argmax()), change.shape)
    place = tuple(int(i) for i in index)
    return Moved(trace.steps[before].turn, place, float(change[place]), form(change), tensor)


def since(trace: Trace, at: int, columns: int) -> list[Line]:
    """Return the line of what moved most since the same step of the round before."""
    found = biggest_move(trace, at)
    if found is None:
        return []
    name = f"since round {found.turn}".ljust(MARGIN)
    if not found.change:
        return named(name, "nothing moved", columns)
    several = len(trace.steps[at].outputs) > 1
    head = f"biggest move in {found.tensor.name}: " if several else "biggest move: "
    size = moved(found.change, found.form)
    route = arrow(trace, found.tensor, found.place)
    room = columns - MARGIN - 3 - len(head) - len(size) - 2
    short = route if room < width(route) // 2 else cut_before(route, room)
    return named(name, f"{head}{short}  {size}", columns)


def cut_before(route: str, columns: int) -> str:
    """Return "Night Ferry -> interest 4" with the title cut, so that the rest can be read."""
    title, sign, rest = route.rpartition(" -> ")
    return cut(title, max(columns - width(sign + rest), 1)) + sign + rest


def arrow(trace: Trace, tensor: Tensor, index: tuple[int, ...]) -> str:
    """Return where a cell stands, as "Night Ferry -> interest 4"."""
    words = []
    for axis, i in zip(axes_of(trace, tensor), index, strict=True):
        words.append(axis.titles[i] if axis.known else f"{axis.name} {i + 1}")
    return " -> ".join(words)
