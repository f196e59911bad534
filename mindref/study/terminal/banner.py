"""The lines before the first step: the model, the user, and how to read a table."""

from __future__ import annotations

from mindref.study.terminal.text import Line, fit_lines, wrap_lines
from mindref.study.terminal.widths import escape_title
from mindref.study.trace import Trace

FACTS = (("model", "model"), ("user", "user"), ("chosen", "chosen"), ("target", "target"))


def format_banner(trace: Trace, columns: int) -> list[Line]:
    """Return the model, the user, why this user was chosen, and the number of steps."""
    about = trace.metadata
    facts = [
        f"{word} {escape_title(str(about[key]))}"
        for key, word in FACTS
        if about.get(key) is not None
    ]
    count = len(trace.steps)
    lines = wrap_lines("; ".join(facts) + ".", columns) if facts else []
    text = f"{count} steps of one user and one training pair: forward, backward, update, serving."
    text += " In a table ^ marks the largest number of a row. 0 without a point is exactly zero."
    return fit_lines([*lines, *wrap_lines(text, columns), Line("")], columns)
