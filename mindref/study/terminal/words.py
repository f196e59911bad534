"""The commands as they are typed, and the texts about them."""

from __future__ import annotations

from collections.abc import Iterator

from mindref.data.shown import shown
from mindref.errors import ConfigError, say
from mindref.study.close import closest
from mindref.study.terminal.lines import Line, fitted, named
from mindref.study.terminal.widths import width
from mindref.study.trace import Trace

HELP = {
    "n": ("next", "the next step; Enter alone does the same"),
    "p": ("back", "the step before"),
    "g": ("goto", "g 14, g routing[2].weights, or g w[2]: the step that makes w[2]"),
    "x": (
        "explain",
        "x w[Night Ferry, 4] or x w[2][3, 4]: where a number comes from, term by term, largest"
        " first; `x w[3, 4] in order` as they are added; x alone takes the largest number",
    ),
    "d": ("diff", "what changed since the round before; d VARIANT: what a variant changes"),
    "v": ("variant", "v lists what others do differently; v NAME runs it for the same user"),
    "b": ("backward", "the gradient of what is on the screen, and from a gradient back again"),
    "?": ("predict", "the question of the next step, before it is shown; ? ID of another one"),
    "all": ("all", "the same again, with nothing left out"),
    "l": ("list", "all steps"),
    "h": ("help", "this"),
    "q": ("quit", "leave; so does Ctrl-D"),
}
OTHER = {word: letter for letter, (word, _) in HELP.items()} | {"exit": "q", "prev": "p"}
WITH_REST = "gxdv?"
LEGEND = (
    "A number may be rounded as printed, never more; 0 without a point is exactly zero. ^ marks"
    " the largest of a row, of a gradient the largest by size. Numbers of rows and columns count"
    " from 1, and can be typed for titles."
)


def command(text: str) -> tuple[str, str] | None:
    """Return letter and rest of a command, or None if it is none."""
    word, _, rest = text.strip().partition(" ")
    letter = word if word in HELP else OTHER.get(word.casefold())
    return None if letter is None else (letter, rest.strip())


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a line: one, or several single letters; a bare number goes there.

    Raises ConfigError with the three closest for anything else.
    """
    pieces = text.split()
    rest_of_first = len(pieces) == 2 and pieces[0] in WITH_REST  # "g p" goes to the tensor p
    if len(pieces) > 1 and all(piece in HELP for piece in pieces) and not rest_of_first:
        yield from ((piece, "") for piece in pieces)
        return
    found = command(text) if pieces else ("n", "")
    if found is None and len(pieces) == 1 and pieces[0].isdecimal():
        found = ("g", pieces[0])
    if found is None:
        near = closest(pieces[0], [word for word, _ in HELP.values()])
        raise ConfigError(say("command", "one of those that `h` lists", shown(text.strip()), near))
    yield found


def option(text: str, name: str) -> tuple[str, bool]:
    """Return text without an option at its end, and whether it was there."""
    there = text.endswith(name)
    return (text.removesuffix(name).strip() if there else text), there


def help_lines(columns: int) -> list[Line]:
    """Return what each command does."""
    lines = []
    for letter, (word, text) in HELP.items():
        keys = letter if letter == word else f"{letter}, {word}"
        lines += named(keys.ljust(11), text, columns)
    lines += [Line(""), *named("numbers".ljust(11), LEGEND, columns)]
    return fitted(lines, columns)


def step_list(trace: Trace, at: int, columns: int) -> list[Line]:
    """Return number, id and title of every step, with a sign at the one on the screen."""
    longest = max(width(step.id) for step in trace.steps)
    lines, phase = [], ""
    for i, step in enumerate(trace.steps):
        if step.phase != phase:
            phase = step.phase
            lines.append(Line(f" {phase}", "bold"))
        sign = ">" if i == at else " "
        lines.append(Line(f" {sign} {i + 1:>3}  {step.id.ljust(longest)}  {step.title}"))
    return fitted(lines, columns)
