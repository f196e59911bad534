"""What is said before the first step: whose numbers these are, and how to move."""

from __future__ import annotations

from mindref.study.terminal.lines import Line, fitted, prose
from mindref.study.terminal.widths import safe
from mindref.study.trace import Trace

FACTS = (("model", "model"), ("user", "user"), ("chosen", "chosen"), ("target", "target"))


def opening(trace: Trace, columns: int) -> list[Line]:
    """Return which user of which model is studied, why this one, and how many steps there are."""
    about = trace.about
    facts = [f"{word} {safe(str(about[key]))}" for key, word in FACTS if about.get(key) is not None]
    count = len(trace.steps)
    lines = prose("; ".join(facts) + ".", columns) if facts else []
    text = f"{count} steps of one user and one training pair: forward, backward, update, serving."
    text += " In a table ^ marks the largest of a row, and 0 without a point is exactly zero."
    return fitted([*lines, *prose(text, columns), Line("")], columns)
