"""The arithmetic of cells of the model that are no sums of products: softmax, squash, attention."""

from __future__ import annotations

import math

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


def softmax(cell: Cell) -> Explanation:
    """Explain exp(b) over its sum, less the largest b so that no exp overflows."""
    over = cell.recipe["over"]
    allowed = [i for i, mask in cell.along(1, over) if mask.value]
    own = cell.bound[over]
    if own not in allowed:
        return Explanation((), "this place is left out, so its weight is 0", 0.0)
    logits = {i: b for i, b in cell.along(0, over) if i in allowed}
    top = max(b.value for b in logits.values())
    terms = [Term(f"exp({{}} - {top:.6g})", (b,), math.exp(b.value - top)) for b in logits.values()]
    group = summed(terms, "exp of each logit less the largest of them")
    mine = terms[allowed.index(own)].value
    return Explanation((group,), f"{mine!r} / {group.total!r}", mine / group.total)


def squares(cell: Cell) -> Group:
    """Return the squares of the coordinates of a vector, which add up to its length squared."""
    terms = [Term("{}^2", (x,), x.value**2) for _, x in cell.along(0, cell.letters[0][-1])]
    return summed(terms, "squares of the coordinates, which make the length squared")


def unit(cell: Cell) -> Explanation:
    """Explain a coordinate of the direction: it over the length, 0 where there is no direction."""
    if cell.recipe.get("kind") == "none":
        return Explanation((), "nothing is squashed: no direction is needed, so 0", 0.0)
    group, x = squares(cell), cell.here(0)
    n = math.sqrt(group.total)
    if n == 0:
        return Explanation((group,), "the vector is zero and has no direction, so 0", 0.0)
    return Explanation((group,), f"{x.value!r} / sqrt({group.total!r})", x.value / n)


def across(cell: Cell) -> Explanation:
    """Explain the length after squash over the length n before: n / (1 + n^2)."""
    group, kind = squares(cell), cell.recipe["kind"]
    n = math.sqrt(group.total)
    if kind == "squash":
        return Explanation((group,), f"n / (1 + n^2) with n = {n!r}", n / (1 + n * n))
    if kind == "none":
        return Explanation((group,), "nothing is squashed, so 1", 1.0)
    return Explanation((group,), f"1 / n with n = {n!r}", 1 / n if n else 0.0)


def along(cell: Cell) -> Explanation:
    """Explain the slope of the length after squash by the length n before: 2n / (1 + n^2)^2."""
    group, kind = squares(cell), cell.recipe["kind"]
    n = math.sqrt(group.total)
    if kind == "squash":
        text = f"2n / (1 + n^2)^2 with n = {n!r}"
        return Explanation((group,), text, 2 * n / (1 + n * n) ** 2)
    one = kind == "none"
    text = "nothing is squashed, so 1" if one else "the length is 1 whatever it was, so 0"
    return Explanation((group,), text, 1.0 if one else 0.0)


def size(cell: Cell) -> Explanation:
    """Explain a count of what the mask lets through."""
    terms = [Term("{}", (mask,), mask.value) for mask in every(cell, 0)]
    return alone(summed(terms, "1 for each behaviour, 0 for a padded place"))


def count(cell: Cell) -> Explanation:
    """Explain whether an interest is active: it is if its number is at most K'."""
    n, most = int(cell.arrays[0].sum()), cell.recipe["interests"]
    group = size(cell).groups[0]
    if cell.recipe["rule"] == "log2":
        k = max(1, min(most, n.bit_length() - 1))
        text = f"K' = max(1, min({most}, floor(log2 {n}))) = {k}"
    else:
        k = most if n else 1
        text = f"K' = {k}, whatever the number of behaviours"
    mine = cell.index[0] + 1
    word = "at most" if mine <= k else "more than"
    return Explanation((group,), f"{text}; {mine} is {word} that", float(mine <= k))


def signed_power(x: float, power: float) -> float:
    """Return sign(s) |s|^p, and 0 for p = 0."""
    return 0.0 if power == 0 else math.copysign(abs(x) ** power, x)


def gaps(cell: Cell) -> Explanation:
    """Explain sign(s) |s|^p less its maximum over the active interests."""
    power = float(cell.recipe["power"])
    own = cell.here(0)
    active = [s for s, on in zip(every(cell, 0), every(cell, 1), strict=True) if on.value]
    top = max(active, key=lambda s: s.value)
    form = f"sign(s) |s|^{power:g} of s = {{}}"
    terms = [Term(form, (own,), signed_power(own.value, power))]
    terms.append(Term(f"- {form}, the largest", (top,), -signed_power(top.value, power)))
    return alone(summed(terms))


def through_power(cell: Cell) -> Explanation:
    """Explain the gradient of a score: d p |s|^(p - 1), zero where that slope is infinite."""
    power, d, s = float(cell.recipe["power"]), cell.here(0), cell.here(1)
    if s.value == 0 and power < 1:
        return Explanation((), "the slope is infinite at 0: no gradient is sent, so 0", 0.0)
    slope = power * abs(s.value) ** (power - 1)
    form = f"{{}} x {power:g} |s|^{power - 1:g} of s = {{}}"
    return alone(summed([Term(form, (d, s), d.value * slope)]))


def one_hot(cell: Cell) -> Explanation:
    """Explain whether an interest is the one with the largest score."""
    pairs = zip(every(cell, 0), every(cell, 1), strict=True)
    active = [s for s, on in pairs if on.value]
    group = highest([Term("{}", (s,), s.value) for s in active], "the largest active score")
    best = max(active, key=lambda s: s.value).place == cell.index
    text = "this is the largest, so 1" if best else "another one is the largest, so 0"
    return Explanation((group,), text, float(best))


def highest(terms: list[Term], what: str) -> Group:
    """Return a group whose total is the largest of its terms."""
    return Group(what, tuple(terms), max(term.value for term in terms), largest=True)


def copied(factor: Factor) -> Explanation:
    """Explain a cell that is another cell."""
    return alone(summed([Term("{}", (factor,), factor.value)]))


def concat(cell: Cell) -> Explanation:
    """Explain a coordinate of a capsule with the profile behind it."""
    j, m = cell.index
    width = cell.arrays[0].shape[1]
    if m < width:
        return copied(cell.factor(0, (j, m)))
    return copied(every(cell, 1)[m - width])


def front(cell: Cell) -> Explanation:
    """Explain the gradient of a capsule: the first columns of that of the input of the layers."""
    return copied(cell.factor(0, cell.index))


def back(cell: Cell) -> Explanation:
    """Explain the gradient of the profile: the last columns, summed over the interests."""
    first, features = cell.recipe["width"], cell.recipe["features"]
    wide = (cell.arrays[0].shape[1] - first) // features  # columns of a feature
    column = first + cell.index[0] * wide + cell.index[1]
    factors = [cell.factor(0, (j, column)) for j in range(len(cell.arrays[0]))]
    return alone(summed([Term("{}", (x,), x.value) for x in factors]))


def relu(cell: Cell) -> Explanation:
    """Explain max(0, y)."""
    y = cell.here(0)
    if y.value > 0:
        return copied(y)
    return Explanation((), f"max(0, {y.value!r}): the rectifier is closed, so 0", 0.0)


def passed_through(cell: Cell) -> Explanation:
    """Explain a gradient where the rectifier let through, 0 where it did not."""
    y = cell.here(1)
    if y.value > 0:
        return copied(cell.here(0))
    return Explanation((), f"the rectifier was closed at {y.value!r}, so 0", 0.0)


FUNCTIONS = {
    function.__name__: function
    for function in (
        softmax,
        unit,
        across,
        along,
        size,
        count,
        gaps,
        through_power,
        one_hot,
        concat,
        front,
        back,
        relu,
        passed_through,
    )
}
