"""Where an answer is wrong: in lengths, in padded positions, in later users only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mindref.shapes import Array
from mindref.study.exercises.exercise import AXES
from mindref.study.exercises.known_mistakes import CheckedAnswer, equal_arrays
from mindref.study.exercises.lengths import describe_wrong_lengths
from mindref.study.exercises.patterns import get_part, is_right


def find_location(checked: CheckedAnswer) -> tuple[str, str] | None:
    """Return name and description of the places in which the first wrong part is wrong, or None."""
    for number, part in enumerate(checked.exercise.returns):
        wrong = [i for i in checked.failing if not is_right(checked, i, number)]
        if not wrong:
            continue
        pairs = []
        for i in wrong:
            got, want = get_part(checked, i, number), checked.expected_cases[i].arrays[number]
            if got is None or got.shape != want.shape or not np.isfinite(got).all():
                return None
            pairs.append((got, want))
        if part.axes[-1:] == "D":
            lengths = describe_wrong_lengths(checked, number, wrong)
            if lengths:
                return "length", lengths
        return next(list_locations(checked, part.name, part.axes, wrong, pairs), None)
    return None


def list_locations(
    checked: CheckedAnswer, name: str, axes: str, wrong: list[int], pairs: list[tuple[Array, Array]]
) -> Iterator[tuple[str, str]]:
    """Yield the locations that fit every pair of a part of the answer and the right part."""
    if axes[:2] in ("BL", "BK"):
        mask = "mask" if axes[1] == "L" else "active"
        inputs = [checked.expected_cases[i].inputs for i in wrong]
        if all(mask in x for x in inputs) and all(
            equal_arrays(got[x[mask]], want[x[mask]])
            for x, (got, want) in zip(inputs, pairs, strict=True)
        ):
            word = "a padded position" if mask == "mask" else "an inactive interest"
            yield "masked", f"{name} is wrong only for {word}, which must have no effect"
    users = [(got, want) for got, want in pairs if axes[:1] == "B" and len(want) > 1]
    if len(users) == len(pairs) and all(equal_arrays(g[0], w[0]) for g, w in users):
        word = AXES["B"]
        yield (
            "later-users",
            f"{word} 0 is right, and a later {word} is wrong: does one {word} affect another?",
        )
