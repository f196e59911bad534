"""Colours, for a terminal that has them and a reader who has not said no (NO_COLOR)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TextIO

from mindref.study.terminal.lines import Line

CODES = {"title": "1;36", "bold": "1", "dim": "2", "ok": "32", "bad": "1;31", "ask": "1;33"}
LARGEST = re.compile(r"\S+ \^")


def wanted(stream: TextIO) -> bool:
    """Return whether a stream is a terminal and colours are not forbidden (no-color.org)."""
    dumb = os.environ.get("TERM") == "dumb"
    return stream.isatty() and not os.environ.get("NO_COLOR") and not dumb


def text(lines: Iterable[Line], colours: bool) -> str:
    """Return lines as they are written; without the colours it is the same text."""
    return "".join((painted(line) if colours else line.text) + "\n" for line in lines)


def painted(line: Line) -> str:
    """Return a line in its style; in a plain one the largest number of a row is bold."""
    if line.style:
        return f"\x1b[{CODES[line.style]}m{line.text}\x1b[0m"
    return LARGEST.sub(lambda found: f"\x1b[1m{found[0]}\x1b[0m", line.text)
