"""Compute a tensor from its recipe: a second way to every number of a trace.

The page has the same in JavaScript (page/, twin). Nothing here is used to train or to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mindref.study.recipes import Recipe, places

Values = Mapping[str, Any]


def evaluate(recipe: Recipe, values: Values) -> Any:
    """Return the array that a recipe makes of the tensors that it reads."""
    if recipe["op"] == "sum":
        return add_up(recipe, values)
    arrays = [values[place["of"]] for place in places(recipe)]
    return FUNCTIONS[recipe["op"]](recipe, *arrays)


def add_up(recipe: Recipe, values: Values) -> Any:
    """Return the sum of signed products."""
    total: Any = 0.0
    for term in recipe["terms"]:
        factors = term["factors"]
        letters = ",".join(factor["at"] for factor in factors)
        arrays = [np.asarray(values[factor["of"]], np.float64) for factor in factors]
        has = [letter for letter in recipe["out"] if letter in letters]
        product = np.einsum(f"{letters}->{''.join(has)}", *arrays)
        lacks = [n for n, letter in enumerate(recipe["out"]) if letter not in has]
        total = total + term["sign"] * np.expand_dims(product, lacks)  # a bias serves every row
    return total


def softmax(recipe: Recipe, logits: Any, mask: Any) -> Any:
    """Return exp(b) over its sum, among the places of the mask."""
    axis = recipe["of"][0]["at"].index(recipe["over"])
    kept = np.where(mask, logits, -np.inf)  # a place that is left out may be above the top
    top = np.max(kept, axis=axis, keepdims=True)
    raised = np.exp(kept - np.where(np.isfinite(top), top, 0))
    total = raised.sum(axis=axis, keepdims=True)
    return raised / np.where(total == 0, 1, total)


def length(x: Any) -> Any:
    """Return the Euclidean length along the last axis."""
    return np.sqrt(np.sum(x * x, axis=-1))


def unit(recipe: Recipe, x: Any) -> Any:
    """Return the direction, zero where there is none."""
    n = length(x)[..., None]
    out = x / np.where(n == 0, 1, n)
    return np.zeros_like(x) if recipe.get("kind") == "none" else out


def across(recipe: Recipe, x: Any) -> Any:
    """Return the length after squash over the length before."""
    n = length(x)
    if recipe["kind"] == "squash":
        return n / (1 + n * n)
    return (
        np.ones_like(n)
        if recipe["kind"] == "none"
        else np.where(n == 0, 0, 1 / np.where(n == 0, 1, n))
    )


def along(recipe: Recipe, x: Any) -> Any:
    """Return the derivative of the length after squash by the length before."""
    n = length(x)
    if recipe["kind"] == "squash":
        return 2 * n / (1 + n * n) ** 2
    return np.ones_like(n) if recipe["kind"] == "none" else np.zeros_like(n)


def count(recipe: Recipe, mask: Any) -> Any:
    """Return which interests are active: the first K' = max(1, min(K, floor(log2 n)))."""
    n, most = int(np.sum(mask)), recipe["interests"]
    active = min(most, n.bit_length() - 1) if recipe["rule"] == "log2" else most
    return np.arange(most) < max(1, active if n else 1)


def signed_power(x: Any, power: Any) -> Any:
    """Return sign(s) |s|^p, and 0 for p = 0."""
    return np.zeros_like(x) if float(power) == 0 else np.sign(x) * np.abs(x) ** float(power)


def gaps(recipe: Recipe, scores: Any, active: Any) -> Any:
    """Return sign(s) |s|^p less its maximum over the active interests."""
    raised = signed_power(scores, recipe["power"])
    return raised - signed_power(np.max(scores[active]), recipe["power"])


def through_power(recipe: Recipe, d_gaps: Any, scores: Any) -> Any:
    """Return the gradient of the scores: d p |s|^(p - 1), zero where that slope is infinite."""
    power = float(recipe["power"])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = power * np.abs(scores) ** (power - 1)
    return d_gaps * np.where(np.isfinite(slope), slope, 0)


def one_hot(recipe: Recipe, scores: Any, active: Any) -> Any:
    """Return one at the largest active score, zero elsewhere."""
    best = int(np.argmax(np.where(active, scores, -np.inf)))
    return (np.arange(len(scores)) == best).astype(np.float64)


def concat(recipe: Recipe, capsules: Any, *profile: Any) -> Any:
    """Return each capsule with the profile behind it."""
    tail = [np.broadcast_to(p.reshape(-1), (len(capsules), p.size)) for p in profile]
    return np.concatenate([capsules, *tail], axis=1)


def front(recipe: Recipe, d_x: Any) -> Any:
    """Return the gradient of the capsules: the first columns."""
    return d_x[:, : recipe["width"]]


def back(recipe: Recipe, d_x: Any) -> Any:
    """Return the gradient of the profile: the last columns, summed over the interests."""
    return d_x[:, recipe["width"] :].sum(axis=0).reshape(recipe["features"], -1)


def passed_through(recipe: Recipe, d_x: Any, y: Any) -> Any:
    """Return the gradient where the rectifier let through."""
    return np.where(y > 0, d_x, 0)


def without_hits(recipe: Recipe, logits: Any, hits: Any) -> Any:
    """Return the logits, minus infinity where the negative is the target itself."""
    return np.where(hits, -np.inf, logits)


def loss(recipe: Recipe, at_target: Any, at_negatives: Any) -> Any:
    """Return log(1 + sum exp(l - o_t)), which is minus the log softmax of the target."""
    return np.logaddexp.reduce(np.append(at_negatives - at_target, 0.0))


def tail(recipe: Recipe, at_target: Any, at_negatives: Any) -> Any:
    """Return the probabilities of the negatives."""
    every = np.append(at_negatives, at_target)
    raised = np.exp(every - np.max(every))
    return (raised / raised.sum())[:-1]


def scatter(recipe: Recipe, rows: Any, *uses: Any) -> Any:
    """Return for each row of the table what its uses send: triples of gradient, index, weight."""
    out = np.zeros((len(rows), np.shape(uses[0])[-1]))
    for d, index, weight in zip(uses[::3], uses[1::3], uses[2::3], strict=True):
        for vector, at, share in zip(np.atleast_2d(d), rowed(index), rowed(weight), strict=True):
            np.add.at(out, np.searchsorted(rows, at), share[:, None] * vector)
    return out


def rowed(x: Any) -> Any:
    """Return the rows of a table, one for a single item."""
    return np.asarray(x).reshape(-1, np.shape(x)[-1])


def adam(recipe: Recipe, value: Any, first: Any, second: Any) -> Any:
    """Return the value after a step of Adam, with the bias corrected by the count of steps."""
    root = np.sqrt(1 - recipe["beta2"] ** recipe["step"])
    rate = recipe["rate"] * root / (1 - recipe["beta1"] ** recipe["step"])
    return value - rate * first / (np.sqrt(second) + recipe["epsilon"] * root)


def order(recipe: Recipe, best: Any) -> Any:
    """Return the places of the n largest, the lower place first where two are equal."""
    return np.lexsort((np.arange(len(best)), -best))[: recipe["n"]]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": softmax,
    "unit": unit,
    "across": across,
    "along": along,
    "size": lambda recipe, mask: np.sum(mask),
    "count": count,
    "gaps": gaps,
    "through_power": through_power,
    "one_hot": one_hot,
    "concat": concat,
    "front": front,
    "back": back,
    "relu": lambda recipe, y: np.maximum(y, 0),
    "passed_through": passed_through,
    "hits": lambda recipe, ids, target: ids == target,
    "without_hits": without_hits,
    "loss": loss,
    "tail": tail,
    "scatter": scatter,
    "adam": adam,
    "max": lambda recipe, score, active: np.max(np.where(active, score, -np.inf), axis=1),
    "winner": lambda recipe, score, active: np.argmax(np.where(active, score, -np.inf), axis=1),
    "order": order,
}
"""The functions that are no sums of products. The page has one of each name."""
