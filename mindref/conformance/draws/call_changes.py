"""Functions that change a call of any operator: select along an axis, or round to integers.

Spec: specs/notation.md, which defines the axis letters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.operators import ARGUMENTS
from mindref.conformance.runner.call import AnyArray, Call, map_floats
from mindref.conformance.runner.context import CallAnswer, Change, CheckContext

LARGEST_INTEGER = 4
"""In every dtype, sums of products of integers up to 4 are exact for all drawn sizes."""


def take_along(letters: str, letter: str, index: Any) -> Change:
    """Return a function that selects `index` along axis `letter`, if `letters` has this axis."""

    def take(x: AnyArray) -> AnyArray:
        axes = letters[len(letters) - x.ndim :]
        return np.take(x, index, axis=axes.index(letter)) if letter in axes else x

    return take


def replace_at(x: AnyArray, index: Any, value: Any) -> AnyArray:
    """Return a copy of x with `value` at `index`."""
    changed = np.array(x)
    changed[index] = value
    return changed


def select_axis(call: Call, letter: str, index: Any) -> Call:
    """Select `index` along axis `letter` of the cotangent and of each array with this axis."""
    axes = ARGUMENTS[call.stem].axes
    arrays = {n: take_along(axes[n], letter, index)(x) for n, x in call.arrays.items()}
    cotangent = call.cotangent
    if cotangent is not None:
        cotangent = take_along(axes["out"], letter, index)(cotangent)
    return call._replace(arrays=arrays, cotangent=cotangent)


def answer_selectors(stem: str, letter: str, index: Any) -> dict[str, Change]:
    """Return a dict: name of a result -> function that selects `index` along its axis `letter`."""
    axes = ARGUMENTS[stem].axes
    selectors = {name: take_along(letters, letter, index) for name, letters in axes.items()}
    return selectors | {f"d_{name}": change for name, change in selectors.items()}


def assert_selection_matches(
    context: CheckContext, got: CallAnswer, letter: str, index: Any, *parts: str
) -> None:
    """Select `index` along axis `letter` of the call, and require the same selection of `got`."""
    selected = context.run(select_axis(got.call, letter, index))
    selectors = answer_selectors(got.call.stem, letter, index)
    context.assert_same(selected, got, *parts, through=selectors)


def as_small_integers(call: Call) -> Call:
    """Return `call` with floats replaced by integers from -4 to 4: sums of products are exact."""
    arrays = map_floats(round_to_small, call.arrays)
    return call._replace(arrays=arrays, cotangent=map_floats(round_to_small, call.cotangent))


def round_to_small(x: Any) -> Any:
    """Return 2 x, rounded to integers and clipped to -4 to 4, in the dtype of x."""
    return np.clip(np.rint(2 * x), -LARGEST_INTEGER, LARGEST_INTEGER).astype(x.dtype)
