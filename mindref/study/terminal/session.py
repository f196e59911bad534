"""Read commands from a terminal or a pipe, and print screens."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TextIO

from mindref.errors import ConfigError, say
from mindref.study.terminal.commands import suggest_shell_commands
from mindref.study.terminal.compare import compare_iterations, format_variant
from mindref.study.terminal.lookup import find_gradient_step, find_step, parse_cell
from mindref.study.terminal.screen import Window, format_screen
from mindref.study.terminal.stepper import Stepper
from mindref.study.terminal.terms import format_explanation
from mindref.study.terminal.text import (
    Line,
    escape_title,
    fit_lines,
    is_encodable,
    render_lines,
    replace_unencodable,
    supports_colour,
    wrap_lines,
)
from mindref.study.terminal.window import BLOCKS
from mindref.study.trace import Trace

PROMPT = "> "
START = "mindref study"


def format_banner(trace: Trace, columns: int) -> list[Line]:
    """Return the model, the user, why this user was chosen, and the number of steps."""
    about = trace.metadata
    keys = [key for key in ("model", "user", "chosen", "target") if about.get(key) is not None]
    facts = "; ".join(f"{key} {escape_title(str(about[key]))}" for key in keys)
    count = len(trace.steps)
    lines = wrap_lines(f"{facts}.", columns) if facts else []
    text = f"{count} steps of one user and one training pair: forward, backward, update, serving."
    text += " In a table ^ marks the largest number of a row. 0 without a point is exactly zero."
    return fit_lines([*lines, *wrap_lines(text, columns), Line("")], columns)


def run_session(
    trace: Trace,
    inputs: Any = None,
    *,
    step: str = "",
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    columns: int = 0,
    start: str = START,
) -> None:
    """Print the first step, or `step`, then answer commands until `q` or the end of the input.

    Lines are read from stdin, a terminal or a pipe. In the lines of a pipe "#" begins a comment,
    and an empty line counts only as a reply to a question.
    If stdin is a terminal and stdout is not, only the first screen is printed.
    columns: the width; 0 means the width of the terminal. start: the command that opens this user.
    Raises ConfigError for an unknown step.
    """
    stdin, stdout = stdin or sys.stdin, stdout or sys.stdout
    step_index = find_step(trace, step) if step else 0
    stepper = Stepper(trace, inputs, columns or get_terminal_width(), step_index, start)
    typed = stdin is not None and stdin.isatty()
    stepper.asks = typed and writes_to_terminal(stdout)
    stepper.shaded = stepper.asks and prints_blocks(stdout)
    banner = format_banner(trace, stepper.columns)
    stepper.lines = get_window_lines() if stepper.asks else 0
    write_lines([*banner, *stepper.screen(used=len(banner))], stdout)
    for text in read_session_commands(stepper, stdin, stdout):
        stepper.columns = columns or get_terminal_width()
        stepper.lines = get_window_lines() if stepper.lines else 0
        write_lines([Line(""), *stepper.answer(text)], stdout)
        if stepper.ended:
            return
    write_lines([Line(""), *stepper.run_quit()], stdout)


def read_session_commands(
    stepper: Stepper, stdin: TextIO | None, stdout: TextIO | None
) -> Iterator[str]:
    """Yield the lines of the terminal or of the pipe."""
    if stdin is None:  # a closed stream
        return
    if stdin.isatty():
        if stdout is not None and stdout.isatty():
            yield from read_typed_lines()
        return
    for text in stdin:
        answers_question = stepper.question_index is not None
        if answers_question or (text.strip() and not text.lstrip().startswith("#")):
            yield text.rstrip("\r\n")


def read_typed_lines() -> Iterator[str]:
    """Yield lines from the terminal until Ctrl-D, with a line history for the arrow keys."""
    with suppress(ImportError):
        import readline  # noqa: F401  input() uses it
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            return


class View(NamedTuple):
    """What to print of one step; by default, the whole step."""

    step: str = ""  # id or number of the step; by default, the first
    explain: str = ""  # a cell
    variant: str = ""  # a name, run for this user
    diff: bool = False  # the changes since the previous iteration
    backward: bool = False  # the gradient of the step
    all_: bool = False  # every term or row, instead of the first ones


def print_view(
    trace: Trace,
    inputs: Any = None,
    view: View | None = None,
    *,
    stdout: TextIO | None = None,
    columns: int = 0,
    start: str = START,
) -> None:
    """Print one step, or the parts of it that the view selects.

    Raises ConfigError with the three closest names for an unknown name, and prints nothing.
    """
    view = view or View()
    columns, stdout = columns or get_terminal_width(), stdout or sys.stdout
    step_index = find_step(trace, view.step) if view.step else 0
    if view.backward:
        step_index = find_backward_step(trace, step_index)
    lines: list[Line] = []
    if view.explain:
        cell = parse_cell(trace, step_index, view.explain)
        lines += [*format_explanation(trace, cell, columns, view.all_), Line("")]
    if view.variant:
        lines += [*format_variant(trace, inputs, view.variant, columns, view.all_), Line("")]
    elif view.diff:
        lines += [*compare_iterations(trace, step_index, columns, view.all_), Line("")]
    closing = suggest_shell_commands(trace, step_index, columns, start)
    if not lines:
        height = get_window_lines() - len(closing) if writes_to_terminal(stdout) else 0
        window = Window(max(height, 0), prints_blocks(stdout))
        # without the keys
        lines = format_screen(trace, step_index, columns, view.all_, window)[:-1]
    write_lines([*lines, *closing], stdout)


def find_backward_step(trace: Trace, step_index: int) -> int:
    """Return the step of the gradient; the first backward step if the step has no gradient."""
    gradient = find_gradient_step(trace, step_index)
    if gradient is not None:
        return gradient if trace.steps[step_index].phase == "forward" else step_index
    for i, step in enumerate(trace.steps):
        if step.phase == "backward":
            return i
    raise ConfigError(say("--backward", "a trace with gradients", "none"))


def print_all_steps(
    trace: Trace,
    inputs: Any = None,
    *,
    stdout: TextIO | None = None,
    columns: int = 0,
    start: str = START,
) -> None:
    """Print every step in full, without questions, colours and keys."""
    columns, count = columns or get_terminal_width(), len(trace.steps)
    lines = format_banner(trace, columns)
    for step_index in range(count):
        lines += format_screen(trace, step_index, columns, all_=True)[:-1]
    lines += suggest_shell_commands(trace, count - 1, columns, start)
    write_lines(lines, stdout or sys.stdout, colours=False)


def get_terminal_width() -> int:
    """Return the columns of the terminal, or 80."""
    return shutil.get_terminal_size((80, 24)).columns


def get_window_lines() -> int:
    """Return the lines of the terminal below a blank line and above the prompt, or 22."""
    return max(shutil.get_terminal_size((80, 24)).lines - 2, 1)


def writes_to_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    return stream is not None and stream.isatty()


def prints_blocks(stream: TextIO | None) -> bool:
    """Return whether the encoding of a stream has the blocks that shade weights."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return is_encodable("".join(BLOCKS), encoding)


def write_lines(lines: Iterable[Line], stdout: TextIO | None, colours: bool | None = None) -> None:
    """Write lines, with "?" for characters outside the encoding. A closed stream gets nothing."""
    if stdout is None:
        return
    encoding = getattr(stdout, "encoding", None) or "utf-8"
    encodable = [Line(replace_unencodable(line.text, encoding), line.style) for line in lines]
    with_colours = supports_colour(stdout) if colours is None else colours
    stdout.write(render_lines(encodable, with_colours))
    stdout.flush()
