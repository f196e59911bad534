"""The explanation of one cell, from its recipe.

See recipes.py for recipes, recipe_arrays.py for whole arrays, arithmetic.py for the parts of an
explanation. Each recipe function has an explanation in this package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from mindref.study.explain import loss, model
from mindref.study.explain.arithmetic import Cell, Explanation, Term, Values, sum_of
from mindref.study.recipes import Recipe

FUNCTIONS: dict[str, Callable[[Cell], Explanation]] = {
    "softmax": model.explain_softmax,
    "unit": model.explain_unit,
    "across": model.explain_across,
    "along": model.explain_along,
    "size": model.explain_size,
    "count": model.explain_count,
    "gaps": model.explain_gaps,
    "through_power": model.explain_through_power,
    "one_hot": model.explain_one_hot,
    "concat": model.explain_concat,
    "front": model.explain_front,
    "back": model.explain_back,
    "relu": model.explain_relu,
    "passed_through": model.explain_passed_through,
    "hits": loss.explain_hits,
    "without_hits": loss.explain_without_hits,
    "loss": loss.explain_loss,
    "tail": loss.explain_tail,
    "scatter": loss.explain_scatter,
    "adam": loss.explain_adam,
    "max": loss.explain_max,
    "winner": loss.explain_winner,
    "order": loss.explain_order,
}
"""The explanation of each recipe function, in the order of `recipe_arrays.FUNCTIONS`."""


def explain_cell(values: Values, recipe: Recipe, index: tuple[int, ...]) -> Explanation:
    """Return the explanation of the cell at an index of the result of a recipe.

    values: name -> array for every tensor that the recipe reads.
    """
    if recipe["op"] == "input":
        return Explanation((), "an input, not computed", math.nan)
    cell = Cell(values, recipe, index)
    return (explain_sum if recipe["op"] == "sum" else FUNCTIONS[recipe["op"]])(cell)


def explain_sum(cell: Cell) -> Explanation:
    """Explain a sum of signed products over the letters that the result does not have."""
    terms, k = [], 0
    for part in cell.recipe["terms"]:
        numbers = range(k, k := k + len(part["factors"]))
        sizes: dict[str, int] = {}
        for j in numbers:
            sizes |= dict(zip(cell.letters[j], cell.arrays[j].shape, strict=True))
        free = [letter for letter in sizes if letter not in cell.bound]
        for run in itertools.product(*(range(sizes[letter]) for letter in free)):
            summed = dict(zip(free, run, strict=True))
            factors = tuple(cell.factor(j, cell.cell_index(j, **summed)) for j in numbers)
            value = part["sign"] * math.prod(f.value for f in factors)
            sign = "- " if part["sign"] < 0 else ""
            terms.append(Term(sign + " x ".join(["{}"] * len(factors)), factors, value))
    return sum_of(terms)
