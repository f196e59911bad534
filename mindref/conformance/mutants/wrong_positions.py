"""Describe which positions of an array are wrong, such as its first row or only padding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mindref.conformance.mutants.call_variants import letters_of
from mindref.conformance.mutants.deviation import Pool
from mindref.conformance.mutants.wrong_calls import MIN_CALLS
from mindref.conformance.runner.call import AnyArray, Call

Rule = Callable[[AnyArray], bool]

ALONG_AXIS: dict[str, Rule] = {
    "only the first position": lambda wrong: bool(wrong[0] and not wrong[1:].any()),
    "only the last position": lambda wrong: bool(wrong[-1] and not wrong[:-1].any()),
    "every position except the first": lambda wrong: bool(wrong[1:].all() and not wrong[0]),
    "every position except the last": lambda wrong: bool(wrong[:-1].all() and not wrong[-1]),
}
"""Words -> whether the wrong positions along one axis are as the words say."""


def describe_positions(pool: Pool) -> list[str]:
    """Return a sentence about the wrong positions of each array, if one rule fits all calls."""
    names = dict.fromkeys(name for (_, name) in pool.parts)
    sentences = [describe_array(pool, name) for name in names]
    return [sentence for sentence in sentences if sentence]


def describe_array(pool: Pool, name: str) -> str:
    """Return a sentence about the wrong positions of the array `name`, or ""."""
    wrong = [
        (pool.calls[index], part.wrong)
        for (index, array), part in pool.parts.items()
        if array == name and part.wrong.any() and part.deviation.ndim
    ]
    if len(wrong) < MIN_CALLS or len({mask.ndim for _, mask in wrong}) > 1:
        return ""

    def right_sizes(axis: int) -> list[int]:
        """Return the sizes of an axis of this array in right calls."""
        parts = [part for (_, array), part in pool.parts.items() if array == name]
        right = [part.deviation.shape for part in parts if not part.wrong.any()]
        return [shape[axis] for shape in right if axis < len(shape)]

    for words, allowed in REGIONS.items():
        if all(is_inside(mask, allowed(call, name, mask)) for call, mask in wrong):
            return f"in {name}, only numbers {words} are wrong ({len(wrong)} calls)"
    if pool.calls[0].stem in ("softmax", "squash"):
        return ""
    for axis, letter in enumerate(letters_of(pool.calls[0], name, wrong[0][1])):
        text = describe_axis(name, axis, letter, [mask for _, mask in wrong], right_sizes(axis))
        if text:
            return text
    return ""


def describe_axis(
    name: str, axis: int, letter: str, masks: list[AnyArray], right_sizes: list[int]
) -> str:
    """Return a sentence about the wrong positions along one axis, or "".

    right_sizes: of this axis in right calls. In "wrong from N on", none is above all wrong sizes.
    """
    other_axes = [tuple(i for i in range(mask.ndim) if i != axis) for mask in masks]
    lines = [np.asarray(mask.any(axis=x)) for mask, x in zip(masks, other_axes, strict=True)]
    long = [line for line in lines if len(line) > 2]
    if len(long) < MIN_CALLS or any(len(line) == 0 for line in lines):
        return ""
    axis_name = f"axis {letter}" if letter else f"axis {axis}"
    for words, rule in ALONG_AXIS.items():
        if all(rule(line) for line in long):
            return f"in {name}, {words} of {axis_name} is wrong ({len(long)} calls)"
    first = min(int(np.argmax(line)) for line in long)
    longer = [line for line in long if len(line) > first]
    is_limit = max(right_sizes, default=0) <= max(map(len, long))  # conformance-R32
    if (
        first > 0
        and len(longer) >= MIN_CALLS
        and is_limit
        and all(line[first:].all() for line in longer)
    ):
        return (
            f"in {name}, positions of {axis_name} are wrong from {first} on ({len(longer)} calls)"
        )
    return ""


def padding_positions(call: Call, name: str, wrong: AnyArray) -> AnyArray | None:
    """Return where an array of routing is padding; None if it has no axis of behaviours."""
    mask = call.arrays.get("mask")
    letters = letters_of(call, name, wrong) if call.stem == "routing" else []
    if mask is None or mask.all() or letters[:2] != ["B", "L"]:
        return None
    return np.broadcast_to(~mask.reshape(*mask.shape, *[1] * (wrong.ndim - 2)), wrong.shape)


def inactive_positions(call: Call, name: str, wrong: AnyArray) -> AnyArray | None:
    """Return where an array belongs to inactive interests; None if it has no axis of interests."""
    active = call.arrays.get("active")
    if not isinstance(active, np.ndarray) or active.all():
        return None
    letters = letters_of(call, name, wrong)
    if letters == ["B", "K", "D"]:
        return np.broadcast_to(~active[:, :, None], wrong.shape)
    return np.broadcast_to(~active[:, None, :], wrong.shape) if letters == ["B", "L", "K"] else None


def is_inside(wrong: AnyArray, region: AnyArray | None) -> bool:
    """Return whether all wrong numbers are inside `region`, which is not the whole array."""
    return region is not None and not region.all() and not (wrong & ~region).any()


REGIONS = {"at padding": padding_positions, "of inactive interests": inactive_positions}
"""Words -> function that returns these positions of an array."""
