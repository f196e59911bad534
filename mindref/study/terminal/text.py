"""A line of a screen: its text and its style."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mindref.study.terminal.widths import truncate_text, wrap_text


class Line(NamedTuple):
    """Text without control characters, and a style of `colour.CODES`."""

    text: str
    style: str = ""


def fit_lines(lines: Iterable[Line], columns: int) -> list[Line]:
    """Return lines no wider than the terminal. In practice this truncates titles only."""
    return [Line(truncate_text(line.text.rstrip(), columns), line.style) for line in lines]


def wrap_lines(text: str, columns: int, style: str = "", indent: int = 1) -> list[Line]:
    """Return a text as wrapped lines with the same indent."""
    room = max(columns - indent, 1)
    return [Line(" " * indent + piece, style) for piece in wrap_text(text, room)]


def label_lines(name: str, text: str, columns: int, style: str = "") -> list[Line]:
    """Return a text as wrapped lines after a label, as "code  mindref/ops/routing.py:88-91"."""
    margin = len(name) + 3
    first, *following = wrap_text(text, max(columns - margin, 8))
    lines = [Line(f" {name}  {first}", style)]
    return lines + [Line(" " * margin + piece, style) for piece in following]
