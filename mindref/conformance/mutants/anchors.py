"""Edit statements of Python source.

An edit names a statement by `at = "FILE::FUNCTION: ANCHOR"`. FILE is relative to mindref/. In a
list of edits, an edit without FILE uses the file of the edit above. FUNCTION is the qualified name
of a function or class ("forward", "Saved", "Model.step"), or "module". ANCHOR has up to three
parts, in this order, and must match exactly one statement of FUNCTION:

- the label of a rule ("routing-R2"). A comment with this label must be on the lines of the
  statement or directly above the statement, not in the body. "# routing-R2, R9" has two labels.
- the form of the statement, optionally followed by one identifier or string of the statement:

      weights, s2 =   logits +=   return   return d_votes   raise ShapeError   assert   docstring
      for iteration   while   if gradient   elif axis   with   try   except KeyError   match   case
      check(          an expression that is a call of `check`
      def, class      FUNCTION itself
      @compiled       a decorator of FUNCTION

- an ordinal, if several statements match: "return 2" is the second return statement.

`new` replaces the statement. If `new` is a header without a body ("for iteration in range(3):"),
`new` replaces only the header. If `new` is empty, the statement is removed. `before` and `after`
insert statements next to the statement. With `statements = N`, `new` replaces N consecutive
statements.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mindref.conformance.mutants.source_units import AnchoredSource, parse_source

POSITIONS = ("new", "before", "after")
BRANCHES = {  # keyword of a branch -> code that must come before the branch
    "elif": "if 0:\n    pass\n",
    "except": "try:\n    pass\n",
}


class Edit(NamedTuple):
    """Insert `text` before or after the statement `anchor` of `file`, or replace the statement."""

    file: str  # path relative to mindref/
    anchor: str
    text: str
    position: str = "new"  # one of POSITIONS
    statements: int = 1


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """Return the source `text` with all `edits` made. Anchors refer to the unedited text.

    Raises ValueError if an anchor does not match exactly one statement, or if two edits overlap.
    """
    if not edits:
        return text
    source = parse_source(text)
    data = source.data
    splices = sorted((splice_of(source, edit) for edit in edits), key=lambda splice: splice[:2])
    for (_, end, _), (start, _, _) in pairwise(splices):
        if start < end:
            raise ValueError(f"{edits[0].file}: two edits overlap")
    for start, end, replacement in reversed(splices):
        data = data[:start] + replacement + data[end:]
    return data.decode()


def probes_outside(text: str, edits: Sequence[Edit], probes: Sequence[Edit]) -> list[Edit]:
    """Return the edits in `probes` that insert code outside the statements that `edits` replace."""
    source = parse_source(text)
    replaced = [splice_of(source, edit)[:2] for edit in edits]
    starts = {probe: splice_of(source, probe)[0] for probe in probes}
    return [p for p in probes if not any(first < starts[p] < end for first, end in replaced)]


def splice_of(source: AnchoredSource, edit: Edit) -> tuple[int, int, bytes]:
    """Return (start, end, new bytes): `edit` replaces the bytes of `source` from start to end."""
    unit = source.find(edit.anchor, edit.file)
    location = f"{edit.file}: {edit.anchor!r}"
    text, column = edit.text.strip("\n"), source.column(unit.first)
    replacement = indent_text(text, " " * column).encode()
    margin = b"\n" + b" " * column
    if edit.position == "before":
        return unit.first, unit.first, replacement + margin
    if edit.position == "after":
        end = source.starts[source.line(unit.end)] - 1  # end of the line, including a comment
        return end, end, margin + replacement
    first, end = unit.first, unit.end
    if edit.statements > 1:
        if unit.node not in unit.block:
            raise ValueError(
                f"{location}: `statements` needs a statement, not a branch or decorator"
            )
        after = unit.block[unit.block.index(unit.node) :]
        if edit.statements > len(after):
            raise ValueError(f"{location}: fewer than {edit.statements} statements follow")
        end = source.of_node[id(after[edit.statements - 1])].end
    if not text:
        is_full_block = unit.block and edit.statements >= len(unit.block)
        return first, end, b"pass" if is_full_block else b""
    if unit.form.startswith("@") or is_valid_source(BRANCHES.get(unit.form, "") + text):
        return first, end, replacement
    if not unit.colon or edit.statements > 1:
        raise ValueError(f"{location}: the new text is no statement")
    return unit.start, unit.colon, replacement


def read_edits(row: Mapping[str, Any], file: str = "") -> tuple[Edit, ...]:
    """Return the edits of a TOML table: the list `edits` in `row`, or `row` as a single edit.

    If the first edit names no file, it uses `file`.
    """
    edits: list[Edit] = []
    for edit in row.get("edits", [row]):
        edits.append(read_edit(edit, edits[-1].file if edits else file))
    return tuple(edits)


def read_edit(row: Mapping[str, Any], file: str) -> Edit:
    """Return the edit. Raises ValueError unless it has `at`, a file and one key of POSITIONS."""
    positions = [position for position in POSITIONS if position in row]
    stem, separator, anchor = row.get("at", "").partition(".py::")
    if separator:
        file = f"{stem}.py"
    if len(positions) != 1 or "at" not in row or not file:
        one_of = ", ".join(POSITIONS)
        raise ValueError(f"{file}: an edit has `at` with a file, and one of {one_of}: {dict(row)}")
    position = positions[0]
    anchor = anchor if separator else row["at"]
    return Edit(file, anchor, row[position], position, row.get("statements", 1))


def is_valid_source(text: str) -> bool:
    """Return whether `text` is valid Python source."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def indent_text(text: str, margin: str) -> str:
    """Add `margin` before each line of `text`, except the first line and lines inside strings."""
    within: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING:
                within.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, IndentationError):
        pass  # the text is a header without a body
    lines = text.split("\n")
    unchanged = (n == 0 or not line or n + 1 in within for n, line in enumerate(lines))
    return "\n".join(line if k else margin + line for line, k in zip(lines, unchanged, strict=True))
