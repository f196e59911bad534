r"""Formulas rendered as plain text and as MathML, with links to the tensors of a trace.

`\sum_i w_{ik}^{(t)} S e_i` has the plain text `sum_i w_ik^(t) S e_i`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from mindref.study.latex import ABSENT, ACCENTS, FormulaNode

LEAVES = {
    "number": "mn", "letter": "mi", "function": "mi", "words": "mtext",
}  # fmt: skip
LONGEST_LINK = 2
"""A linked part has at most this many factors: the vote S e."""
ROWS = ("row", "linked", "constant", "group")
LINKS = {"linked": "data-symbol", "constant": "data-constant"}
"""Kind of a linked part -> its attribute: symbol of a tensor, or name of a constant."""
LINK_OF = Callable[[list[str]], tuple[str, str]]
"""Returns kind (of `LINKS`) and text for the names of a part; an empty kind for no link."""


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
