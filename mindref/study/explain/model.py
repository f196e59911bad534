"""Explanations of recipe functions of the model: softmax, squash, attention, layers."""

from __future__ import annotations

import math

from mindref.study.explain.arithmetic import (
    Cell,
    Explanation,
    Group,
    Term,
    active_factors,
    all_factors,
    copy_factor,
    group_of_largest,
    group_of_sum,
    quotient_of,
    sum_of,
)


def explain_softmax(cell: Cell) -> Explanation:
    """Explain exp(b) over its sum; the largest b is subtracted, so that no exp overflows."""
    over = cell.recipe["over"]
    allowed = [i for i, mask in cell.factors_along(1, over) if mask.value]
    position = cell.bound[over]
    if position not in allowed:
        return Explanation((), "masked, so the weight is 0", 0.0)
    logits = {i: b for i, b in cell.factors_along(0, over) if i in allowed}
    top = max(b.value for b in logits.values())
    terms = [Term(f"exp({{}} - {top:.6g})", (b,), math.exp(b.value - top)) for b in logits.values()]
    return quotient_of(terms, allowed.index(position))


def squared_coordinates(cell: Cell) -> Group:
    """Return the squared components of a vector; their sum is the squared length."""
    terms = [Term("{}^2", (x,), x.value**2) for _, x in cell.factors_along(0, cell.letters[0][-1])]
    return group_of_sum(terms, "squared components; the sum is the squared length")


def explain_unit(cell: Cell) -> Explanation:
    """Explain a component of the direction: component over length, 0 for a zero vector."""
    if cell.recipe.get("kind") == "none":
        return Explanation((), "no squash: the direction is not used, so 0", 0.0)
    group, x = squared_coordinates(cell), cell.matching_factor(0)
    n = math.sqrt(group.total)
    if n == 0:
        return Explanation((group,), "the vector is zero, so 0", 0.0)
    return Explanation((group,), f"{x.value!r} / sqrt({group.total!r})", x.value / n)


def explain_across(cell: Cell) -> Explanation:
    """Explain the length after squash over the length n before: n / (1 + n^2)."""
    group, kind = squared_coordinates(cell), cell.recipe["kind"]
    n = math.sqrt(group.total)
    if kind == "squash":
        return Explanation((group,), f"n / (1 + n^2) with n = {n!r}", n / (1 + n * n))
    if kind == "none":
        return Explanation((group,), "no squash, so 1", 1.0)
    return Explanation((group,), f"1 / n with n = {n!r}", 1 / n if n else 0.0)


def explain_along(cell: Cell) -> Explanation:
    """Explain the derivative of the length after squash: 2n / (1 + n^2)^2."""
    group, kind = squared_coordinates(cell), cell.recipe["kind"]
    n = math.sqrt(group.total)
    if kind == "squash":
        text = f"2n / (1 + n^2)^2 with n = {n!r}"
        return Explanation((group,), text, 2 * n / (1 + n * n) ** 2)
    one = kind == "none"
    text = "no squash, so 1" if one else "the length after squash is constant, so 0"
    return Explanation((group,), text, 1.0 if one else 0.0)


def explain_size(cell: Cell) -> Explanation:
    """Explain a count of unmasked positions."""
    terms = [Term("{}", (mask,), mask.value) for mask in all_factors(cell, 0)]
    return sum_of(terms, "1 for each film, 0 for padding")


def explain_count(cell: Cell) -> Explanation:
    """Explain whether an interest is active: its number is at most K'."""
    n, most = int(cell.arrays[0].sum()), cell.recipe["interests"]
    groups = explain_size(cell).groups
    if cell.recipe["rule"] == "log2":
        k = max(1, min(most, n.bit_length() - 1))
        text = f"K' = max(1, min({most}, floor(log2 {n}))) = {k}"
    else:
        k = most if n else 1
        text = f"K' = {k}, whatever the length of the history"
    interest = cell.index[0] + 1
    relation = "<=" if interest <= k else ">"
    return Explanation(groups, f"{text}; {interest} {relation} {k}", float(interest <= k))


def raise_number_with_sign(x: float, power: float) -> float:
    """Return sign(s) |s|^p, and 0 for p = 0."""
    return 0.0 if power == 0 else math.copysign(abs(x) ** power, x)


def explain_gaps(cell: Cell) -> Explanation:
    """Explain sign(s) |s|^p minus its maximum over the active interests."""
    power = float(cell.recipe["power"])
    score = cell.matching_factor(0)
    top = max(active_factors(cell), key=lambda s: s.value)
    form = f"sign(s) |s|^{power:g} of s = {{}}"
    terms = [Term(form, (score,), raise_number_with_sign(score.value, power))]
    terms.append(Term(f"- {form}, the largest", (top,), -raise_number_with_sign(top.value, power)))
    return sum_of(terms)


def explain_through_power(cell: Cell) -> Explanation:
    """Explain the gradient of a score: d p |s|^(p - 1), zero if the derivative is infinite."""
    power, d, s = float(cell.recipe["power"]), cell.matching_factor(0), cell.matching_factor(1)
    if s.value == 0 and power < 1:
        return Explanation((), "the derivative is infinite at 0, so the gradient is set to 0", 0.0)
    slope = power * abs(s.value) ** (power - 1)
    form = f"{{}} x {power:g} |s|^{power - 1:g} of s = {{}}"
    return sum_of([Term(form, (d, s), d.value * slope)])


def explain_one_hot(cell: Cell) -> Explanation:
    """Explain whether an interest is the one with the largest score."""
    active = active_factors(cell)
    group = group_of_largest(
        [Term("{}", (s,), s.value) for s in active], "the largest active score"
    )
    best = max(active, key=lambda s: s.value).position == cell.index
    text = "the largest score, so 1" if best else "another score is larger, so 0"
    return Explanation((group,), text, float(best))


def explain_concat(cell: Cell) -> Explanation:
    """Explain a component of a capsule joined with the profile."""
    j, m = cell.index
    width = cell.arrays[0].shape[1]
    if m < width:
        return copy_factor(cell.factor(0, (j, m)))
    return copy_factor(all_factors(cell, 1)[m - width])


def explain_front(cell: Cell) -> Explanation:
    """Explain the gradient of a capsule: the first columns of the gradient of the layer input."""
    return copy_factor(cell.factor(0, cell.index))


def explain_back(cell: Cell) -> Explanation:
    """Explain the gradient of the profile: the last columns, summed over the interests."""
    first, features = cell.recipe["width"], cell.recipe["features"]
    columns = (cell.arrays[0].shape[1] - first) // features  # columns of a feature
    column = first + cell.index[0] * columns + cell.index[1]
    factors = [cell.factor(0, (j, column)) for j in range(len(cell.arrays[0]))]
    return sum_of([Term("{}", (x,), x.value) for x in factors])


def explain_relu(cell: Cell) -> Explanation:
    """Explain max(0, y)."""
    y = cell.matching_factor(0)
    if y.value > 0:
        return copy_factor(y)
    return Explanation((), f"max(0, {y.value!r}): not positive, so 0", 0.0)


def explain_passed_through(cell: Cell) -> Explanation:
    """Explain a gradient through the ReLU: 0 where its input is not positive."""
    y = cell.matching_factor(1)
    if y.value > 0:
        return copy_factor(cell.matching_factor(0))
    return Explanation((), f"the input of the ReLU is {y.value!r}, so 0", 0.0)
