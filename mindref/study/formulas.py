"""The formulas of the specification pages, and the equation of a step.

A reference names a page and a formula of the page: `routing forward 3`; tests/study/formulas.py has
all names. If the name has several formulas, `routing backward 5.2` is the second of them.
steps/formulas.json is derived from the pages, which the package does not contain:

    python -m tests.study.formulas --write
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mindref.study.equation import link_symbols, render_plain
from mindref.study.latex import FormulaNode, parse_formula
from mindref.study.mathml import render_mathml

FORMULA_FILE = Path(__file__).parent / "steps" / "formulas.json"
ITERATION = re.compile(r"\^\((.*)\)$")


class Equation(NamedTuple):
    """The formulas of a step, and the tensors of their symbols."""

    plain: str  # one line for each formula, as in the other texts
    mathml: str
    latex: str
    pages: tuple[str, ...]  # references
    symbols: dict[str, str]  # symbol of the study -> tensor
    letters: dict[str, str]  # name in the formulas -> tensor, where the names differ
    constants: dict[str, str]  # name in the formulas -> meaning, where it is no tensor


@cache
def load_formulas() -> dict[str, dict[str, list[str]]]:
    """Return page -> name -> LaTeX of each formula."""
    formulas: dict[str, dict[str, list[str]]] = json.loads(FORMULA_FILE.read_text(encoding="utf-8"))
    return formulas


def find_formulas(reference: str) -> list[str]:
    """Return the LaTeX of the formulas at a reference. Raises LookupError if there are none."""
    page, _, name = reference.partition(" ")
    formulas = load_formulas().get(page, {})
    if name in formulas:
        return formulas[name]
    name, _, number = name.rpartition(".")
    if not number.isdigit() or not 0 < int(number) <= len(formulas.get(name, ())):
        raise LookupError(f"{reference}: no such formula in {FORMULA_FILE.name}")
    return [formulas[name][int(number) - 1]]


@cache
def parse_reference(reference: str) -> tuple[FormulaNode, ...]:
    """Return the trees of the formulas at a reference."""
    return tuple(parse_formula(latex, reference) for latex in find_formulas(reference))


def make_equation(
    references: Sequence[str],
    letters_of: Callable[[str], Mapping[str, str]],
    constants_of: Callable[[str], Mapping[str, str]],
    tensor_symbols: Mapping[str, str],
    fill: Callable[[str], str],
) -> Equation:
    """Return the equation of a step.

    letters_of: for a reference, name in the formula -> tensor, where they differ
    constants_of: for a reference, name in the formula -> meaning of what is no tensor
    tensor_symbols: tensor that the step reads or returns -> symbol of the study
    fill: returns a name of a tensor without placeholders
    """
    linked: dict[tuple[str, str], str] = {}  # letters without indices, tensor -> first name
    meanings: dict[str, str] = {}
    rows: list[FormulaNode] = []
    for reference in references:
        letters, constants = letters_of(reference), constants_of(reference)

        def link_of(
            names: list[str],
            letters: Mapping[str, str] = letters,
            constants: Mapping[str, str] = constants,
        ) -> tuple[str, str]:
            tensors = (fill(tensor) for tensor in possible_tensors(names, letters))
            tensor = next((x for x in tensors if x in tensor_symbols), "")
            if tensor:
                linked.setdefault((names[-1], tensor), names[0])
                return "linked", tensor_symbols[tensor]
            name = next((name for name in names if name in constants), "")
            if name:
                meanings[name] = fill(constants[name])
            return ("constant", name) if name else ("", "")

        rows += [link_symbols(row, link_of) for row in parse_reference(reference)]
    lines = [latex for reference in references for latex in find_formulas(reference)]
    gathered = r"\begin{gathered} " + r" \\ ".join(lines) + r" \end{gathered}"
    return Equation(
        plain="\n".join(map(render_plain, rows)),
        mathml=render_mathml(rows),
        latex=lines[0] if len(lines) == 1 else gathered,
        pages=tuple(references),
        symbols={tensor_symbols[tensor]: tensor for _, tensor in linked},
        letters=different_letters(linked, tensor_symbols),
        constants=meanings,
    )


def different_letters(
    linked: Mapping[tuple[str, str], str], tensor_symbols: Mapping[str, str]
) -> dict[str, str]:
    """Return name in the formulas -> first tensor with the name, where the names differ."""
    letters: dict[str, str] = {}
    for (letter, tensor), name in linked.items():
        if ITERATION.sub("", letter).rstrip("'") != tensor_symbols[tensor].rstrip("'"):
            letters.setdefault(name, tensor)
    return letters


def possible_tensors(names: Iterable[str], letters: Mapping[str, str]) -> list[str]:
    """Return the tensors that a part of a formula may be, by its names; see `part_names`."""
    tensors = []
    for name in names:
        if name in letters:
            return [letters[name]]
        bare = name.removeprefix("d_")
        if name != bare and bare in letters:
            return ["d_" + letters[bare]]
        tensors.append(ITERATION.sub(r"[\1]", name))
    return tensors
