"""Three commands to suggest after each view."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mindref.study.terminal.cells import example_cell
from mindref.study.terminal.lookup import (
    find_gradient_step,
    find_previous_iteration,
    select_main_tensor,
)
from mindref.study.terminal.text import Line, fit_lines, wrap_lines
from mindref.study.terminal.widths import align_left, display_width, truncate_text
from mindref.study.trace import Trace

COUNT = 3
Suggestions = Sequence[tuple[str, str]]  # a command, and its effect


def suggest_commands(
    trace: Trace, step_index: int, columns: int, first: Suggestions = ()
) -> list[Line]:
    """Return three commands that apply to a step, `first` the commands that belong to a view."""
    step = trace.steps[step_index]
    suggestions = list(first)
    if not first and select_main_tensor(step).recipe["op"] != "input":
        cell = example_cell(trace, step_index)
        suggestions.append((f"x {cell}", "the terms of its largest number"))
    if step.variants:
        suggestions.append((f"v {step.variants[0]}", "the same user with this variant"))
    gradient = find_gradient_step(trace, step_index)
    if gradient is not None:
        suggestions.append(("b", f"go to {trace.steps[gradient].id}"))
    if find_previous_iteration(trace, step_index) is not None:
        suggestions.append(("d", "the changes since the previous iteration"))
    if step_index + 1 < len(trace.steps):
        suggestions.append(("n", f"go to {trace.steps[step_index + 1].id}"))
    suggestions += [("p", "the previous step"), ("l", "all steps"), ("h", "all commands")]
    return format_suggestions("Try", suggestions, columns)


def suggest_shell_commands(
    trace: Trace, step_index: int, columns: int, start: str = "mindref study"
) -> list[Line]:
    """Return three shell commands to continue with after `q`.

    start: the command that opens the same user of the same model.
    """
    step = trace.steps[step_index]
    reopen = f"{start} --at {shlex.quote(step.id)}"
    suggestions = [(reopen, "show this step again")]
    variant = find_nearest_link(trace, step_index, "variants")
    if variant:
        suggestions.append((f"{reopen} --variant {variant}", "the same user with this variant"))
    exercise = find_nearest_link(trace, step_index, "exercises")
    if exercise:
        suggestions.append((f"mindref study --exercise {exercise}", "write this step yourself"))
    suggestions.append((f"{start} --html study.html", "all steps on one page"))
    cell = shlex.quote(example_cell(trace, step_index))
    suggestions.append((f"{reopen} --explain {cell}", "one number, term by term"))
    return format_suggestions("Three things to try next", suggestions, columns)


def find_nearest_link(trace: Trace, step_index: int, field: str) -> str:
    """Return the first variant or exercise of the nearest step that has one."""
    with_links = [i for i, step in enumerate(trace.steps) if getattr(step, field)]
    nearest = min(with_links, key=lambda i: (abs(i - step_index), i), default=None)
    return "" if nearest is None else getattr(trace.steps[nearest], field)[0]


def format_suggestions(head: str, suggestions: Suggestions, columns: int) -> list[Line]:
    """Return the first three suggestions as lines: command and effect."""
    lines = wrap_lines(head, columns, "dim")
    left = columns // 2 - 5
    for command, text in suggestions[:COUNT]:
        if display_width(command) <= left and display_width(text) <= columns - columns // 2:
            lines.append(Line(f"   {align_left(command, left)}  {text}"))
        else:
            lines.append(Line("   " + truncate_text(command, columns - 3)))
            lines += wrap_lines(text, columns, indent=6)
    return fit_lines(lines, columns)
