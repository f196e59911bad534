"""The arithmetic of cells of the loss, the table of items, the optimiser and serving."""

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
    alone,
    every,
    summed,
)
from mindref.study.explain.model import copied, highest


def hits(cell: Cell) -> Explanation:
    """Explain whether a negative is the target itself."""
    item, target = cell.here(0), cell.here(1)
    same = item.value == target.value
    word = "the same item" if same else "another item"
    return Explanation((), f"item {item.value:g} against {target.value:g}: {word}", float(same))


def without_hits(cell: Cell) -> Explanation:
    """Explain a logit: minus infinity where the negative is the target itself."""
    if cell.here(1).value:
        text = "the negative is the target itself: minus infinity, so that it has no share"
        return Explanation((), text, -math.inf)
    return copied(cell.here(0))


def raised(cell: Cell) -> tuple[list[Term], float]:
    """Return exp of every logit less the largest, the target's first; and the largest."""
    logits = [cell.here(0), *every(cell, 1)]
    top = max(x.value for x in logits)
    return [Term(f"exp({{}} - {top:.6g})", (x,), math.exp(x.value - top)) for x in logits], top


def loss(cell: Cell) -> Explanation:
    """Explain minus the log softmax of the target."""
    terms, top = raised(cell)
    group = summed(terms, "exp of each logit less the largest of them")
    target = cell.here(0).value
    value = math.log(group.total) + (top - target)
    return Explanation((group,), f"log {group.total!r} + {top!r} - {target!r}", value)


def tail(cell: Cell) -> Explanation:
    """Explain the probability of a negative."""
    terms, _ = raised(cell)
    group = summed(terms, "exp of each logit less the largest of them")
    mine = terms[1 + cell.index[0]].value
    return Explanation((group,), f"{mine!r} / {group.total!r}", mine / group.total)


def scatter(cell: Cell) -> Explanation:
    """Explain what a row of the table gets: the gradients of all its uses, by their share."""
    rows, d = cell.arrays[0], cell.index[1]
    row = rows[cell.index[0]]
    terms = []
    for k in range(1, len(cell.arrays), 3):
        index = two(cell.arrays[k + 1])
        for n, f in zip(*np.nonzero(index == row), strict=True):
            gradient = cell.arrays[k]
            place = (int(n), d) if gradient.ndim == 2 else (d,)
            share = (int(n), int(f)) if cell.arrays[k + 2].ndim == 2 else (int(f),)
            factors = cell.factor(k, place), cell.factor(k + 2, share)
            terms.append(Term("{} x {}", factors, factors[1].value * factors[0].value))
    return alone(summed(terms, "every use of this row"))


def two(x: Any) -> Any:
    """Return an array with two axes, the first of size one if there is only one."""
    return x.reshape(-1, x.shape[-1])


def adam(cell: Cell) -> Explanation:
    """Explain the value after a step of Adam."""
    recipe = cell.recipe
    value, first, second = (cell.here(k) for k in range(3))
    root = math.sqrt(1 - recipe["beta2"] ** recipe["step"])
    rate = recipe["rate"] * root / (1 - recipe["beta1"] ** recipe["step"])
    small = recipe["epsilon"] * root
    move = -rate * first.value / (math.sqrt(second.value) + small)
    form = f"- {rate:.6g} x {{}} / (sqrt({{}}) + {small:.6g})"
    return alone(summed([Term("{}", (value,), value.value), Term(form, (first, second), move)]))


def of_active(cell: Cell) -> tuple[Group, Factor]:
    """Return the scores of an item by the active interests, and the largest."""
    (item,) = cell.index
    on = np.flatnonzero(cell.arrays[1])
    scores = [cell.factor(0, (item, int(j))) for j in on]
    group = highest([Term("{}", (s,), s.value) for s in scores], "the largest of")
    return group, max(scores, key=lambda s: s.value)


def max_(cell: Cell) -> Explanation:
    """Explain the score of an item: the largest over the active interests."""
    return alone(of_active(cell)[0])


def winner(cell: Cell) -> Explanation:
    """Explain which interest brings an item."""
    group, best = of_active(cell)
    return Explanation((group,), f"that of interest {best.place[1] + 1}", float(best.place[1]))


def order(cell: Cell) -> Explanation:
    """Explain which item has a place of the list."""
    best = cell.arrays[0]
    item = int(np.lexsort((np.arange(len(best)), -best))[cell.index[0]])
    above = int(np.sum(best > best[item]))
    text = f"number {item + 1} of the items: {above} have a larger score"
    return Explanation(
        (highest([Term("{}", (cell.factor(0, (item,)),), best[item])], ""),), text, item
    )


FUNCTIONS = {
    "hits": hits,
    "without_hits": without_hits,
    "loss": loss,
    "tail": tail,
    "scatter": scatter,
    "adam": adam,
    "max": max_,
    "winner": winner,
    "order": order,
}
