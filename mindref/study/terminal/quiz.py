"""Questions before a result is shown, and the feedback on a reply. No score is kept."""

from __future__ import annotations

from mindref.study.terminal.screen import format_heading
from mindref.study.terminal.text import Line, fit_lines, wrap_lines
from mindref.study.terminal.widths import escape_title
from mindref.study.trace import Question, Trace


def format_question(trace: Trace, step_index: int, question: Question, columns: int) -> list[Line]:
    """Return the heading of a step, its question and the choices, without any result."""
    lines = [
        *format_heading(trace, step_index, columns),
        Line(""),
        *wrap_lines(question.text, columns, "ask"),
    ]
    for number, choice in enumerate(question.choices, start=1):
        lines += wrap_lines(f"{number}  {escape_title(choice)}", columns, indent=3)
    last = len(question.choices)
    prompt = f"Your answer, 1 to {last}, then Enter. Enter without a number shows the result."
    return fit_lines([*lines, *wrap_lines(prompt, columns)], columns)


def parse_choice(question: Question, reply: str) -> int | None:
    """Return the choice that a reply names, counted from 0, or None if it names none."""
    word = reply.strip().casefold()
    if word.isdecimal() and 1 <= int(word) <= len(question.choices):
        return int(word) - 1
    texts = [escape_title(choice).casefold() for choice in question.choices]
    return texts.index(word) if texts.count(word) == 1 else None


def format_feedback(question: Question, choice: int, columns: int) -> list[Line]:
    """Return whether a choice is right, and the right choice."""
    answer = f"{question.answer + 1}  {escape_title(question.choices[question.answer])}"
    if choice == question.answer:
        return fit_lines(wrap_lines(f"Right: {answer}", columns, "ok"), columns)
    chosen = f"{choice + 1}  {escape_title(question.choices[choice])}"
    lines = wrap_lines(f"Wrong: your answer was {chosen}", columns, "bad")
    return fit_lines([*lines, *wrap_lines(f"The answer is {answer}", columns, "ok")], columns)
