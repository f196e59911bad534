"""Recipes: how the cells of a tensor come of the cells of others, and the arithmetic of one cell.

A recipe is plain data (it travels in the trace, and the page computes with the same). Most are sums
of products, written in a line such as

    w[r]:ij m:id                      the letters after a tensor name its axes; those that the
    b[r]:ij + a[r]:ij                 result has not are summed over
    h:j d_h:j - h:j h:k d_h:k

The few others are functions with a name, such as `softmax(b[r]:ij; allowed:ij; over=j)`.
"""

from __future__ import annotations

import re
from typing import Any

Recipe = dict[str, Any]
GIVEN: Recipe = {"op": "given"}


def parse(text: str, out: str) -> Recipe:
    """Return the recipe that a line writes, for a result whose axes have the letters `out`."""
    if text == "given":
        return GIVEN
    called = re.fullmatch(r"(\w+)\((.*)\)", text)
    if called:
        return {"op": called[1], "out": out, **arguments(called[2])}
    terms, sign = [], 1
    for word in re.split(r"(?:^|\s+)([+-])\s+", text):
        if word in ("+", "-"):
            sign = 1 if word == "+" else -1
        elif word:
            terms.append({"sign": sign, "factors": [place(x) for x in word.split()]})
    return {"op": "sum", "out": out, "terms": terms}


def arguments(text: str) -> dict[str, Any]:
    """Return the tensors, in order, and the named numbers and words of a function."""
    tensors, named = [], {}
    for piece in filter(None, (x.strip() for x in text.split(";"))):
        name, equals, value = piece.partition("=")
        if equals:
            named[name] = number(value)
        else:
            tensors.append(place(piece))
    return {"of": tensors, **named}


def number(text: str) -> float | int | str:
    """Return a number where the text is one; infinity stays a word, which JSON can carry."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        value = float(text)
    except ValueError:
        return text
    return text if value in (float("inf"), float("-inf")) else value


def place(text: str) -> dict[str, str]:
    """Return which cell of which tensor: the name, and one letter for each axis."""
    name, _, letters = text.rpartition(":")
    return {"of": name, "at": letters}


def places(recipe: Recipe) -> list[dict[str, str]]:
    """Return every tensor that a recipe reads, in order, with its letters."""
    if recipe["op"] == "sum":
        return [factor for term in recipe["terms"] for factor in term["factors"]]
    return list(recipe.get("of", ()))


def inputs(recipe: Recipe) -> list[str]:
    """Return the names of the tensors that a recipe reads, each once."""
    return list(dict.fromkeys(place["of"] for place in places(recipe)))
