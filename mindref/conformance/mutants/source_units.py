"""Find statements in Python source by anchors, such as "forward: return" (see anchors.py)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

MODULE = "module"
NAME_FIELDS: dict[type, str] = {ast.Name: "id", ast.Attribute: "attr", ast.arg: "arg"}
NAME_FIELDS |= {ast.alias: "name", ast.Constant: "value"}
LABEL = re.compile(r"\b([a-z_]+)-R\d+\b")
LABELS = re.compile(r"\b([a-z_]+)-(R\d+)((?:(?:,| and) R\d+)*)")
LABELLED = re.compile(r"(?:([a-z_]+-R\d+)\b)?\s*(.*?)\s*(?:(?<!\S)(\d+))?")
"""Splits the anchor "routing-R2 return 2" into "routing-R2", "return" and "2"."""

KEYWORD = re.compile(rb"(?:async\s+)?(\w+)")


class Unit(NamedTuple):
    """A statement, an `elif`, `except` or `case` branch, or a decorator. Offsets are in bytes."""

    function: str  # the function or class that contains (or is) the unit; "module" if there is none
    form: str  # how anchors name the statement, such as "return" or "weights, s2 ="
    names: tuple[str, ...]  # identifiers and one-word strings outside the body, in source order
    labels: tuple[str, ...]  # rules in the comments of the unit, such as "routing-R2"
    node: Any
    first: int  # offset of the first byte, decorators included
    start: int  # offset of the first byte after the decorators
    colon: int  # offset after the colon that starts the body; 0 if there is none
    end: int  # offset after the last byte
    block: tuple[Any, ...]  # statements of the unit's block; empty for a branch or decorator

    def matches(self, label: str, form: str) -> bool:
        """Return whether this unit has `label` and `form`; an empty string matches every unit."""
        if label and label not in self.labels:
            return False
        return form in ("", self.form) or form in (f"{self.form} {name}" for name in self.names)


class AnchoredSource:
    """The text of a Python file. `units` are its statements, branches and decorators."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.lines = self.data.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.comments: dict[int, str] = {}
        self.marks: list[tuple[int, int, str]] = []  # start, end, text of brackets, colons, lambdas
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            row, column = token.start
            if token.type == tokenize.COMMENT:
                self.comments[row] = token.string
            elif token.string in (*"()[]{}:", "lambda"):
                offset = self.starts[row - 1] + len(token.line[:column].encode())
                if token.type in (tokenize.OP, tokenize.NAME):
                    self.marks.append((offset, offset + len(token.string), token.string))
        self.tree = ast.parse(text)
        self.units = sorted(self.walk(self.tree, "", ()), key=lambda unit: (unit.start, -unit.end))
        self.of_node = {id(unit.node): unit for unit in self.units}

    def offset(self, line: int, column: int) -> int:
        """Return the byte offset in the file for `line` (from 1) and `column` (bytes, from 0)."""
        return self.starts[line - 1] + column

    def walk(self, node: Any, function: str, block: tuple[Any, ...]) -> Iterator[Unit]:
        """Yield all units inside `node`, but not `node` itself."""
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            children = getattr(node, field, None)
            if isinstance(children, list):
                for child in children:
                    yield from self.of(child, function, tuple(children), node, field)

    def of(
        self, node: Any, function: str, block: tuple[Any, ...], parent: Any, field: str
    ) -> Iterator[Unit]:
        """Yield the decorators of `node`, `node` itself and all statements inside, as units."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}" if function else node.name
            for decorator in node.decorator_list:
                yield self.decorator(decorator, function)
        yield self.unit(node, function or MODULE, block, parent, field)
        yield from self.walk(node, function, block)

    def decorator(self, node: Any, function: str) -> Unit:
        """Return the unit of the decorator `node` of `function`."""
        start = self.data.rindex(b"@", 0, self.offset(node.lineno, node.col_offset))
        end = self.offset(node.end_lineno, node.end_col_offset)
        called = node.func if isinstance(node, ast.Call) else node
        labels = self.labels_on(node.lineno, node.end_lineno)
        form, names = f"@{ast.unparse(called)}", names_of([node])
        return Unit(function, form, names, labels, node, start, start, 0, end, ())

    def unit(
        self, node: Any, function: str, block: tuple[Any, ...], parent: Any, field: str
    ) -> Unit:
        """Return the unit of `node`, which is a statement or a branch."""
        pattern = getattr(node, "pattern", None)  # a `case` node has no position
        line, column = (pattern or node).lineno, (pattern or node).col_offset
        start = self.offset(line, column)
        if pattern is not None:
            start = self.data.rindex(b"case", 0, start)
        first_line = min([line, *(x.lineno for x in getattr(node, "decorator_list", ()))])
        first = start
        if first_line < line:
            decorator = self.offset(first_line, node.decorator_list[0].col_offset)
            first = self.data.rindex(b"@", 0, decorator)
        last = node.body[-1] if pattern is not None else node
        end = self.offset(last.end_lineno, last.end_col_offset)
        colon = self.colon(start) if getattr(node, "body", None) else 0
        last_line = self.line(colon or end)
        form = form_of(node, self.data[start : start + 40])
        inside = block if isinstance(node, ast.stmt) and form != "elif" else ()
        labels = self.labels(first_line, last_line)
        names = names_of(header_parts(node))
        return Unit(function, form, names, labels, node, first, start, colon, end, inside)

    def line(self, offset: int) -> int:
        """Return the number (from 1) of the line that contains byte `offset - 1`."""
        return bisect_left(self.starts, offset)

    def colon(self, start: int) -> int:
        """Return the offset after the colon before the body of the statement at `start`."""
        depth = lambdas = 0
        for _, end, mark in self.marks[bisect_left(self.marks, (start, 0, "")) :]:
            if mark == "lambda":
                lambdas += 1
            elif mark in "([{":
                depth += 1
            elif mark in ")]}":
                depth -= 1
            elif depth == 0 and lambdas == 0:
                return end
            elif lambdas:
                lambdas -= 1
        raise AssertionError(f"no colon after byte {start}")

    def labels(self, first: int, last: int) -> tuple[str, ...]:
        """Return the rule labels in comments on lines `first` to `last` and directly above them."""
        while first > 1 and self.lines[first - 2].lstrip().startswith(b"#"):
            first -= 1
        return self.labels_on(first, last)

    def labels_on(self, first: int, last: int) -> tuple[str, ...]:
        """Return the rule labels in comments on lines `first` to `last`."""
        comments = (self.comments.get(line, "") for line in range(first, last + 1))
        return tuple(label for comment in comments for label in labels_of(comment))

    def find(self, statement: str, file: str = "source") -> Unit:
        """Return the one unit that matches `statement` ("forward: return"), or raise ValueError."""
        function, separator, anchor = statement.partition(": ")
        matched = LABELLED.fullmatch(anchor.strip())
        if not separator or matched is None or not anchor.strip():
            raise ValueError(f"{file}: {statement!r} is not of the form 'FUNCTION: ANCHOR'")
        label, form, ordinal = matched[1] or "", matched[2], int(matched[3] or 0)
        units = [unit for unit in self.units if unit.function == function]
        if not units:
            raise ValueError(f"{file}: there is no function or class {function!r}")
        matching = [unit for unit in units if unit.matches(label, form)]
        if ordinal and ordinal <= len(matching):
            return matching[ordinal - 1]
        if len(matching) != 1 or ordinal:
            count = f"{len(matching)} statements of {function!r} match {anchor!r}"
            raise ValueError(f"{file}: {count}; exactly one must match")
        return matching[0]

    def column(self, offset: int) -> int:
        """Return the number of bytes between the start of the line and `offset`."""
        return offset - self.starts[self.line(offset + 1) - 1]


@cache
def parse_source(text: str) -> AnchoredSource:
    """Return `text` as an AnchoredSource; results are cached."""
    return AnchoredSource(text)


def labels_of(comment: str) -> list[str]:
    """Return the rule labels in `comment`: "routing-R2, R9" has "routing-R2" and "routing-R9"."""
    labels = []
    for page, first, further in LABELS.findall(comment):
        labels += [f"{page}-{number}" for number in [first, *re.findall(r"R\d+", further)]]
    return labels


def form_of(node: Any, source: bytes) -> str:
    """Return how anchors name `node`, such as "x =" or "if". `source`: first bytes of `node`."""
    if isinstance(node, ast.Assign):
        return " = ".join(map(target_text, node.targets)) + " ="
    if isinstance(node, ast.AnnAssign):
        return f"{target_text(node.target)} ="
    if isinstance(node, ast.AugAssign):
        target = ast.unparse(node.target)
        return f"{target} {ast.unparse(node).removeprefix(target).split()[0]}"
    if isinstance(node, ast.Expr):
        return form_of_expression(node.value)
    keyword = KEYWORD.match(source)
    assert keyword is not None
    return keyword[1].decode()


def form_of_expression(value: ast.expr) -> str:
    """Return how anchors name an expression statement, such as "check(" or "docstring"."""
    if isinstance(value, ast.Call):
        return f"{ast.unparse(value.func)}("
    if isinstance(value, ast.Constant):
        return "docstring"
    return "yield" if isinstance(value, ast.Yield | ast.YieldFrom) else "expression"


def target_text(target: ast.expr) -> str:
    """Return `target` as source text; a tuple without its brackets, such as "x, y"."""
    text = ast.unparse(target)
    return text[1:-1] if isinstance(target, ast.Tuple) and text.startswith("(") else text


def header_parts(node: Any) -> list[Any]:
    """Return the children of `node` without its body, branches and decorators."""
    skipped = ("body", "orelse", "finalbody", "handlers", "cases", "decorator_list")
    parts = []
    for field, value in ast.iter_fields(node):
        if field not in skipped or not isinstance(value, list):
            parts += value if isinstance(value, list) else [value]
    return parts


def names_of(nodes: Sequence[Any]) -> tuple[str, ...]:
    """Return the identifiers and one-word strings in `nodes`, in the order of the source."""
    positions: dict[str, tuple[int, int]] = {}
    for top in nodes:
        for node in ast.walk(top) if isinstance(top, ast.AST) else ():
            name = NAME_FIELDS.get(type(node), "")
            value = getattr(node, name, None) if name else None
            if isinstance(value, str) and re.fullmatch(r"[\w.-]+", value) and not value.isdigit():
                end = (getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0))
                positions[value] = min(end, positions.get(value, end))
    return tuple(sorted(positions, key=lambda name: positions[name]))
