"""The question of a step: its answer is computed from the numbers that the step shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mindref.study.evaluate import length
from mindref.study.steps.kind import Ask
from mindref.study.trace import Question

CLEAR = 1e-9
"""How far the right answer must be ahead: nobody should have to guess between equals."""

Labels = Callable[[str, int], list[str]]


def question(ask: Ask | None, values: Mapping[str, Any], labels: Labels) -> Question | None:
    """Return the question with its choices and answer, or None where no answer is clear."""
    if ask is None:
        return None
    numbers = np.asarray(values[ask.about])
    row = ""
    if ask.how == "count":
        choices = tuple(str(n + 1) for n in range(len(numbers)))
        return Question(ask.text, choices, int(numbers.sum()) - 1)
    if ask.how == "longest":
        numbers = length(numbers)
    if ask.how == "top":
        numbers = numbers[values["top"][0]]
    if ask.at:
        live = values["active"] if ask.axis == "interest" else np.ones(numbers.shape[1], bool)
        place = most_at_stake(numbers[:, live])
        row, numbers = labels(ask.at, len(numbers))[place], numbers[place]
    if ask.how == "strongest":
        numbers = np.abs(numbers)
    if ask.axis == "interest":  # an inactive one is zero, which would beat what is negative
        numbers = np.where(values["active"], numbers, -np.inf)
    best = int(np.argmax(numbers))
    ahead = numbers[best] - np.delete(numbers, best).max(initial=-np.inf)
    if not ahead > CLEAR or np.isfinite(numbers).sum() < 2:
        return None
    return Question(ask.text.format(row=row), tuple(labels(ask.axis, len(numbers))), best)


def most_at_stake(numbers: Any) -> int:
    """Return the row in which the largest is furthest ahead of the second."""
    ordered = np.sort(numbers, axis=1)
    return int(np.argmax(ordered[:, -1] - ordered[:, -2])) if numbers.shape[1] > 1 else 0
