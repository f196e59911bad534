"""Tuning: equally many trials for every model, drawn from its grid by a hash.

Spec: specs/experiments.md, R11, R12 and R22.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from mindref.config import Config
from mindref.experiments.arms import Arm, arm_config

Grid = Mapping[str, tuple[Any, ...]]


def arm_trials(base: Config, arm: Arm, count: int) -> list[dict[str, Any]]:
    """Return the settings of `count` trials of an arm, or fewer if its grid has fewer.

    Trial 0 has the given settings, so that tuning cannot make a model worse. A trial depends only
    on its number: with a larger `count` the first trials stay the same.
    """
    grid = {name: values for name, values in arm.grid.items() if values}
    seen: set[str] = set()  # trials as drawn, and their complete settings
    trials: list[dict[str, Any]] = []
    draws = range(50 * math.prod(map(len, grid.values())))
    for trial in chain([{}], (draw_trial(grid, number) for number in draws)):
        if len(trials) == count:
            break
        if repr(trial) in seen:
            continue
        full = repr(arm_config(base, {**arm.settings, **trial}))
        if full not in seen:  # experiments-R11
            trials.append(trial)
        seen |= {repr(trial), full}
    return trials


def draw_trial(grid: Grid, number: int) -> dict[str, Any]:
    """Return one value for each setting of a grid."""
    return {name: draw_value(values, name, number) for name, values in grid.items()}


def draw_value(values: Sequence[Any], name: str, number: int) -> Any:
    """Return a value chosen by a hash of the setting's name and the number.

    The choice does not depend on the machine or the model: models that share a setting try the same
    values.
    """
    digest = hashlib.sha256(f"{name} {number}".encode()).digest()
    return values[int.from_bytes(digest[:8], "big") % len(values)]  # experiments-R11


def best_trial(values: Sequence[float | None]) -> int | None:
    """Return the trial with the best validation, the first of equals; None if all diverged."""
    candidates = [i for i, value in enumerate(values) if value is not None]
    return max(candidates, key=lambda i: (values[i], -i)) if candidates else None  # experiments-R12
