"""Evaluate a recipe: recompute every array of a trace from its inputs.

The page has the same functions in JavaScript (page/script/operators.js). Training and serving do
not use this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mindref.study.recipes import Recipe, recipe_factors

Values = Mapping[str, Any]


def evaluate_recipe(recipe: Recipe, values: Values) -> Any:
    """Return the array of a recipe from the tensors that it reads."""
    if recipe["op"] == "sum":
        return evaluate_sum(recipe, values)
    arrays = [values[factor["of"]] for factor in recipe_factors(recipe)]
    return FUNCTIONS[recipe["op"]](recipe, *arrays)


def evaluate_sum(recipe: Recipe, values: Values) -> Any:
    """Return the sum of signed products."""
    total: Any = 0.0
    for term in recipe["terms"]:
        factors = term["factors"]
        letters = ",".join(factor["letters"] for factor in factors)
        arrays = [np.asarray(values[factor["of"]], np.float64) for factor in factors]
        has = [letter for letter in recipe["out"] if letter in letters]
        product = np.einsum(f"{letters}->{''.join(has)}", *arrays)
        lacks = [n for n, letter in enumerate(recipe["out"]) if letter not in has]
        total = total + term["sign"] * np.expand_dims(product, lacks)  # a bias: to every row
    return total


def evaluate_softmax(recipe: Recipe, logits: Any, mask: Any) -> Any:
    """Return the softmax over the unmasked entries."""
    axis = recipe["of"][0]["letters"].index(recipe["over"])
    masked = np.where(mask, logits, -np.inf)  # a masked entry may exceed the maximum
    top = np.max(masked, axis=axis, keepdims=True)
    raised = np.exp(masked - np.where(np.isfinite(top), top, 0))
    total = raised.sum(axis=axis, keepdims=True)
    return raised / np.where(total == 0, 1, total)


def vector_lengths(x: Any) -> Any:
    """Return the Euclidean norm along the last axis."""
    return np.sqrt(np.sum(x * x, axis=-1))


def evaluate_unit(recipe: Recipe, x: Any) -> Any:
    """Return vectors normalised to length 1; zero for a zero vector."""
    n = vector_lengths(x)[..., None]
    out = x / np.where(n == 0, 1, n)
    return np.zeros_like(x) if recipe.get("kind") == "none" else out


def evaluate_across(recipe: Recipe, x: Any) -> Any:
    """Return the length after squash over the length before."""
    n = vector_lengths(x)
    if recipe["kind"] == "squash":
        return n / (1 + n * n)
    inverse = np.where(n == 0, 0, 1 / np.where(n == 0, 1, n))
    return np.ones_like(n) if recipe["kind"] == "none" else inverse


def evaluate_along(recipe: Recipe, x: Any) -> Any:
    """Return the derivative of the length after squash with respect to the length before."""
    n = vector_lengths(x)
    if recipe["kind"] == "squash":
        return 2 * n / (1 + n * n) ** 2
    return np.ones_like(n) if recipe["kind"] == "none" else np.zeros_like(n)


def evaluate_count(recipe: Recipe, mask: Any) -> Any:
    """Return the mask of the active interests: the first K' = max(1, min(K, floor(log2 n)))."""
    n, most = int(np.sum(mask)), recipe["interests"]
    active = min(most, n.bit_length() - 1) if recipe["rule"] == "log2" else most
    return np.arange(most) < max(1, active if n else 1)


def raise_with_sign(x: Any, power: Any) -> Any:
    """Return sign(s) |s|^p, and 0 for p = 0."""
    return np.zeros_like(x) if float(power) == 0 else np.sign(x) * np.abs(x) ** float(power)


def evaluate_gaps(recipe: Recipe, scores: Any, active: Any) -> Any:
    """Return sign(s) |s|^p minus its maximum over the active interests."""
    raised = raise_with_sign(scores, recipe["power"])
    return raised - raise_with_sign(np.max(scores[active]), recipe["power"])


def evaluate_through_power(recipe: Recipe, d_gaps: Any, scores: Any) -> Any:
    """Return the gradient of the scores: d p |s|^(p - 1), zero if the derivative is infinite."""
    power = float(recipe["power"])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = power * np.abs(scores) ** (power - 1)
    return d_gaps * np.where(np.isfinite(slope), slope, 0)


def evaluate_one_hot(recipe: Recipe, scores: Any, active: Any) -> Any:
    """Return one at the largest active score, zero elsewhere."""
    best = int(np.argmax(np.where(active, scores, -np.inf)))
    return (np.arange(len(scores)) == best).astype(np.float64)


def evaluate_concat(recipe: Recipe, capsules: Any, *profile: Any) -> Any:
    """Return the capsules, each joined with the profile."""
    tail = [np.broadcast_to(p.reshape(-1), (len(capsules), p.size)) for p in profile]
    return np.concatenate([capsules, *tail], axis=1)


def evaluate_front(recipe: Recipe, d_x: Any) -> Any:
    """Return the gradient of the capsules: the first columns."""
    return d_x[:, : recipe["width"]]


def evaluate_back(recipe: Recipe, d_x: Any) -> Any:
    """Return the gradient of the profile: the last columns, summed over the interests."""
    return d_x[:, recipe["width"] :].sum(axis=0).reshape(recipe["features"], -1)


def evaluate_passed_through(recipe: Recipe, d_x: Any, y: Any) -> Any:
    """Return the gradient where the output of the ReLU is positive, else 0."""
    return np.where(y > 0, d_x, 0)


def evaluate_without_hits(recipe: Recipe, logits: Any, hits: Any) -> Any:
    """Return the logits with accidental hits set to minus infinity."""
    return np.where(hits, -np.inf, logits)


def evaluate_loss(recipe: Recipe, at_target: Any, at_negatives: Any) -> Any:
    """Return the loss log(1 + sum exp(l - o_t)), minus the log softmax of the target."""
    return np.logaddexp.reduce(np.append(at_negatives - at_target, 0.0))


def evaluate_tail(recipe: Recipe, at_target: Any, at_negatives: Any) -> Any:
    """Return the probabilities of the negatives."""
    every = np.append(at_negatives, at_target)
    raised = np.exp(every - np.max(every))
    return (raised / raised.sum())[:-1]


def evaluate_scatter(recipe: Recipe, rows: Any, *uses: Any) -> Any:
    """Return the gradient of each table row; `uses` are triples of gradient, index and weight.

    An entry of weight 0 contributes nothing: an untrained item has no row in `rows`.
    """
    out = np.zeros((len(rows), np.shape(uses[0])[-1]))
    for d, index, weight in zip(uses[::3], uses[1::3], uses[2::3], strict=True):
        for vector, row_ids, share in zip(
            np.atleast_2d(d), as_rows(index), as_rows(weight), strict=True
        ):
            used = share != 0
            np.add.at(out, np.searchsorted(rows, row_ids[used]), share[used, None] * vector)
    return out


def as_rows(x: Any) -> Any:
    """Return a two-dimensional array; a single item becomes one row."""
    return np.asarray(x).reshape(-1, np.shape(x)[-1])


def evaluate_adam(recipe: Recipe, value: Any, first: Any, second: Any) -> Any:
    """Return the value after a step of Adam with bias correction."""
    root = np.sqrt(1 - recipe["beta2"] ** recipe["step"])
    rate = recipe["rate"] * root / (1 - recipe["beta1"] ** recipe["step"])
    return value - rate * first / (np.sqrt(second) + recipe["epsilon"] * root)


def evaluate_order(recipe: Recipe, best: Any) -> Any:
    """Return the indices of the n largest numbers; ties go to the lower index."""
    return np.lexsort((np.arange(len(best)), -best))[: recipe["n"]]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": evaluate_softmax,
    "unit": evaluate_unit,
    "across": evaluate_across,
    "along": evaluate_along,
    "size": lambda recipe, mask: np.sum(mask),
    "count": evaluate_count,
    "gaps": evaluate_gaps,
    "through_power": evaluate_through_power,
    "one_hot": evaluate_one_hot,
    "concat": evaluate_concat,
    "front": evaluate_front,
    "back": evaluate_back,
    "relu": lambda recipe, y: np.maximum(y, 0),
    "passed_through": evaluate_passed_through,
    "hits": lambda recipe, ids, target: ids == target,
    "without_hits": evaluate_without_hits,
    "loss": evaluate_loss,
    "tail": evaluate_tail,
    "scatter": evaluate_scatter,
    "adam": evaluate_adam,
    "max": lambda recipe, score, active: np.max(np.where(active, score, -np.inf), axis=1),
    "winner": lambda recipe, score, active: np.argmax(np.where(active, score, -np.inf), axis=1),
    "order": evaluate_order,
}
"""The functions of recipes other than sums of products; the page has the same names."""
