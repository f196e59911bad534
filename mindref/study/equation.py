r"""Formulas rendered as plain text, and linked to the tensors of a trace.

`\sum_i w_{ik}^{(t)} S e_i` has the plain text `sum_i w_ik^(t) S e_i`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mindref.study.latex import ABSENT, ACCENTS, FormulaNode

LONGEST_LINK = 2
"""A linked part has at most this many factors: the vote S e."""
ROWS = ("row", "linked", "constant", "group")
LINK_OF = Callable[[list[str]], tuple[str, str]]
"""Returns kind (linked or constant) and text for the names of a part; an empty kind for no link."""


def render_plain(node: FormulaNode) -> str:
    """Return a tree as plain text."""
    if node.kind in ROWS:
        return "".join(plain_parts(node.parts))
    if node.kind == "script":
        base, index, exponent = (render_plain(part) for part in node.parts)
        index = f"({index})" if any(x in index for x in "=,") else index.replace(" ", "")
        exponent = exponent.replace(" ", "")
        if exponent and not (exponent.isalnum() or exponent.startswith("(")):
            exponent = f"({exponent})"
        return base + (index and f"_{index}") + (exponent and f"^{exponent}")
    if node.kind == "frac":
        above, below = (render_plain(part) for part in node.parts)
        above = f"({above})" if is_sum(node.parts[0]) else above
        return f"{above} / ({below})" if is_product(node.parts[1]) else f"{above} / {below}"
    if node.kind == "sqrt":
        return f"sqrt({render_plain(node.parts[0])})"
    if node.kind in ACCENTS:
        return f"{render_plain(node.parts[0])}_{node.kind}"
    return node.plain


def is_product(node: FormulaNode) -> bool:
    """Return whether a tree has several factors or terms: neither one symbol nor one bracket."""
    kinds = [edge_kind(part) for part in node.parts]
    is_bracket = kinds.count("open") == 1 and "open" in kinds[:2] and kinds[-1] == "close"
    return node.kind == "row" and len(kinds) > 1 and not is_bracket


def is_sum(node: FormulaNode) -> bool:
    """Return whether a tree has several terms."""
    return is_product(node) and any(part.kind == "relation" for part in node.parts)


def plain_parts(parts: Sequence[FormulaNode]) -> Iterator[str]:
    """Yield the plain texts of the parts of a row, with the spaces between them."""
    before = START
    for index, part in enumerate(parts):
        text, after = render_plain(part), parts[index + 1] if index + 1 < len(parts) else END
        is_term = edge_kind(before, -1) in ("relation", "open", "point")
        if edge_kind(part) == "frac" and not (is_term and edge_kind(after) in AFTER_TERM):
            text = f"({text})"
        is_call = edge_kind(before, -1) == "function" and text.startswith("(")
        yield (" " if needs_space(before, part) and not is_call else "") + text
        before = START if is_sign(before, part) else part


START, END = FormulaNode("open"), FormulaNode("close")
OPEN = ("open", "space")
AFTER_TERM = ("relation", "close", "point", "space", "words")
SPACED = ("relation", "point", "function", "sum")


def is_sign(before: FormulaNode, part: FormulaNode) -> bool:
    """Return whether a part is the minus of a negative number, not of a difference."""
    return part.plain == "-" and edge_kind(before, -1) in (*OPEN, "relation", "words")


def needs_space(before: FormulaNode, part: FormulaNode) -> bool:
    """Return whether plain text has a space between two parts."""
    left, right = edge_kind(before, -1), edge_kind(part)
    if "words" in (left, right) and right != "point":
        return not (before.plain.endswith(" ") or part.plain.startswith(" ") or left == "open")
    if right == "space":
        return True
    if left in OPEN or right in ("close", "point"):
        return part.plain == ";"
    if left in ("function", "sum") and right == "open":
        return part.spaced
    return left in SPACED or right in SPACED or part.spaced


def edge_kind(node: FormulaNode, end: int = 0) -> str:
    """Return the kind of the first part of a tree, or of the last for end = -1."""
    if node.kind in ROWS and node.parts:
        return edge_kind(node.parts[end], end)
    return edge_kind(node.parts[0], end) if node.kind == "script" else node.kind


def link_symbols(row: FormulaNode, link_of: LINK_OF) -> FormulaNode:
    """Return a tree whose symbols are linked; see `LINK_OF` and `part_names`."""
    parts: list[FormulaNode] = []
    arrow = next((n for n, part in enumerate(row.parts) if part.plain == "<-"), 0)
    index = 0
    while index < len(row.parts):
        after = "'" if index < arrow else ""  # the value that x <- y gives to x
        for length in range(min(LONGEST_LINK, len(row.parts) - index), 0, -1):
            linked = row.parts[index : index + length]
            kind, text = link_of([name + after for name in part_names(linked)])
            if kind:
                inner = tuple(link_exponent(part, link_of) for part in linked)
                parts.append(FormulaNode(kind, text, "", inner, linked[0].spaced))
                break
        else:
            length = 1
            parts.append(link_inside(row.parts[index], link_of))
        index += length
    return row._replace(parts=tuple(parts))


def link_inside(node: FormulaNode, link_of: LINK_OF) -> FormulaNode:
    """Return a part with its inner symbols linked; an index has no link."""
    if node.kind == "row":
        return link_symbols(node, link_of)
    if node.kind == "script":
        return link_exponent(node, link_of)
    if node.kind not in ("frac", "sqrt"):
        return node
    return node._replace(parts=tuple(link_symbols(as_row(x), link_of) for x in node.parts))


def link_exponent(node: FormulaNode, link_of: LINK_OF) -> FormulaNode:
    """Return a part with links in its exponent; an iteration, as in w^{(t)}, has no link."""
    if node.kind != "script" or is_iteration(node.parts[2]):
        return node
    base, index, exponent = node.parts
    return node._replace(parts=(base, index, link_symbols(as_row(exponent), link_of)))


def is_iteration(exponent: FormulaNode) -> bool:
    """Return whether an exponent is absent or the index of an iteration."""
    return exponent is ABSENT or render_plain(exponent).startswith("(")


def as_row(node: FormulaNode) -> FormulaNode:
    """Return a row with the part, or the row itself."""
    return node if node.kind == "row" else FormulaNode("row", parts=(node,))


def part_names(parts: Sequence[FormulaNode]) -> list[str]:
    """Return the names of a part: its plain text, without its exponent, without indices.

    `w_{ik}^{(t)}` has the names w_ik^(t) and w^(t); `d_{z_k}` has the names d_z_k and d_z. The
    names of `S e_i` are "S e_i" and Se.
    """
    row = FormulaNode("row", parts=tuple(parts))
    return [render_plain(row), *base_of_power(parts), symbol_name(row)]


def base_of_power(parts: Sequence[FormulaNode]) -> list[str]:
    """Return the name of a power without its exponent: beta_2 for beta_2^t."""
    if len(parts) != 1 or parts[0].kind != "script" or is_iteration(parts[0].parts[2]):
        return []
    base, index, _ = parts[0].parts
    return [render_plain(FormulaNode("script", parts=(base, index, ABSENT)))]


def symbol_name(node: FormulaNode) -> str:
    """Return the letters of a symbol without its indices; a raised (t) belongs to the symbol."""
    if node.kind == "row":
        return "".join(symbol_name(part) for part in node.parts)
    if node.kind != "script":
        return render_plain(node)
    base, index, exponent = node.parts
    raised = render_plain(exponent).replace(" ", "")
    iteration = f"^{raised}" if raised.startswith("(") else ""
    is_gradient = base.plain == "d" and index is not ABSENT
    return ("d_" + symbol_name(index) if is_gradient else render_plain(base)) + iteration
