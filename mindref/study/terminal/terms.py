"""One cell term by term.

Terms have all their digits, so that the printed terms add up to the printed total.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from mindref.study.explain.arithmetic import Factor, Group, Term
from mindref.study.explain.cells import explain_cell
from mindref.study.terminal.lookup import TraceCell, format_cell
from mindref.study.terminal.numbers_and_axes import (
    INDEX_TENSORS,
    Axis,
    choose_format,
    format_exact,
    format_number,
    format_row_label,
    get_axes,
    get_labelled_axis,
)
from mindref.study.terminal.tables import INDENT, count_noun, format_table_row
from mindref.study.terminal.text import (
    Line,
    align_left,
    display_width,
    fit_lines,
    label_lines,
    wrap_lines,
)
from mindref.study.trace import Tensor, Trace

FEW = 10  # terms of one form, unless `all`
VALUE = 25  # columns of a number with all its digits


def format_explanation(
    trace: Trace,
    cell: TraceCell,
    columns: int,
    all_: bool = False,
    in_order: bool = False,
) -> list[Line]:
    """Return the terms of a cell, and the steps that read it.

    in_order: in the order of the sum instead of the largest first; all_: print every term.
    """
    step, tensor = trace.steps[cell.step_index], cell.tensor
    value = tensor.values[cell.position]
    name = format_cell(trace, tensor, cell.position)
    title = format_index_title(trace, tensor, value)
    is_float = value.dtype.kind == "f"
    digits = format_exact(float(value)) if is_float else format_number(value, "d")
    lines = wrap_lines(f"{name} = {digits}{title}", columns, "title")
    formulas = "; ".join(step.equation.plain.splitlines())
    lines += wrap_lines(f"of step {cell.step_index + 1}, {step.id}:  {formulas}", columns)
    explanation = explain_cell(trace.values, tensor.recipe, cell.position)
    for group in explanation.groups:
        lines += [Line(""), *format_group(trace, group, columns, all_, in_order)]
    if explanation.final_step:
        equals = f" = {format_exact(explanation.value)}" if explanation.groups and is_float else ""
        lines += [Line(""), *wrap_lines(explanation.final_step + equals, columns)]
    readers = [f"{i + 1} {s.id}" for i, s in enumerate(trace.steps) if tensor.name in s.inputs]
    notes = label_lines("read by", ", ".join(readers), columns) if readers else []
    return fit_lines([*lines, *([Line("")] if notes else []), *notes], columns)


def suggest_after_cell(trace: Trace, cell: TraceCell) -> list[tuple[str, str]]:
    """Return the commands to suggest after a cell: its largest factors, and its step."""
    groups = explain_cell(trace.values, cell.tensor.recipe, cell.position).groups
    terms = [term for group in groups for term in group.terms]
    largest = max(terms, key=lambda term: abs(term.value), default=None)
    suggestions = []
    for factor in largest.factors if largest else ():
        source = trace.tensors[factor.name]
        if source.recipe["op"] != "input":
            name = format_cell(trace, source, factor.position)
            suggestions.append((f"x {name}", "a factor of its largest term"))
    step = trace.steps[cell.step_index]
    return [*suggestions[:2], (f"g {step.id}", "the step that computes it")]


def format_index_title(trace: Trace, tensor: Tensor, value: Any) -> str:
    """Return the title of the position that an index tensor holds; empty for other tensors."""
    name = INDEX_TENSORS.get(tensor.name)
    if name is None:
        return ""
    axis = get_labelled_axis(trace, name, len(trace.labels.get(name, ())))
    return f"  (counted from 0: {format_row_label(axis, int(value)).strip()})"


def format_group(
    trace: Trace, group: Group, columns: int, all_: bool, in_order: bool
) -> list[Line]:
    """Return the terms of a group, one table for each form of term, and the total."""
    lines = wrap_lines(group.title + ":", columns, indent=INDENT) if group.title else []
    values = (*(term.value for term in group.terms), group.total)
    point = max(map(count_integer_digits, values))
    # terms of one form and the same tensors share a table
    for _, same_kind in groupby(group.terms, lambda x: (x.form, *(f.name for f in x.factors))):
        terms = list(same_kind)
        if not in_order:
            terms.sort(key=lambda term: -abs(term.value))
        count = len(terms) if all_ or len(terms) <= FEW + 1 else FEW
        lines += format_terms(trace, terms, count, columns, point)
    word = "largest" if group.largest else "total"
    return [*lines, format_total(word, group.total, columns, point, "bold")]


def count_integer_digits(value: float) -> int:
    """Return the number of characters before the decimal point."""
    return len(format_exact(value).partition(".")[0])


def align_exact(value: float, point: int) -> str:
    """Return a number with all its digits, its decimal point in column `point`."""
    return " " * (point - count_integer_digits(value)) + format_exact(value)


def format_total(word: str, value: float, columns: int, point: int, style: str = "") -> Line:
    """Return the line of a sum below the terms."""
    room = columns - VALUE - INDENT - 2
    return Line(f"{' ' * INDENT}{align_left(word, room)}  {align_exact(value, point)}", style)


def format_terms(
    trace: Trace, terms: list[Term], count: int, columns: int, point: int
) -> list[Line]:
    """Return a table of terms of one form: the position, the factors and the value of a term."""
    varying, printed = find_varying_axes(terms), terms[:count]
    labels = make_position_column(trace, printed, varying)
    factors = terms[0].factors
    factor_columns = [make_factor_column(trace, printed, k, varying) for k in range(len(factors))]
    form = terms[0].form.replace("{}", "..")
    if len(terms) == len(factors) == 1 and form.strip("- ") == "..":  # the cell is one number
        heading = format_factor_heading(factors[0], 0, [])
        labels, factor_columns = ["", form.replace("..", heading)], []
    form = "" if form == ".." or not factor_columns else form
    long_form = display_width(form) > VALUE - 6
    above = wrap_lines(f"{form}:", columns, "dim", INDENT) if long_form else []
    room = columns - VALUE - INDENT - 2
    widths = [max(map(display_width, column)) + 2 for column in factor_columns]
    least = min(max(map(display_width, labels)), 12)
    while widths and room - sum(widths) < least:
        widths.pop()  # too narrow for this factor
    values = [" " * max(point - 1, 0) + ("" if above else form)]
    values += [align_exact(term.value, point) for term in printed]
    lines = []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        cells = [column[i] for column in factor_columns]
        row = format_table_row(label, room - sum(widths), cells, widths)
        lines.append(Line(f"{row.text}  {value}", "" if i else "dim"))
    if count < len(terms):
        omitted = f"...  ({count_noun(len(terms) - count, 'more term')}, `all` to show)"
        subtotal = sum(term.value for term in terms[count:])
        lines.append(format_total(omitted, subtotal, columns, point))
    return [*above, *(lines if labels[0] or factor_columns else lines[1:])]


def find_varying_axes(terms: list[Term]) -> list[tuple[int, int]]:
    """Return the axes that vary over the terms, as pairs of factor number and axis number."""
    first = terms[0]
    return [
        (k, axis)
        for k, factor in enumerate(first.factors)
        for axis, i in enumerate(factor.position)
        if any(term.factors[k].position[axis] != i for term in terms)
    ]


def make_position_column(
    trace: Trace, terms: list[Term], varying: list[tuple[int, int]]
) -> list[str]:
    """Return a heading of the varying axes, then number and title of each term's position."""
    axes: dict[str, tuple[Axis, int, int]] = {}
    for k, number in varying:
        axis = get_axes(trace, trace.tensors[terms[0].factors[k].name])[number]
        axes.setdefault(axis.name, (axis, k, number))
    rows = [
        ", ".join(
            format_row_label(axis, term.factors[k].position[number])
            for axis, k, number in axes.values()
        )
        for term in terms
    ]
    return [", ".join(axes), *rows]


def make_factor_column(
    trace: Trace, terms: list[Term], k: int, varying: list[tuple[int, int]]
) -> list[str]:
    """Return a heading of the tensor of factor k, then its number in each term."""
    factors = [term.factors[k] for term in terms]
    dtype = np.asarray(trace.values[factors[0].name]).dtype
    values = np.array([factor.value for factor in factors]).astype(dtype)
    number_format = choose_format(values)
    heading = format_factor_heading(factors[0], k, varying)
    return [heading, *(format_number(value, number_format) for value in values)]


def format_factor_heading(factor: Factor, k: int, varying: list[tuple[int, int]]) -> str:
    """Return the name of a tensor with its index, "*" for an axis that varies."""
    index = ["*" if (k, axis) in varying else str(i + 1) for axis, i in enumerate(factor.position)]
    return factor.name + (f"[{', '.join(index)}]" if index else "")
