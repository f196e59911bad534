"""Variants as text: what public implementations compute differently, run for the same user.

The variants are in mindref.study.variants; this module prints them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.study.terminal.compare import format_columns, format_side_by_side, make_measurement_row
from mindref.study.terminal.number_format import format_magnitude
from mindref.study.terminal.text import Line, fit_lines, label_lines, wrap_lines
from mindref.study.trace import Tensor, Trace

if TYPE_CHECKING:
    from mindref.study.variants import VariantComparison


def format_variant_list(trace: Trace, step_index: int, columns: int) -> list[Line]:
    """Return the names and titles of the variants, those of the current step first."""
    from mindref.study import variants

    every = list(variants.variant_names())
    current = [name for name in trace.steps[step_index].variants if name in every]
    lines = wrap_lines(
        "What public implementations compute differently. `v NAME` runs one.", columns
    )
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
    facts = [("what", mistake.description), ("does", mistake.does), ("breaks", mistake.rule)]
    for source in entry.seen:
        note = f" ({source.note})" if source.note else ""
        commit = f"{source.repository}, at commit {source.commit} of {source.date}{note}"
        facts.append(("seen", commit))
    facts.append(("setup", f"for both sides: {case.setup}" if case.setup else ""))
    return lines + [
        line for name, text in facts if text for line in label_lines(name.ljust(6), text, columns)
    ]


LIST_SUGGESTION = ("v", "list all variants")
COMPARED_AXES = {"w": ("behaviour", "interest"), "h": ("interest",), "v": ("interest", "width")}


def format_first_difference(
    trace: Trace, case: VariantComparison, columns: int, all_: bool
) -> list[Line]:
    """Return both sides of the first of w, h and v that differs."""
    name = next((name for name in COMPARED_AXES if name in case.differs), "")
    if not name:
        differing = " and ".join(case.differs)
        return wrap_lines(f"w, h and v are equal. These differ: {differing}", columns, "bold")
    ours, theirs = (np.asarray(getattr(side, name)) for side in (case.reference, case.variant))
    if name == "w":  # padding has no title
        ours, theirs = (x[case.reference.mask] for x in (ours, theirs))
    tensor = Tensor(name, COMPARED_AXES[name], ours, {})
    heads = ("reference", "variant")
    title = "w of the last iteration" if name == "w" else name
    labelled = remove_padding_titles(trace)
    return [
        Line(f" {title}, largest differences first", "bold"),
        *format_side_by_side(labelled, tensor, ours, theirs, heads, columns, all_),
    ]


def remove_padding_titles(trace: Trace) -> Trace:
    """Return a trace with titles for the real behaviours and none for padding."""
    titles = trace.labels.get("behaviour", [])
    mask = trace.values.get("mask", [True] * len(titles))
    real = [title for title, is_real in zip(titles, mask, strict=True) if is_real]
    return Trace(trace.metadata, {**trace.labels, "behaviour": real}, ())


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
    lines = (
        [] if case.violations else label_lines("no alarm", case.entry.no_violation, columns, "bad")
    )
    for text in dict.fromkeys(alarm.text for alarm in case.violations):
        alarms = [alarm for alarm in case.violations if alarm.text == text]
        residual = format_magnitude(max(alarm.residual for alarm in alarms))
        tolerance = format_magnitude(alarms[0].tolerance)
        size = f"(residual up to {residual}, allowed {tolerance})"
        steps = ", ".join(alarm.step for alarm in alarms)
        message = f"no longer true: {text}  {size}  at {steps}"
        lines += label_lines("alarm", message, columns, "bad")
    for probe in case.failed_properties:
        residual, tolerance = map(format_magnitude, (probe.residual, probe.tolerance))
        message = f"no longer true: {probe.text}  (residual {residual}, allowed {tolerance})"
        lines += label_lines("alarm", message, columns, "bad")
    return lines


def suggest_after_variant(trace: Trace, name: str) -> list[tuple[str, str]]:
    """Return the commands to suggest after a variant: the step that it changes, and the list."""
    from mindref.study import variants

    kind = variants.find_variant(name).step
    changed = [step.id for step in trace.steps if step.kind == kind]
    return [*((f"g {step}", "the step that it changes") for step in changed[:1]), LIST_SUGGESTION]
