"""Equations: plain text, rendered as MathML and LaTeX.

`w_ik = exp(b_ik) / sum_j exp(b_ij)`: a name, an underscore, its indices. `d_w_ik` is the gradient
with respect to w_ik, a prime marks the value after an update, and `sum_j` is a sum over j.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

GREEK = {"beta": "β", "sigma": "σ"}
PRODUCTS = {"Se": ("S", "e")}  # symbols that are printed as a product
FUNCTIONS = ("exp", "log", "log2", "max", "min", "floor", "sign")
SYMBOLS = {"*": "·", "-": "−", "~": "∼"}
TOKEN = re.compile(
    r"(?P<name>(?:d_)?[A-Za-z]\w*?'?)(?:_(?P<index>[a-z0-9]+))?(?![\w'])"
    r"|(?P<number>\d+(?:\.\d+)?)|\^(?P<power>\w+)|(?P<mark>[^\s\w])"
)


class Token(NamedTuple):
    """A token of an equation."""

    kind: str  # "symbol", "word", "function", "sum", "number", "power", "mark"
    text: str
    indices: str = ""


def tokenise_equation(text: str, symbols_known: Iterable[str]) -> Iterator[Token]:
    """Yield the tokens of an equation; `known` has the symbols of tensors."""
    symbols = set(symbols_known)
    for match in TOKEN.finditer(text):
        name, index = match["name"], match["index"] or ""
        if not name:
            kind = next(k for k in ("number", "power", "mark") if match[k])
            yield Token(kind, match[kind])
        elif name == "sum":
            yield Token("sum" if index else "word", name, index)
        elif f"{name}_{index}" in symbols:  # o_t is one tensor, not o with the index t
            yield Token("symbol", f"{name}_{index}")
        elif name in FUNCTIONS:
            yield Token("function", name)
        else:
            plain = not index and name not in symbols and len(name) > 1 and name not in GREEK
            yield Token("word" if plain else "symbol", name, index)


def render_mathml(text: str, symbols: dict[str, str]) -> str:
    """Return MathML; a symbol of a tensor has the attribute data-symbol, which the page links."""
    out: list[str] = []
    before = ""
    for token in tokenise_equation(text, symbols):
        if token.kind == "power":
            out[-1] = f"<msup>{out[-1]}<mn>{token.text}</mn></msup>"
        else:
            if token.kind == before == "symbol":  # a product: not beta1first
                out.append('<mspace width="0.25em"/>')
            out.append(render_element(token, symbols))
        before = token.kind
    return f'<math display="block"><mrow>{"".join(out)}</mrow></math>'


def render_element(token: Token, symbols: dict[str, str]) -> str:
    """Return the MathML of a token."""
    text = escape(SYMBOLS.get(token.text, token.text))
    if token.kind == "sum":
        return f'<munder><mo movablelimits="false">∑</mo><mi>{token.indices}</mi></munder>'
    if token.kind == "symbol":
        linked = f' data-symbol="{escape(token.text)}"' if token.text in symbols else ""
        name, indices = split_symbol(token)
        base = letters_mathml(name)
        if name.startswith("d_"):
            base = f"<mrow><mo>∂</mo>{base}</mrow>"
        if not indices:
            return f"<mrow{linked}>{base}</mrow>"
        return f"<msub{linked}>{base}<mi>{indices}</mi></msub>"
    tag = {"number": "mn", "mark": "mo", "word": "mtext", "function": "mi"}[token.kind]
    return f"<{tag}> {text} </{tag}>" if tag == "mtext" else f"<{tag}>{text}</{tag}>"


def split_symbol(token: Token) -> tuple[str, str]:
    """Return base and subscript of a symbol, also of a tensor such as o_t."""
    gradient = "d_" if token.text.startswith("d_") else ""
    name, _, below = token.text.removeprefix("d_").partition("_")
    return gradient + name, below or token.indices


def letters_mathml(name: str) -> str:
    """Return the MathML letters of a name, with Greek letters and primes."""
    bare = name.removeprefix("d_")
    name = bare.rstrip("'")
    letters = [escape(GREEK.get(letter, letter)) for letter in PRODUCTS.get(name, (name,))]
    letters[-1] += "′" * bare.count("'")
    base = "".join(f"<mi>{letter}</mi>" for letter in letters)
    return base if len(letters) == 1 else f"<mrow>{base}</mrow>"


def render_latex(text: str, symbols: Iterable[str]) -> str:
    """Return LaTeX."""
    out = []
    for token in tokenise_equation(text, symbols):
        if token.kind == "sum":
            out.append(rf"\sum_{{{token.indices}}}")
        elif token.kind == "symbol":
            out.append(render_latex_symbol(token))
        elif token.kind == "word":
            out.append(rf"\text{{ {token.text} }}")
        elif token.kind == "function":
            out.append(rf"\{token.text.rstrip('2')}" + ("_2" if token.text == "log2" else ""))
        else:
            out.append(f"^{{{token.text}}}" if token.kind == "power" else token.text)
    return " ".join(out)


def render_latex_symbol(token: Token) -> str:
    """Return a symbol with its indices as LaTeX."""
    name, indices = split_symbol(token)
    bare = name.removeprefix("d_")
    letter = bare.rstrip("'")
    words = letter if len(letter) == 1 else rf"\mathrm{{{letter}}}"
    words = " ".join(PRODUCTS[letter]) if letter in PRODUCTS else words
    base = f"\\{letter}" if letter in GREEK else words
    sign = r"\partial " if token.text.startswith("d_") else ""
    return sign + base + "'" * bare.count("'") + (f"_{{{indices}}}" if indices else "")
