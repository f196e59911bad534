"""Formulas as MathML, with the links of `mindref.study.equation`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from mindref.study.equation import ROWS, START, edge_kind, is_sign
from mindref.study.latex import ABSENT, ACCENTS, FormulaNode

LEAVES = {
    "number": "mn", "letter": "mi", "function": "mi", "words": "mtext",
}  # fmt: skip
LINKS = {"linked": "data-symbol", "constant": "data-constant"}
"""Kind of a linked part -> its attribute: symbol of a tensor, or name of a constant."""


def render_mathml(rows: Sequence[FormulaNode]) -> str:
    """Return MathML with one line for each formula.

    A linked part has the attribute data-symbol, which the page links to a table, or data-constant.
    """
    lines = [f"<mtr><mtd>{mathml_part(row)}</mtd></mtr>" for row in rows]
    table = f'<mtable displaystyle="true">{"".join(lines)}</mtable>'
    inner = table if len(rows) > 1 else mathml_part(rows[0])
    return f'<math display="block">{inner}</math>'


def mathml_part(node: FormulaNode) -> str:
    """Return the MathML of a tree."""
    if node.kind in ROWS:
        link = f' {LINKS[node.kind]}="{escape(node.text)}"' if node.kind in LINKS else ""
        return f"<mrow{link}>{''.join(mathml_row(stacked_parts(node)))}</mrow>"
    inner = [mathml_part(part) for part in node.parts if part is not ABSENT]
    if node.kind == "script":
        return mathml_script(node, inner)
    if node.kind in ACCENTS:
        return f'<mover accent="true">{inner[0]}<mo>{ACCENTS[node.kind]}</mo></mover>'
    if node.kind in ("frac", "sqrt"):
        return f"<m{node.kind}>{''.join(inner)}</m{node.kind}>"
    if node.kind == "space":
        return '<mspace width="1em"/>'
    return mathml_leaf(node)


def group_fences(parts: Sequence[FormulaNode]) -> list[FormulaNode]:
    """Return the parts with one node for each pair of fences, so that MathML sizes the fences.

    The exponent of a closing fence becomes the exponent of the group.
    """
    stack: list[list[FormulaNode]] = [[]]
    for part in parts:
        base = part.parts[0] if part.kind == "script" else part
        if base.kind == "open":
            stack.append([part])
        elif base.kind == "close" and len(stack) > 1:
            inner = (*stack.pop(), base)
            group = FormulaNode("group", "", "", inner, inner[0].spaced)
            if part is not base:
                group = part._replace(parts=(group, *part.parts[1:]), spaced=group.spaced)
            stack[-1].append(group)
        else:
            stack[-1].append(part)
    return [part for level in stack for part in level]


def stacked_parts(node: FormulaNode) -> list[FormulaNode]:
    """Return the parts of a row or group with fractions; the fences of a group stay outside."""
    if node.kind == "group":
        return [node.parts[0], *stack_fractions(node.parts[1:-1]), node.parts[-1]]
    return stack_fractions(node.parts)


def stack_fractions(parts: Sequence[FormulaNode]) -> list[FormulaNode]:
    """Return the parts with a fraction for each term a / b; brackets around a or b are removed."""
    out: list[FormulaNode] = []
    term: list[FormulaNode] = []
    for part in (*group_fences(parts), END_OF_TERM):
        if part.kind in TERM_ENDS and part.plain != "/":
            out += [*fraction_of_term(term), part]
            term = []
        else:
            term.append(part)
    return out[:-1]


END_OF_TERM = FormulaNode("relation")
TERM_ENDS = ("relation", "point", "space", "words")


def fraction_of_term(term: list[FormulaNode]) -> list[FormulaNode]:
    """Return a term with its slash as a fraction; another term is unchanged."""
    slash = next((index for index, part in enumerate(term) if part.plain == "/"), 0)
    if not slash:
        return term
    above, below = (remove_brackets(x) for x in (term[:slash], term[slash + 1 :]))
    return [FormulaNode("frac", parts=(above, below), spaced=term[0].spaced)]


def remove_brackets(parts: Sequence[FormulaNode]) -> FormulaNode:
    """Return the parts as a row, without the round brackets around all of them."""
    if len(parts) == 1 and parts[0].kind == "group" and parts[0].parts[0].plain == "(":
        parts = parts[0].parts[1:-1]
    return FormulaNode("row", parts=tuple(parts))


def mathml_leaf(node: FormulaNode) -> str:
    """Return the MathML of a part without parts."""
    tag = LEAVES.get(node.kind, "mo")
    if node.kind == "letter" and node.text.endswith("′"):
        letter = node.text.rstrip("′")
        primes = f'<mo lspace="0" rspace="0">{node.text[len(letter) :]}</mo>'
        return f"<mrow><mi>{escape(letter)}</mi>{primes}</mrow>"
    attribute = ' movablelimits="false"' if node.kind == "sum" else ""
    if node.text in ("|", "‖"):  # the same character opens and closes
        form = {"open": "prefix", "close": "postfix"}.get(node.kind, "infix")
        attribute = f' form="{form}" fence="true" stretchy="true"'
    return f"<{tag}{attribute}>{escape(node.text)}</{tag}>"


def mathml_script(node: FormulaNode, inner: Sequence[str]) -> str:
    """Return the MathML of a part with index or exponent; limits are below and above."""
    _, index, exponent = node.parts
    has_limits = node.parts[0].plain in ("sum", "max", "min")
    below, above = ("under", "over") if has_limits else ("sub", "sup")
    tag = "m" + (below if index is not ABSENT else "") + (above if exponent is not ABSENT else "")
    return f"<{tag}>{''.join(inner)}</{tag}>"


def mathml_row(parts: Sequence[FormulaNode]) -> Iterator[str]:
    """Yield the MathML of the parts of a row, with spaces between factors."""
    before = START
    for part in parts:
        factors = edge_kind(before, -1) in FACTOR_END and edge_kind(part) in FACTOR_START
        if factors and part.spaced:
            yield '<mspace width="0.25em"/>'
        yield MINUS_SIGN if is_sign(before, part) else mathml_part(part)
        before = part


MINUS_SIGN = '<mo form="prefix">−</mo>'
FACTOR_END = ("letter", "number", "frac", "sqrt", "close", "function", *ACCENTS)
FACTOR_START = ("letter", "number", "frac", "sqrt", "open", "function", "sum", *ACCENTS)
