"""Questions about steps; the answer is computed from the numbers of the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mindref.study.recipe_arrays import vector_lengths
from mindref.study.steps.kind import QuestionSpec
from mindref.study.trace import Question

MIN_MARGIN = 1e-9
"""The right answer must exceed the second answer by this margin."""

Labels = Callable[[str, int], list[str]]


def make_question(
    ask: QuestionSpec | None, values: Mapping[str, Any], labels: Labels
) -> Question | None:
    """Return the question with choices and answer; None if the margin is too small."""
    if ask is None:
        return None
    numbers = np.asarray(values[ask.tensor])
    row = ""
    if ask.how == "count":
        choices = tuple(str(n + 1) for n in range(len(numbers)))
        return Question(ask.text, choices, int(numbers.sum()) - 1)
    if ask.how == "longest":
        numbers = vector_lengths(numbers)
    if ask.how == "top":
        numbers = numbers[values["top"][0]]
    if ask.row_axis:
        live = values["active"] if ask.axis == "interest" else np.ones(numbers.shape[1], bool)
        row_index = row_of_widest_margin(numbers[:, live])
        row, numbers = labels(ask.row_axis, len(numbers))[row_index], numbers[row_index]
    if ask.how == "strongest":
        numbers = np.abs(numbers)
    if ask.axis == "interest":  # an inactive interest has 0, which exceeds a negative number
        numbers = np.where(values["active"], numbers, -np.inf)
    best = int(np.argmax(numbers))
    ahead = numbers[best] - np.delete(numbers, best).max(initial=-np.inf)
    if not ahead > MIN_MARGIN or np.isfinite(numbers).sum() < 2:
        return None
    return Question(ask.text.format(row=row), tuple(labels(ask.axis, len(numbers))), best)


def row_of_widest_margin(numbers: Any) -> int:
    """Return the row with the widest margin between its largest and second largest number."""
    ordered = np.sort(numbers, axis=1)
    return int(np.argmax(ordered[:, -1] - ordered[:, -2])) if numbers.shape[1] > 1 else 0
