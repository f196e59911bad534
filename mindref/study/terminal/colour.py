"""Colours, unless the output is no terminal or NO_COLOR is set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TextIO

from mindref.study.terminal.text import Line

CODES = {"title": "1;36", "bold": "1", "dim": "2", "ok": "32", "bad": "1;31", "ask": "1;33"}
LARGEST = re.compile(r"\S+ \^")


def supports_colour(stream: TextIO) -> bool:
    """Return whether a stream is a terminal and colours are not disabled (no-color.org)."""
    dumb = os.environ.get("TERM") == "dumb"
    return stream.isatty() and not os.environ.get("NO_COLOR") and not dumb


def render_lines(lines: Iterable[Line], colours: bool) -> str:
    """Return lines as one text, with or without colour codes."""
    return "".join((render_line(line) if colours else line.text) + "\n" for line in lines)


def render_line(line: Line) -> str:
    """Return a line with colour codes; without a style, the largest number of a row is bold."""
    if line.style:
        return f"\x1b[{CODES[line.style]}m{line.text}\x1b[0m"
    return LARGEST.sub(lambda match: f"\x1b[1m{match[0]}\x1b[0m", line.text)
