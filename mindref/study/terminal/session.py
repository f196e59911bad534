"""Reading commands and writing screens: from a terminal, a file or a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TextIO

from mindref.errors import ConfigError, say
from mindref.study.terminal import paint
from mindref.study.terminal.accounts import account
from mindref.study.terminal.bench import variant_view
from mindref.study.terminal.cells import cell
from mindref.study.terminal.compare import since_round
from mindref.study.terminal.finding import gradient_of, step_at
from mindref.study.terminal.lines import Line
from mindref.study.terminal.opening import opening
from mindref.study.terminal.screen import screen
from mindref.study.terminal.stepper import Stepper
from mindref.study.terminal.terms import explained
from mindref.study.terminal.tries import farewell
from mindref.study.terminal.widths import encodable
from mindref.study.trace import Trace

PROMPT = "> "
START = "mindref study"


def session(
    trace: Trace,
    given: Any = None,
    *,
    at: str = "",
    commands: Iterable[str] | None = None,
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    columns: int = 0,
    start: str = START,
) -> None:
    """Show the first step, or the step `at`, and answer commands until `q` or their end.

    commands: lines of a file; without them they are typed, or come through a pipe. A line that
    begins with "#" is a comment there, and an empty one is nothing but a reply to a question.
    Where commands are typed but stdout is no terminal, the first screen is all there is. columns
    is the width of the terminal unless given; start is the command that opens this user again.
    Raises ConfigError for a step that there is not.
    """
    stdin, stdout = stdin or sys.stdin, stdout or sys.stdout
    place = step_at(trace, at) if at else 0
    stepper = Stepper(trace, given, columns or width(), place, start)
    write([*opening(trace, stepper.columns), *stepper.screen()], stdout)
    for text in lines_of(stepper, commands, stdin, stdout):
        stepper.columns = columns or width()
        write([Line(""), *stepper.answer(text)], stdout)
        if stepper.ended:
            return
    write([Line(""), *stepper.quit()], stdout)


def lines_of(
    stepper: Stepper, commands: Iterable[str] | None, stdin: TextIO | None, stdout: TextIO | None
) -> Iterator[str]:
    """Yield what is typed, or what a script says."""
    if commands is None and (stdin is None or stdin.isatty()):  # None: it was closed
        if stdin is not None and stdout is not None and stdout.isatty():
            yield from typed()
        return
    for text in commands if commands is not None else stdin or ():
        wanted = stepper.asked is not None
        if wanted or (text.strip() and not text.lstrip().startswith("#")):
            yield text.rstrip("\r\n")


def typed() -> Iterator[str]:
    """Yield lines from the terminal until Ctrl-D, with a history that the arrow keys bring back."""
    with suppress(ImportError):
        import readline  # noqa: F401  input() makes use of it
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            return


def one_shot(
    trace: Trace,
    given: Any = None,
    *,
    at: str = "",
    explain: str = "",
    variant: str = "",
    diff: bool = False,
    backward: bool = False,
    ledger: str = "",
    all_: bool = False,
    stdout: TextIO | None = None,
    columns: int = 0,
    start: str = START,
) -> None:
    """Show one step, or what is asked about it, and end.

    at: id or number of a step; explain: a cell; variant: a name, run for this user; diff: what
    changed since the round before; backward: the gradient of the step; ledger: "m", "S" or "e".
    Raises ConfigError with the three closest names for anything that there is not; nothing has
    been written then.
    """
    columns = columns or width()
    place = step_at(trace, at) if at else 0
    if backward:
        place = back_from(trace, place)
    lines: list[Line] = []
    if explain:
        found = cell(trace, place, explain)
        lines += [*explained(trace, given, found, columns, all_), Line("")]
    if variant:
        lines += [*variant_view(trace, given, variant, columns, all_), Line("")]
    elif diff:
        lines += [*since_round(trace, place, columns, all_), Line("")]
    if ledger:
        lines += [*account(given, ledger, columns), Line("")]
    if not lines:
        lines = [*screen(trace, place, columns, all_)[:-1]]  # no keys: nobody waits for one
    write([*lines, *farewell(trace, place, columns, start)], stdout or sys.stdout)


def back_from(trace: Trace, place: int) -> int:
    """Return the step that makes the gradient; of the first step, where backward begins."""
    found = gradient_of(trace, place)
    if found is not None:
        return found if trace.steps[place].phase == "forward" else place
    backwards = [i for i, step in enumerate(trace.steps) if step.phase == "backward"]
    if not backwards:
        raise ConfigError(say("--backward", "a trace with gradients", "none"))
    return backwards[0]


def plain(
    trace: Trace,
    given: Any = None,
    *,
    stdout: TextIO | None = None,
    columns: int = 0,
    start: str = START,
) -> None:
    """Write every step with nothing left out: no questions, no colour, no keys."""
    columns, stdout = columns or width(), stdout or sys.stdout
    write(opening(trace, columns), stdout, colours=False)
    for at in range(len(trace.steps)):
        write([*screen(trace, at, columns, all_=True)[:-1]], stdout, colours=False)
    last = len(trace.steps) - 1
    write(farewell(trace, last, columns, start), stdout, colours=False)


def width() -> int:
    """Return the columns of the terminal, or 80."""
    return shutil.get_terminal_size((80, 24)).columns


def write(lines: Iterable[Line], stdout: TextIO | None, colours: bool | None = None) -> None:
    """Write lines, a sign that the stream has no code for as "?"; nothing if it was closed."""
    if stdout is None:
        return
    code = getattr(stdout, "encoding", None) or "utf-8"
    known = [Line(encodable(line.text, code), line.style) for line in lines]
    stdout.write(paint.text(known, paint.wanted(stdout) if colours is None else colours))
    stdout.flush()
