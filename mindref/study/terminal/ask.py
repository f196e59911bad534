"""A question before the result is shown, and what is said to the reply. No score is kept."""

from __future__ import annotations

from mindref.study.terminal.lines import Line, fitted, prose
from mindref.study.terminal.screen import heading
from mindref.study.terminal.widths import safe
from mindref.study.trace import Question, Trace


def asking(trace: Trace, at: int, question: Question, columns: int) -> list[Line]:
    """Return the head of a step and its question; none of the numbers that answer it."""
    lines = [*heading(trace, at, columns), Line(""), *prose(question.text, columns, "ask")]
    for i, choice in enumerate(question.choices, start=1):
        lines += prose(f"{i}  {safe(choice)}", columns, indent=3)
    last = len(question.choices)
    lines += prose(f"Your answer, 1 to {last}, and Enter; Enter alone shows the result.", columns)
    return fitted(lines, columns)


def chosen(question: Question, reply: str) -> int | None:
    """Return which choice a reply means, from 0, or None if it is none of them."""
    word = reply.strip().casefold()
    if word.isdecimal() and 1 <= int(word) <= len(question.choices):
        return int(word) - 1
    texts = [safe(choice).casefold() for choice in question.choices]
    return texts.index(word) if texts.count(word) == 1 else None


def judged(question: Question, choice: int, columns: int) -> list[Line]:
    """Return whether a choice is right, and which one is."""
    right = f"{question.answer + 1}  {safe(question.choices[question.answer])}"
    if choice == question.answer:
        return fitted(prose(f"Right: {right}", columns, "ok"), columns)
    yours = f"{choice + 1}  {safe(question.choices[choice])}"
    lines = prose(f"Not so: you said {yours}", columns, "bad")
    return fitted([*lines, *prose(f"It is {right}", columns, "ok")], columns)
