"""Parts of a formula: sides, terms, groups in fences, conditions, indices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mindref.study.latex import ABSENT, FormulaNode

Parts = Sequence[FormulaNode]
CONDITIONS = ("if", "where")


def word_of(part: FormulaNode) -> str:
    """Return a word or a mark without spaces and commas."""
    return part.plain.strip(" ,") or part.plain


def split_parts(
    parts: Parts, marks: Sequence[str], until: Sequence[str] = ()
) -> tuple[list[Parts], Parts]:
    """Return the parts between marks outside fences, and the parts from a word of `until`."""
    groups: list[list[FormulaNode]] = [[]]
    depth = 0
    for index, part in enumerate(parts):
        depth += fence_step(part)
        if not depth and word_of(part) in until:
            return list(groups), parts[index:]
        if not depth and word_of(part) in marks:
            groups.append([])
        else:
            groups[-1].append(part)
    return list(groups), ()


def split_terms(parts: Parts) -> Iterator[tuple[str, Parts]]:
    """Yield the terms of a sum, each with its sign."""
    depth, sign, term = 0, "+", []
    for part in parts:
        depth += fence_step(part)
        if not depth and part.plain in ("+", "-"):
            if term:
                yield sign, term
            sign, term = part.plain, []
        else:
            term.append(part)
    yield sign, term


def split_group(parts: Parts) -> tuple[Parts, FormulaNode, Parts]:
    """Return the parts in the first fences, the exponent of the fences, and the parts after."""
    depth = 0
    for index, part in enumerate(parts):
        depth += fence_step(part)
        if not depth:
            return parts[1:index], script_parts(part)[2], parts[index + 1 :]
    raise ValueError("a fence is not closed")


def fence_step(part: FormulaNode) -> int:
    """Return 1 for an opening fence, -1 for a closing fence, otherwise 0."""
    return {"open": 1, "close": -1}.get(script_parts(part)[0].kind, 0)


def read_condition(words: Parts) -> tuple[Parts, Parts]:
    """Return the condition and the alternative of "if condition, else alternative"."""
    if not words or word_of(words[0]) not in CONDITIONS:
        return (), ()
    sides, _ = split_parts(words[1:], ("else",))
    condition = [part for part in sides[0] if part.kind != "point"]
    return condition, sides[1] if len(sides) > 1 else ()


def script_parts(part: FormulaNode) -> tuple[FormulaNode, FormulaNode, FormulaNode]:
    """Return base, index and exponent of a part."""
    return part.parts if part.kind == "script" else (part, ABSENT, ABSENT)  # type: ignore[return-value]


def row_parts(node: FormulaNode) -> Parts:
    """Return the parts of a row, or the one part."""
    return node.parts if node.kind == "row" else (node,)


def is_iteration(exponent: FormulaNode) -> bool:
    """Return whether an exponent is the index of an iteration, as in b^{(t)}."""
    return bool(exponent.parts) and exponent.parts[0].plain == "("


def plain_name(node: FormulaNode) -> str:
    """Return the name of an index: a letter or a word."""
    return "".join(part.plain for part in row_parts(node))


def index_letters(node: FormulaNode) -> set[str]:
    """Return the letters in the indices of a part."""
    if node.kind == "script":
        letters = {part.plain for part in row_parts(node.parts[1])}
        return letters.union(*map(index_letters, node.parts))
    return set().union(*map(index_letters, node.parts))
