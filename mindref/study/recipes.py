"""Recipes: how the cells of a tensor are computed from the cells of other tensors.

A recipe is JSON data: the trace contains it, and the page evaluates it. Most recipes are sums of
products, written in a line such as

    w[t]:ik Se:id                     the letters name the axes of a tensor; the sum is over
    b[t]:ik + a[t]:ik                 the letters that the result does not have
    h:k d_h:k - h:k h:j d_h:j

Other recipes are named functions, such as `softmax(b[t]:ik; allowed:ik; over=k)`.
"""

from __future__ import annotations

import re
from typing import Any

Recipe = dict[str, Any]
INPUT: Recipe = {"op": "input"}


def parse_recipe(text: str, out: str) -> Recipe:
    """Return the recipe of a line, for a result whose axes have the letters `out`."""
    if text == "input":
        return INPUT
    called = re.fullmatch(r"(\w+)\((.*)\)", text)
    if called:
        return {"op": called[1], "out": out, **parse_arguments(called[2])}
    terms, sign = [], 1
    for word in re.split(r"(?:^|\s+)([+-])\s+", text):
        if word in ("+", "-"):
            sign = 1 if word == "+" else -1
        elif word:
            terms.append({"sign": sign, "factors": [parse_factor(x) for x in word.split()]})
    return {"op": "sum", "out": out, "terms": terms}


def parse_arguments(text: str) -> dict[str, Any]:
    """Return the tensors and the named numbers and words of a function."""
    tensors, options = [], {}
    for piece in filter(None, (x.strip() for x in text.split(";"))):
        name, equals, value = piece.partition("=")
        if equals:
            options[name] = parse_number(value)
        else:
            tensors.append(parse_factor(piece))
    return {"of": tensors, **options}


def parse_number(text: str) -> float | int | str:
    """Return a number if the text is one; infinity stays a word, because JSON has no infinity."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        value = float(text)
    except ValueError:
        return text
    return text if value in (float("inf"), float("-inf")) else value


def parse_factor(text: str) -> dict[str, str]:
    """Return the name of a tensor and one letter for each of its axes."""
    name, _, letters = text.rpartition(":")
    return {"of": name, "letters": letters}


def recipe_factors(recipe: Recipe) -> list[dict[str, str]]:
    """Return every factor of a recipe: tensor name and axis letters, in order."""
    if recipe["op"] == "sum":
        return [factor for term in recipe["terms"] for factor in term["factors"]]
    return list(recipe.get("of", ()))


def recipe_inputs(recipe: Recipe) -> list[str]:
    """Return the names of the tensors that a recipe reads, without duplicates."""
    return list(dict.fromkeys(factor["of"] for factor in recipe_factors(recipe)))
