"""A cell term by term: what was read, what it makes, and the total, to the last digit.

Terms are printed with all their digits: adding what is printed gives the total that is printed.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

import numpy as np

from mindref.study.explain.arithmetic import Factor, Group, Term
from mindref.study.explain.cells import explain
from mindref.study.terminal.axes import PLACES_IN, Axis, axes_of, named_axis, row_label
from mindref.study.terminal.beside import beside
from mindref.study.terminal.cells import Cell, cell_name
from mindref.study.terminal.lines import Line, fitted, named, prose
from mindref.study.terminal.numerals import exact, form_of, number
from mindref.study.terminal.tables import INDENT, counted
from mindref.study.terminal.widths import left, right, width
from mindref.study.trace import Tensor, Trace

FEW = 10  # terms of a kind, unless all are asked for
VALUE = 25  # columns of a number with all its digits


def explained(
    trace: Trace, given: Any, cell: Cell, columns: int, all_: bool = False, in_order: bool = False
) -> list[Line]:
    """Return the arithmetic of a cell, what reads it, and for a gradient its finite difference.

    Terms stand with the largest first, or `in_order` as they are added; `all_` leaves none out.
    """
    step, tensor = trace.steps[cell.at], cell.tensor
    value = tensor.values[cell.place]
    name = cell_name(trace, tensor, cell.place)
    what = title_of(trace, tensor, value)
    lines = prose(f"{name} = {digits(value)}{what}", columns, "title")
    lines += prose(f"of step {cell.at + 1}, {step.id}:  {step.equation}", columns)
    found = explain(trace.values, tensor.recipe, cell.place)
    for group in found.groups:
        lines += [Line(""), *group_lines(trace, group, columns, all_, in_order)]
    if found.last:
        equals = f" = {exact(found.value)}" if found.groups and value.dtype.kind == "f" else ""
        lines += [Line(""), *prose(found.last + equals, columns)]
    readers = [f"{i + 1} {s.id}" for i, s in enumerate(trace.steps) if tensor.name in s.inputs]
    read = named("read by", ", ".join(readers), columns) if readers else []
    rest = [*beside(given, trace, cell, columns), *read]
    return fitted([*lines, *([Line("")] if rest else []), *rest], columns)


def leads(trace: Trace, cell: Cell) -> list[tuple[str, str]]:
    """Return where to go from a cell: to what it was made of most, and to the step that made it."""
    groups = explain(trace.values, cell.tensor.recipe, cell.place).groups
    terms = [term for group in groups for term in group.terms]
    largest = max(terms, key=lambda term: abs(term.value), default=None)
    found = []
    for factor in largest.factors if largest else ():
        source = trace.tensors[factor.name]
        if source.recipe["op"] != "given":
            name = cell_name(trace, source, factor.place)
            found.append((f"x {name}", "which made most of it"))
    step = trace.steps[cell.at]
    return [*found[:2], (f"g {step.id}", "the step that makes it")]


def title_of(trace: Trace, tensor: Tensor, value: Any) -> str:
    """Return what a number says that is a place along an axis; nothing for any other."""
    name = PLACES_IN.get(tensor.name)
    if name is None:
        return ""
    axis = named_axis(trace, name, len(trace.labels.get(name, ())))
    return f"  (counted from 0: {row_label(axis, int(value)).strip()})"


def digits(value: Any) -> str:
    """Return a value with all its digits; whole numbers and truth values as they are."""
    return exact(float(value)) if value.dtype.kind == "f" else number(value, "d")


def group_lines(trace: Trace, group: Group, columns: int, all_: bool, in_order: bool) -> list[Line]:
    """Return the terms of a group, kind by kind, and their total."""
    lines = prose(group.what + ":", columns, indent=INDENT) if group.what else []
    point = max(before_point(x) for x in (*(t.value for t in group.terms), group.total))
    for _, kind in groupby(group.terms, kind_of):
        terms = list(kind)
        if not in_order:
            terms.sort(key=lambda term: -abs(term.value))
        few = len(terms) if all_ or len(terms) <= FEW + 1 else FEW
        lines += kind_lines(trace, terms, few, columns, point)
    word = "largest" if group.largest else "total"
    return [*lines, ending(word, group.total, columns, point, "bold")]


def kind_of(term: Term) -> tuple[str, ...]:
    """Return what terms that share a table have in common."""
    return (term.form, *(factor.name for factor in term.factors))


def before_point(value: float) -> int:
    """Return how many signs stand before the point of a number with all its digits."""
    return len(exact(value).partition(".")[0])


def set_value(value: float, point: int) -> str:
    """Return a number with all its digits, its point below the others."""
    return " " * (point - before_point(value)) + exact(value)


def ending(word: str, value: float, columns: int, point: int, style: str = "") -> Line:
    """Return a line with a number below the terms."""
    room = columns - VALUE - INDENT - 2
    return Line(f"{' ' * INDENT}{left(word, room)}  {set_value(value, point)}", style)


def kind_lines(trace: Trace, terms: list[Term], few: int, columns: int, point: int) -> list[Line]:
    """Return a table of terms of one form: where, each number that is read, and what it makes."""
    varying, shown = varies(terms), terms[:few]
    places = place_column(trace, shown, varying)
    factors = terms[0].factors
    read = [read_column(trace, shown, k, varying) for k in range(len(factors))]
    made = terms[0].form.replace("{}", "..")
    if len(terms) == len(factors) == 1 and made.strip("- ") == "..":  # the cell itself
        places, read = ["", made.replace("..", head_of(factors[0], 0, []))], []
    made = "" if made == ".." or not read else made
    above = prose(f"{made}:", columns, "dim", INDENT) if width(made) > VALUE - 6 else []
    room = columns - VALUE - INDENT - 2
    widths = [max(map(width, column)) for column in read]
    while widths and room - sum(widths) - 2 * len(widths) < min(max(map(width, places)), 12):
        widths.pop()  # no room: places and results say enough
    label = room - sum(widths) - 2 * len(widths)
    results = [" " * max(point - 1, 0) + ("" if above else made)]
    results += [set_value(term.value, point) for term in shown]
    lines = []
    for i, (place, result) in enumerate(zip(places, results, strict=True)):
        numbers = "".join("  " + right(x[i], w) for x, w in zip(read, widths, strict=False))
        text = f"{' ' * INDENT}{left(place, label)}{numbers}  {result}"
        lines.append(Line(text, "" if i else "dim"))
    if few < len(terms):
        what = f"...  ({counted(len(terms) - few, 'more term')}, `all` to show)"
        lines.append(ending(what, sum(term.value for term in terms[few:]), columns, point))
    return [*above, *(lines if places[0] or read else lines[1:])]


def varies(terms: list[Term]) -> list[tuple[int, int]]:
    """Return which places differ from term to term: number of the factor, and of its axis."""
    first = terms[0]
    return [
        (k, axis)
        for k, factor in enumerate(first.factors)
        for axis, i in enumerate(factor.place)
        if any(term.factors[k].place[axis] != i for term in terms)
    ]


def place_column(trace: Trace, terms: list[Term], varying: list[tuple[int, int]]) -> list[str]:
    """Return where terms stand among each other: name of what differs, then number and title."""
    axes: dict[str, tuple[Axis, int, int]] = {}
    for k, place in varying:
        axis = axes_of(trace, trace.tensors[terms[0].factors[k].name])[place]
        axes.setdefault(axis.name, (axis, k, place))
    rows = [
        ", ".join(row_label(axis, term.factors[k].place[place]) for axis, k, place in axes.values())
        for term in terms
    ]
    return [", ".join(axes), *rows]


def read_column(
    trace: Trace, terms: list[Term], k: int, varying: list[tuple[int, int]]
) -> list[str]:
    """Return the numbers that terms read of one tensor, under its name."""
    factors = [term.factors[k] for term in terms]
    kind = np.asarray(trace.values[factors[0].name]).dtype.kind
    values: list[Any] = [factor.value for factor in factors]
    if kind != "f":
        values = [bool(value) if kind == "b" else int(value) for value in values]
    shape = form_of(max((abs(value) for value in values if math.isfinite(value)), default=0))
    return [head_of(factors[0], k, varying), *(number(value, shape) for value in values)]


def head_of(factor: Factor, k: int, varying: list[tuple[int, int]]) -> str:
    """Return the name of a tensor with the place that all terms share, "*" where they differ."""
    places = ["*" if (k, at) in varying else str(i + 1) for at, i in enumerate(factor.place)]
    return factor.name + (f"[{', '.join(places)}]" if places else "")
