"""The lines of the package that compute a step, read from the running code.

A place is "module:function" for a whole body, or "module:function@text" for the statement that has
the text in one of its lines: rule labels and step numbers stand at the lines that they are about.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import textwrap
from functools import cache
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of source."""

    module: str
    function: str
    first: int  # line numbers in the file
    last: int
    text: str
    sha256: str


@cache
def span(place: str) -> Span:
    """Return the lines at a place. Raises LookupError where there are none (a test looks)."""
    where, _, text = place.partition("@")
    module, _, name = where.partition(":")
    thing = getattr(importlib.import_module(module), name)
    lines, first = inspect.getsourcelines(thing)
    low, high = statement(lines, text, place) if text else body(lines)
    piece = textwrap.dedent("".join(lines[low : high + 1])).rstrip("\n")
    digest = hashlib.sha256(piece.encode()).hexdigest()
    return Span(module, name, first + low, first + high, piece, digest)


def statement(lines: list[str], text: str, place: str) -> tuple[int, int]:
    """Return the first and last line of the innermost simple statement that has the text."""
    at = next((n for n, line in enumerate(lines) if text in line), None)
    if at is None:
        raise LookupError(place)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    found = [
        (node.lineno - 1, (node.end_lineno or node.lineno) - 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and not hasattr(node, "body")
    ]
    around = [(low, high) for low, high in found if low <= at <= high]
    return min(around, key=lambda both: both[1] - both[0]) if around else (at, at)


def body(lines: list[str]) -> tuple[int, int]:
    """Return the lines of a whole function."""
    return 0, len(lines) - 1
