"""Explanations of cells of the loss, the item table, the optimiser and serving."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mindref.study.explain.arithmetic import (
    Cell,
    Explanation,
    Factor,
    Group,
    Term,
    all_factors,
    copy_factor,
    group_of_largest,
    group_of_sum,
    quotient_of,
    sum_of,
    total_of,
)


def explain_hits(cell: Cell) -> Explanation:
    """Explain whether a negative is an accidental hit."""
    item, target = cell.matching_factor(0), cell.matching_factor(1)
    same = item.value == target.value
    word = "the same item" if same else "another item"
    return Explanation((), f"item {item.value:g} against {target.value:g}: {word}", float(same))


def explain_without_hits(cell: Cell) -> Explanation:
    """Explain a logit; an accidental hit has minus infinity."""
    if cell.matching_factor(1).value:
        text = "an accidental hit: minus infinity, so its probability is 0"
        return Explanation((), text, -math.inf)
    return copy_factor(cell.matching_factor(0))


def exp_terms(cell: Cell) -> tuple[list[Term], float]:
    """Return exp of each logit minus the largest logit, the target first; and the largest logit."""
    logits = [cell.matching_factor(0), *all_factors(cell, 1)]
    top = max(x.value for x in logits)
    return [Term(f"exp({{}} - {top:.6g})", (x,), math.exp(x.value - top)) for x in logits], top


def explain_loss(cell: Cell) -> Explanation:
    """Explain minus the log softmax of the target."""
    terms, top = exp_terms(cell)
    group = group_of_sum(terms, "exp of each logit minus the largest logit")
    target = cell.matching_factor(0).value
    value = math.log(group.total) + (top - target)
    return Explanation((group,), f"log {group.total!r} + {top!r} - {target!r}", value)


def explain_tail(cell: Cell) -> Explanation:
    """Explain the probability of a negative."""
    return quotient_of(exp_terms(cell)[0], 1 + cell.index[0])


def explain_scatter(cell: Cell) -> Explanation:
    """Explain the gradient of a table row: the weighted gradients of all its uses."""
    rows, d = cell.arrays[0], cell.index[1]
    row = rows[cell.index[0]]
    terms = []
    for k in range(1, len(cell.arrays), 3):
        table_rows = as_matrix(cell.arrays[k + 1])
        for n, f in zip(*np.nonzero(table_rows == row), strict=True):
            gradient = cell.arrays[k]
            index = (int(n), d) if gradient.ndim == 2 else (d,)
            share = (int(n), int(f)) if cell.arrays[k + 2].ndim == 2 else (int(f),)
            factors = cell.factor(k, index), cell.factor(k + 2, share)
            terms.append(Term("{} x {}", factors, factors[1].value * factors[0].value))
    return sum_of(terms, "all uses of this row")


def as_matrix(x: Any) -> Any:
    """Return a two-dimensional array; a vector becomes one row."""
    return x.reshape(-1, x.shape[-1])


def explain_adam(cell: Cell) -> Explanation:
    """Explain the value after a step of Adam."""
    recipe = cell.recipe
    value, first, second = (cell.matching_factor(k) for k in range(3))
    root = math.sqrt(1 - recipe["beta2"] ** recipe["step"])
    rate = recipe["rate"] * root / (1 - recipe["beta1"] ** recipe["step"])
    small = recipe["epsilon"] * root
    move = -rate * first.value / (math.sqrt(second.value) + small)
    form = f"- {rate:.6g} x {{}} / (sqrt({{}}) + {small:.6g})"
    return sum_of([Term("{}", (value,), value.value), Term(form, (first, second), move)])


def active_scores(cell: Cell) -> tuple[Group, Factor]:
    """Return the scores of an item for the active interests, and the largest."""
    (item,) = cell.index
    on = np.flatnonzero(cell.arrays[1])
    scores = [cell.factor(0, (item, int(j))) for j in on]
    group = group_of_largest([Term("{}", (s,), s.value) for s in scores], "the largest of")
    return group, max(scores, key=lambda s: s.value)


def explain_max(cell: Cell) -> Explanation:
    """Explain the score of an item: the largest over the active interests."""
    return total_of(active_scores(cell)[0])


def explain_winner(cell: Cell) -> Explanation:
    """Explain which interest has the largest score for an item."""
    group, best = active_scores(cell)
    return Explanation(
        (group,), f"the score of interest {best.position[1] + 1}", float(best.position[1])
    )


def explain_order(cell: Cell) -> Explanation:
    """Explain which item has a rank in the list."""
    best = cell.arrays[0]
    item = int(np.lexsort((np.arange(len(best)), -best))[cell.index[0]])
    above = int(np.sum(best > best[item]))
    text = f"item {item + 1}: {above} items have a larger score"
    return Explanation(
        (group_of_largest([Term("{}", (cell.factor(0, (item,)),), best[item])], ""),), text, item
    )
