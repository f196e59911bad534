"""Parse the commands of the stepper; print the help, the steps and suggested commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from mindref.data.quoting import quote_text
from mindref.errors import ConfigError, say
from mindref.study.suggest import suggest_names
from mindref.study.terminal.lookup import (
    example_cell,
    find_gradient_step,
    find_previous_iteration,
    select_main_tensor,
)
from mindref.study.terminal.text import (
    Line,
    align_left,
    display_width,
    fit_lines,
    label_lines,
    truncate_text,
    wrap_lines,
)
from mindref.study.trace import Trace

HELP = {
    "n": (
        "next",
        "the next step; Enter without text does the same. In a terminal a question comes first;"
        " Enter skips it, ? repeats it",
    ),
    "p": ("back", "the previous step"),
    "g": ("goto", "g 14, g routing[2].weights, or g w[2]: the step that computes w[2]"),
    "x": (
        "explain",
        "x w[Night Ferry, 4] or x w[2][3, 4]: the terms of a number, the largest first;"
        " `x w[3, 4] in order` in the order of the sum; x without a cell: the largest number",
    ),
    "d": ("diff", "the changes since the previous iteration; d VARIANT: those of a variant"),
    "v": ("variant", "v lists the variants of public code; v NAME runs one for the same user"),
    "b": ("backward", "the gradient of the tensor on the screen; from a gradient, its tensor"),
    "?": (
        "predict",
        "the question of this step or the next one, before its result; ? ID of another step;"
        " ? off: `n` asks no questions, ? on: `n` asks again",
    ),
    "all": ("all", "the last view in full"),
    "l": ("list", "all steps"),
    "h": ("help", "this list"),
    "q": ("quit", "leave; Ctrl-D does the same"),
}
SYNONYMS = {word: letter for letter, (word, _) in HELP.items()} | {"exit": "q", "prev": "p"}
WITH_ARGUMENT = "gxdv?"
LEGEND = (
    "A printed number is rounded; 0 without a point is exactly zero. ^ marks the largest number of"
    " a row; in a gradient, * marks the number that is largest in size. Logits have no mark,"
    " because a softmax follows. Rows and columns are counted from 1; a number"
    " can be typed in place of a title."
)


def parse_command(text: str) -> tuple[str, str] | None:
    """Return letter and argument of a command, or None for an unknown command."""
    word, _, argument = text.strip().partition(" ")
    letter = word if word in HELP else SYNONYMS.get(word.casefold())
    return None if letter is None else (letter, argument.strip())


def parse_commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a line: one command, or several letters. A single number means `g`.

    Raises ConfigError with the three closest commands for an unknown one.
    """
    pieces = text.split()
    letter_is_argument = len(pieces) == 2 and pieces[0] in WITH_ARGUMENT  # "g p": the tensor p
    if len(pieces) > 1 and all(piece in HELP for piece in pieces) and not letter_is_argument:
        yield from ((piece, "") for piece in pieces)
        return
    command = parse_command(text) if pieces else ("n", "")
    if command is None and len(pieces) == 1 and pieces[0].isdecimal():
        command = ("g", pieces[0])
    if command is None:
        near = suggest_names(pieces[0], [word for word, _ in HELP.values()])
        raise ConfigError(
            say("command", "a command of the list `h`", quote_text(text.strip()), near)
        )
    yield command


def split_option(text: str, name: str) -> tuple[str, bool]:
    """Return a text without an option at its end, and whether it had the option."""
    has_option = text.endswith(name)
    return (text.removesuffix(name).strip() if has_option else text), has_option


def format_help(columns: int) -> list[Line]:
    """Return the effect of each command."""
    lines = []
    for letter, (word, text) in HELP.items():
        keys = letter if letter == word else f"{letter}, {word}"
        lines += label_lines(keys.ljust(11), text, columns)
    lines += [Line(""), *label_lines("numbers".ljust(11), LEGEND, columns)]
    return fit_lines(lines, columns)


def format_step_list(trace: Trace, step_index: int, columns: int) -> list[Line]:
    """Return number, id and title of every step, with a mark at the current one."""
    longest = max(display_width(step.id) for step in trace.steps)
    lines, phase = [], ""
    for i, step in enumerate(trace.steps):
        if step.phase != phase:
            phase = step.phase
            lines.append(Line(f" {phase}", "bold"))
        mark = ">" if i == step_index else " "
        lines.append(Line(f" {mark} {i + 1:>3}  {step.id.ljust(longest)}  {step.title}"))
    return fit_lines(lines, columns)


NUM_SUGGESTIONS = 3
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
    for command, text in suggestions[:NUM_SUGGESTIONS]:
        if display_width(command) <= left and display_width(text) <= columns - columns // 2:
            lines.append(Line(f"   {align_left(command, left)}  {text}"))
        else:
            lines.append(Line("   " + truncate_text(command, columns - 3)))
            lines += wrap_lines(text, columns, indent=6)
    return fit_lines(lines, columns)
