"""Two arrays side by side: two iterations, and a variant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.study.terminal.checks import format_cell_path
from mindref.study.terminal.lookup import (
    find_matching_tensor,
    find_previous_iteration,
    select_main_tensor,
)
from mindref.study.terminal.numbers_and_axes import (
    align_number,
    choose_format,
    format_change,
    format_magnitude,
    format_number,
)
from mindref.study.terminal.tables import INDENT, LABEL, format_omitted, format_table_row
from mindref.study.terminal.text import (
    Line,
    display_width,
    fit_lines,
    label_lines,
    wrap_lines,
)
from mindref.study.trace import Tensor, Trace

if TYPE_CHECKING:
    from mindref.study.variants import VariantComparison


FEW = 8


def compare_iterations(
    trace: Trace, step_index: int, columns: int, all_: bool = False
) -> list[Line]:
    """Return the changes of a step since the previous iteration, the largest first."""
    step, previous = trace.steps[step_index], find_previous_iteration(trace, step_index)
    tensor = select_main_tensor(step)
    old = None if previous is None else find_matching_tensor(tensor, trace.steps[previous])
    if previous is None or old is None:
        text = f"{step.id} has no previous iteration to compare with."
        todo = "`d VARIANT` compares with a variant; `v` lists the variants."
        return fit_lines([*wrap_lines(text, columns), *wrap_lines(todo, columns)], columns)
    heads = (f"t={trace.steps[previous].number}", f"t={step.number}")
    title = f"{tensor.name} and {old.name}: largest changes first (iterations t)"
    lines = wrap_lines(title, columns, "title")
    lines += format_side_by_side(trace, tensor, old.values, tensor.values, heads, columns, all_)
    return fit_lines(lines, columns)


def format_side_by_side(
    trace: Trace, tensor: Tensor, old: Any, new: Any, heads: Sequence[str], columns: int, all_: bool
) -> list[Line]:
    """Return a row for each cell that differs: its titles, both values, and the change."""
    old, new = np.asarray(old), np.asarray(new)
    change = new.astype(float) - old.astype(float)
    size = np.abs(np.where(np.isnan(change), np.inf, change)).ravel()
    size = np.where((old == new).ravel(), 0, size)
    order = [int(i) for i in np.argsort(-size, kind="stable") if size[i] > 0]
    if not order:
        return wrap_lines("every number is the same, to the last digit", columns, indent=INDENT)
    number_format = choose_format(np.concatenate([old.ravel(), new.ravel()]))
    rows = []
    for flat in order if all_ else order[:FEW]:
        index = tuple(int(i) for i in np.unravel_index(flat, new.shape))
        values = (align_number(x[index].item(), number_format) for x in (old, new))
        gap = format_change(float(change[index]), choose_format(change))
        rows.append((format_cell_path(trace, tensor, index), *values, gap))
    lines = format_columns([("", *heads, "change"), *rows], columns)
    if len(rows) < len(order):
        lines.append(format_omitted(len(order) - len(rows), "cell"))
    unchanged = size.size - len(order)
    if unchanged:
        lines += wrap_lines(f"{unchanged} of {size.size} cells are the same", columns, "dim")
    return lines


def format_columns(rows: Sequence[tuple[str, ...]], columns: int) -> list[Line]:
    """Return rows of texts, the first a heading: names flush left, numbers flush right."""
    longest, *widths = (max(map(display_width, column)) + 3 for column in zip(*rows, strict=True))
    label = min(longest - 3, max(columns - INDENT - sum(widths), min(LABEL, columns // 3)))
    styles = ("dim", *("" for _ in rows[1:]))
    pairs = zip(rows, styles, strict=True)
    return [format_table_row(row[0], label, row[1:], widths, style) for row, style in pairs]


def make_measurement_row(name: str, reference: float, variant: float) -> tuple[str, ...]:
    """Return a table row: name, value of the reference, value of the variant."""
    both = (reference, variant)
    if all(math.isfinite(x) and x == int(x) for x in both):
        return name, *(str(int(x)) for x in both)
    return name, *(format_number(x, choose_format(x, extra_digits=1)) for x in both)


def format_variant_list(trace: Trace, step_index: int, columns: int) -> list[Line]:
    """Return the names and titles of the variants, those of the current step first."""
    from mindref.study import variants

    every = list(variants.variant_names())
    current = [name for name in trace.steps[step_index].variants if name in every]
    text = "What public implementations compute differently. `v NAME` runs one."
    lines = wrap_lines(text, columns)
    for name in [*current, *(other for other in every if other not in current)]:
        entry = variants.find_variant(name)
        mark, style = (">", "bold") if name in current else (" ", "")
        lines += label_lines(f"{mark} {name.ljust(34)}", entry.title, columns, style)
    if current:
        lines += wrap_lines("> changes the step on the screen", columns, "dim")
    return fit_lines(lines, columns)


def format_variant(
    trace: Trace, inputs: Any, name: str, columns: int, all_: bool = False
) -> list[Line]:
    """Return the effect of a variant on this user: values side by side, and broken invariants.

    Raises ConfigError with the three closest names for an unknown variant.
    """
    from mindref.study import variants

    variants.find_variant(name)
    titles = trace.labels.get("item", [])
    # the trace may have titles of the served items only
    titles_or_none = titles if len(titles) == len(inputs.catalogue.rows) else None
    (case,) = variants.compare_variants(inputs, [name], titles_or_none)
    lines = [*format_variant_heading(case, columns), Line("")]
    lines += format_first_difference(trace, case, columns, all_)
    lines += [Line(""), *format_measurements(case, columns)]
    lines += [Line(""), *format_alarms(case, columns)]
    return fit_lines(lines, columns)


def format_variant_heading(case: VariantComparison, columns: int) -> list[Line]:
    """Return the description of a variant, and the repositories that have it."""
    entry, mistake = case.entry, case.entry.mutant
    lines = [Line(f" variant {entry.name}", "title"), *wrap_lines(entry.title, columns, "title")]
    facts = [("what", mistake.description), ("does", case.effect), ("breaks", mistake.rule)]
    for source in entry.seen:
        note = f" ({source.note})" if source.note else ""
        commit = f"{source.repository}, at commit {source.commit} of {source.date}{note}"
        facts.append(("seen", commit))
    facts.append(("setup", f"for both sides: {case.setup}" if case.setup else ""))
    for name, text in facts:
        lines += label_lines(name.ljust(6), text, columns) if text else []
    return lines


LIST_SUGGESTION = ("v", "list all variants")
COMPARED_AXES = {"w": ("behaviour", "interest"), "h": ("interest",), "v": ("interest", "width")}


def format_first_difference(
    trace: Trace, case: VariantComparison, columns: int, all_: bool
) -> list[Line]:
    """Return both sides of the first of w, h and v that differs."""
    name = next((name for name in COMPARED_AXES if name in case.differs), "")
    if not name:
        if not case.differs:
            return wrap_lines(case.no_difference_text, columns, "bold")
        differing = " and ".join(case.differs)
        return wrap_lines(f"w, h and v are equal. These differ: {differing}", columns, "bold")
    ours, theirs = (np.asarray(getattr(side, name)) for side in (case.reference, case.variant))
    if name == "w":  # padding has no title
        ours, theirs = (x[case.reference.mask] for x in (ours, theirs))
    tensor = Tensor(name, COMPARED_AXES[name], ours, {})
    heads = ("reference", "variant")
    title = "w of the last iteration" if name == "w" else name
    titles = trace.labels.get("behaviour", [])
    real = list(compress(titles, trace.values.get("mask", [True] * len(titles))))
    labelled = Trace(trace.metadata, {**trace.labels, "behaviour": real}, ())
    lines = [Line(f" {title}, largest differences first", "bold")]
    return lines + format_side_by_side(labelled, tensor, ours, theirs, heads, columns, all_)


def format_measurements(case: VariantComparison, columns: int) -> list[Line]:
    """Return a table of the measurements of both sides, with the expected values."""
    rows: list[tuple[str, ...]] = [("measured", "reference", "variant")]
    rows += [make_measurement_row(m.name, m.reference, m.variant) for m in case.measured]
    heading, *body = format_columns(rows, columns)
    lines = [heading]
    for line, measurement in zip(body, case.measured, strict=True):
        lines.append(line)
        if measurement.text:
            lines += wrap_lines(measurement.text, columns, "dim", indent=5)
    return lines


def format_alarms(case: VariantComparison, columns: int) -> list[Line]:
    """Return the invariants that the variant breaks, or why none of them is broken."""
    messages = []
    for text in dict.fromkeys(alarm.text for alarm in case.violations):
        alarms = [alarm for alarm in case.violations if alarm.text == text]
        residual = format_magnitude(max(alarm.residual for alarm in alarms))
        tolerance = format_magnitude(alarms[0].tolerance)
        steps = ", ".join(alarm.step for alarm in alarms)
        messages.append(f"{text}  (residual up to {residual}, allowed {tolerance})  at {steps}")
    for probe in case.failed_properties:
        residual, tolerance = map(format_magnitude, (probe.residual, probe.tolerance))
        messages.append(f"{probe.text}  (residual {residual}, allowed {tolerance})")
    quiet = [] if case.violations else [("no alarm", case.entry.no_violation)]
    alarms_or_none = [*quiet, *(("alarm", f"no longer true: {text}") for text in messages)]
    return [line for x in alarms_or_none for line in label_lines(*x, columns, "bad")]


def suggest_after_variant(trace: Trace, name: str) -> list[tuple[str, str]]:
    """Return the commands to suggest after a variant: the step that it changes, and the list."""
    from mindref.study import variants

    kind = variants.find_variant(name).step
    changed = [step.id for step in trace.steps if step.kind == kind]
    return [*((f"g {step}", "the step that it changes") for step in changed[:1]), LIST_SUGGESTION]
