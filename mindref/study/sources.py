"""The lines of the package that compute a step, read from the running code.

A place is "module:function" for a whole body, or "module:function@text" for the statement that has
the text in one of its lines: rule labels and step numbers stand at the lines that they are about.
The text of every place that the table of steps names is known by its hash (steps/sources.json), so
that nobody changes a line without reading what the study says of it:

    python -m mindref.study.sources --write
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import re
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mindref.run.atomic import write_json

KNOWN = Path(__file__).parent / "steps" / "sources.json"


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
    whole = re.compile(re.escape(text) + r"(?!\d)")  # R1 is not R10
    at = next((n for n, line in enumerate(lines) if whole.search(line)), None)
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


def current() -> dict[str, str]:
    """Return place -> hash of every place that the table of steps names."""
    from mindref.study.steps import KINDS
    from mindref.study.steps.otherwise import places

    every = [*(place for kind in KINDS for place in kind.code), *places()]
    return {place: span(place).sha256 for place in every}


def known() -> dict[str, str]:
    """Return the hashes as they were when somebody last read the texts."""
    found: dict[str, str] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write_json(KNOWN, dict(sorted(current().items())))
