"""The arithmetic of one cell, from its recipe: the terms, what they add up to, and what follows.

See recipes.py for what a recipe is, evaluate.py for whole arrays, arithmetic.py for the parts of an
explanation. Every function of evaluate.py has one of the same name here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from mindref.study.explain import loss as explain_loss
from mindref.study.explain import model as explain_model
from mindref.study.explain.arithmetic import Cell, Explanation, Term, Values, alone, summed
from mindref.study.recipes import Recipe

FUNCTIONS: dict[str, Callable[[Cell], Explanation]] = {
    **explain_model.FUNCTIONS,
    **explain_loss.FUNCTIONS,
}


def explain(values: Values, recipe: Recipe, index: tuple[int, ...]) -> Explanation:
    """Return the arithmetic of the cell at an index of the tensor that a recipe makes.

    values: name -> array of every tensor that the recipe reads.
    """
    if recipe["op"] == "given":
        return Explanation((), "given: nothing is computed here", math.nan)
    cell = Cell(values, recipe, index)
    return (add_up if recipe["op"] == "sum" else FUNCTIONS[recipe["op"]])(cell)


def add_up(cell: Cell) -> Explanation:
    """Explain a sum of signed products: letters that the result has not are run through."""
    terms, k = [], 0
    for part in cell.recipe["terms"]:
        numbers = range(k, k := k + len(part["factors"]))
        sizes: dict[str, int] = {}
        for j in numbers:
            sizes |= dict(zip(cell.letters[j], cell.arrays[j].shape, strict=True))
        free = [letter for letter in sizes if letter not in cell.bound]
        for run in itertools.product(*(range(sizes[letter]) for letter in free)):
            more = dict(zip(free, run, strict=True))
            factors = tuple(cell.factor(j, cell.at(j, **more)) for j in numbers)
            value = part["sign"] * math.prod(f.value for f in factors)
            sign = "- " if part["sign"] < 0 else ""
            terms.append(Term(sign + " x ".join(["{}"] * len(factors)), factors, value))
    return alone(summed(terms))
