r"""The LaTeX of the specification pages as a tree.

The parser reads the macros that the pages use: scripts, fractions, roots, accents, fences, sums,
functions and words. Another macro raises DataError, which names the page and the step.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mindref.errors import DataError, say

INLINE_FORMULA = re.compile(r"(?<![\w$\\])\$(?![\s$])([^$]+?)(?<!\s)\$(?![\w$])")
"""A formula in a line of Markdown. GitHub needs a space or punctuation beside the dollar signs."""

TOKEN = re.compile(
    r"\\(?P<words>text|mathrm)\{(?P<content>[^}]*)\}|\\(?P<macro>[a-zA-Z]+|[^a-zA-Z])"
    r"|(?P<number>\d+(?:\.\d+)?)|(?P<letter>[^\W\d_]'*)|(?P<gap>\s+)|(?P<mark>\S)"
)
CHARACTERS = {
    "letter": "beta β beta, delta δ delta, ell ℓ loss, eta η eta, lambda λ lambda,"
    " rho ρ rho, sigma σ sigma, tau τ tau, theta θ theta, varepsilon ε epsilon,"
    " infty ∞ infinity, ldots … ..., top ⊤ T",
    "relation": "le ≤ <=, gt > >, sim ∼ ~, leftarrow ← <-, cdot · *",
    "open": "langle ⟨ <, lvert | |, lVert ‖ ||, lfloor ⌊ floor(",
    "close": "rangle ⟩ >, rvert | |, rVert ‖ ||, rfloor ⌋ )",
    "function": "exp exp exp, log log log, max max max, min min min",
    "sum": "sum ∑ sum",
}
"""For each kind: macros, the displayed character and the plain text."""

MACROS = {
    name: (kind, character, plain)
    for kind, entries in CHARACTERS.items()
    for name, character, plain in (entry.split() for entry in entries.split(", "))
}
MARKS = {"(": "open", "[": "open", ")": "close", "]": "close", ",": "point", ";": "point"}
SPACE = "quad"
IGNORED = ("left", "right", "Big", ",")  # sizes of fences, and a thin space
ACCENTS = {"hat": "^", "bar": "¯"}
ARGUMENTS = {"frac": 2, "sqrt": 1, **dict.fromkeys(ACCENTS, 1)}  # number of arguments


class FormulaNode(NamedTuple):
    """A part of a formula."""

    kind: str  # of CHARACTERS or ARGUMENTS, or row, script, linked, space, number, words
    text: str = ""  # what is displayed; of a linked part: its symbol
    plain: str = ""
    parts: tuple[FormulaNode, ...] = ()  # of a script: base, index, exponent
    spaced: bool = False  # after a space in the LaTeX


ABSENT = FormulaNode("row")
"""The index or the exponent of a script that has none."""


class FormulaParser:
    """Reads the tokens of a formula; `location` names its page and step in errors."""

    def __init__(self, latex: str, location: str) -> None:
        self.location, self.tokens, self.position = location, list(TOKEN.finditer(latex)), 0

    def next_mark(self) -> str:
        """Return the next token if it is a mark, otherwise an empty string."""
        if self.position == len(self.tokens):
            return ""
        return self.tokens[self.position]["mark"] or ""

    def parse_row(self, end: str = "") -> FormulaNode:
        """Return the parts up to the mark `end`, or up to the end of the formula."""
        parts: list[FormulaNode] = []
        spaced = False
        while self.position < len(self.tokens) and not (end and self.next_mark() == end):
            token = self.tokens[self.position]
            if token["gap"] or token["macro"] in IGNORED:
                spaced = spaced or bool(token["gap"])
                self.position += 1
            else:
                parts.append(self.parse_scripts()._replace(spaced=spaced))
                spaced = False
        if end and not self.next_mark():
            raise self.unreadable("a closing brace", "the end of the formula")
        self.position += 1
        return parts[0] if end and len(parts) == 1 else FormulaNode("row", parts=tuple(parts))

    def parse_scripts(self) -> FormulaNode:
        """Return one part with its index and its exponent."""
        base = self.parse_part()
        scripts = {"_": ABSENT, "^": ABSENT}
        while self.next_mark() in scripts:
            mark = self.next_mark()
            self.position += 1
            scripts[mark] = self.parse_part()
        if scripts["_"] == scripts["^"] == ABSENT:
            return base
        return FormulaNode("script", parts=(base, scripts["_"], scripts["^"]))

    def parse_part(self) -> FormulaNode:
        """Return one part without its index and its exponent."""
        while self.position < len(self.tokens) and self.tokens[self.position]["gap"]:
            self.position += 1
        if self.position == len(self.tokens):
            raise self.unreadable("an argument", "the end of the formula")
        token = self.tokens[self.position]
        self.position += 1
        if token["mark"] == "{":
            return self.parse_row("}")
        if token["macro"]:
            return self.parse_macro(token["macro"])
        if token["words"]:
            kind = "words" if token["words"] == "text" else "letter"
            return FormulaNode(kind, token["content"], token["content"])
        if token["mark"]:
            kind = MARKS.get(token["mark"], "relation")
            return FormulaNode(kind, token["mark"].replace("-", "−"), token["mark"])
        kind = "number" if token["number"] else "letter"
        return FormulaNode(kind, token[0].replace("'", "′"), token[0])

    def parse_macro(self, name: str) -> FormulaNode:
        """Return the part of a macro with its arguments."""
        if name in ARGUMENTS:
            arguments = tuple(self.parse_part() for _ in range(ARGUMENTS[name]))
            return FormulaNode(name, parts=arguments)
        if name == SPACE:
            return FormulaNode("space")
        if name not in MACROS:
            raise self.unreadable("a macro of mindref/study/latex.py", f"\\{name}")
        kind, character, plain = MACROS[name]
        primes = 0
        while self.next_mark() == "'":
            primes, self.position = primes + 1, self.position + 1
        return FormulaNode(kind, character + "′" * primes, plain + "'" * primes)

    def unreadable(self, expected: str, got: str) -> DataError:
        """Return the error for LaTeX that the parser cannot read."""
        return DataError(say(self.location, expected, got))


def parse_formula(latex: str, location: str) -> FormulaNode:
    """Return the tree of a formula. Raises DataError for LaTeX that the pages do not use."""
    return FormulaParser(latex, location).parse_row()
