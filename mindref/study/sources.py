"""The source lines of a step, read from the imported modules.

An anchor is "module:function" for a whole function, or "module:function@text" for the statement
with the text in one of its lines, for example a rule label or a step number. steps/sources.json has
the hash of the source of each anchor. A changed line fails a test, so that its author reads the
texts of the study about this line. To write the new hashes:

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

HASH_FILE = Path(__file__).parent / "steps" / "sources.json"


class Span(NamedTuple):
    """Consecutive source lines of a function."""

    module: str
    function: str
    first: int  # line numbers in the file
    last: int
    text: str
    sha256: str


@cache
def find_span(anchor: str) -> Span:
    """Return the source lines at an anchor. Raises LookupError if there are none."""
    target, _, text = anchor.partition("@")
    module, _, name = target.partition(":")
    thing = getattr(importlib.import_module(module), name)
    lines, first = inspect.getsourcelines(thing)
    low, high = statement_lines(lines, text, anchor) if text else (0, len(lines) - 1)
    piece = textwrap.dedent("".join(lines[low : high + 1])).rstrip("\n")
    digest = hashlib.sha256(piece.encode()).hexdigest()
    return Span(module, name, first + low, first + high, piece, digest)


def statement_lines(lines: list[str], text: str, anchor: str) -> tuple[int, int]:
    """Return the first and last line of the only assignment or return with the text.

    Raises LookupError if no statement or several statements have the text: a rule label may be on
    the line of a mask and on the line of the formula.
    """
    pattern = re.compile(re.escape(text) + r"(?!\d)")  # R1 is not R10
    tree = ast.parse(textwrap.dedent("".join(lines)))
    simple = (ast.Assign, ast.AugAssign, ast.Return)
    spans = [
        (node.lineno - 1, (node.end_lineno or node.lineno) - 1)
        for node in ast.walk(tree)
        if isinstance(node, simple)
    ]
    matches = [span for span in spans if pattern.search("".join(lines[span[0] : span[1] + 1]))]
    if len(matches) != 1:
        raise LookupError(f"{anchor}: {len(matches)} statements have this text, not one")
    return matches[0]


def current_hashes() -> dict[str, str]:
    """Return anchor -> hash for every anchor of the table of steps."""
    from mindref.study.steps import KINDS
    from mindref.study.steps.option_texts import option_anchors

    every = [*(anchor for kind in KINDS for anchor in kind.code), *option_anchors()]
    return {anchor: find_span(anchor).sha256 for anchor in every}


def recorded_hashes() -> dict[str, str]:
    """Return the hashes of steps/sources.json."""
    spans: dict[str, str] = json.loads(HASH_FILE.read_text(encoding="utf-8"))
    return spans


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write_json(HASH_FILE, dict(sorted(current_hashes().items())))
