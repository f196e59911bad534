"""Changes of any call: permute or select by the letter of an axis, or round to small integers.

    select_axis(call, "l", order)                   the call with its positions in that order
    answer_selectors("routing", "l", order)         the same selection for each part of an answer
    assert_selection_matches(context, got, "l", order)   the selected call has the selected answer

Spec: specs/notation.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.operators import ARGUMENTS
from mindref.conformance.runner.call import AnyArray, Call, map_floats
from mindref.conformance.runner.context import CallAnswer, Change, CheckContext

LARGEST_INTEGER = 4
"""Products of three and sums of hundreds stay far below 2^11, where float16 starts to round."""


def take_along(letters: str, letter: str, index: Any) -> Change:
    """Return a function that selects an index along an axis; arrays without the axis are kept."""

    def take(x: AnyArray) -> AnyArray:
        axes = letters[len(letters) - x.ndim :]
        return np.take(x, index, axis=axes.index(letter)) if letter in axes else x

    return take


def replace_at(x: AnyArray, index: Any, value: Any) -> AnyArray:
    """Return a copy of x with another value at an index."""
    changed = np.array(x)
    changed[index] = value
    return changed


def select_axis(call: Call, letter: str, index: Any) -> Call:
    """Return the call with an index selected along an axis."""
    axes = ARGUMENTS[call.stem].axes
    arrays = {n: take_along(axes[n], letter, index)(x) for n, x in call.arrays.items()}
    cotangent = call.cotangent
    if cotangent is not None:
        cotangent = take_along(axes["out"], letter, index)(cotangent)
    return call._replace(arrays=arrays, cotangent=cotangent)


def answer_selectors(stem: str, letter: str, index: Any) -> dict[str, Change]:
    """Return for each part of an answer the function that selects along an axis."""
    axes = ARGUMENTS[stem].axes
    selectors = {name: take_along(letters, letter, index) for name, letters in axes.items()}
    return selectors | {f"d_{name}": change for name, change in selectors.items()}


def assert_selection_matches(
    context: CheckContext, got: CallAnswer, letter: str, index: Any, *parts: str
) -> None:
    """Require that a selected call has the selected parts of the answer to the whole call."""
    selected = context.run(select_axis(got.call, letter, index))
    selectors = answer_selectors(got.call.stem, letter, index)
    context.assert_same(selected, got, *parts, through=selectors)


def as_small_integers(call: Call) -> Call:
    """Return the call in integers -4 to 4: no dtype rounds and every order of summation agrees."""
    arrays = map_floats(round_to_small, call.arrays)
    return call._replace(arrays=arrays, cotangent=map_floats(round_to_small, call.cotangent))


def round_to_small(x: Any) -> Any:
    """Return doubled numbers, rounded and clipped to small integers of the same dtype."""
    return np.clip(np.rint(2 * x), -LARGEST_INTEGER, LARGEST_INTEGER).astype(x.dtype)
