"""A line of a screen: its text, and in what style a terminal with colours shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mindref.study.terminal.widths import cut, wrapped


class Line(NamedTuple):
    """Text without any control signs; a style named in `paint`."""

    text: str
    style: str = ""


def fitted(lines: Iterable[Line], columns: int) -> list[Line]:
    """Return lines none of which is wider than the terminal: nothing but a title is ever cut."""
    return [Line(cut(line.text.rstrip(), columns), line.style) for line in lines]


def prose(text: str, columns: int, style: str = "", indent: int = 1) -> list[Line]:
    """Return words as lines, each with the same indent."""
    room = max(columns - indent, 1)
    return [Line(" " * indent + piece, style) for piece in wrapped(text, room)]


def named(name: str, text: str, columns: int, style: str = "") -> list[Line]:
    """Return words after a name in the margin, as "code  mindref/ops/routing.py:88-91"."""
    margin = len(name) + 3
    pieces = wrapped(text, max(columns - margin, 8))
    first, *rest = pieces
    lines = [Line(f" {name}  {first}", style)]
    return lines + [Line(" " * margin + piece, style) for piece in rest]
