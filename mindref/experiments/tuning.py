"""Equal chances: as many trials for every model, their settings drawn from a grid by key.

Spec: specs/experiments.md, R11, R12 and R22.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from mindref.config import Config
from mindref.experiments.arms import Arm, settings_of

Grid = Mapping[str, tuple[Any, ...]]


def trials_of(base: Config, arm: Arm, count: int) -> list[dict[str, Any]]:
    """Return the settings of `count` trials of an arm, fewer only if its grid has no more.

    Trial 0 has the settings as they are given, so that tuning never costs a model its own. A trial
    depends on its number alone: more trials later are these and others.
    """
    grid = {name: values for name, values in arm.grid.items() if values}
    met: set[str] = set()  # trials as drawn, and the settings that they come to
    trials: list[dict[str, Any]] = []
    draws = range(50 * math.prod(map(len, grid.values())))
    for trial in chain([{}], (drawn(grid, number) for number in draws)):
        if len(trials) == count:
            break
        if repr(trial) in met:
            continue
        full = repr(settings_of(base, {**arm.settings, **trial}))
        if full not in met:  # experiments-R11
            trials.append(trial)
        met |= {repr(trial), full}
    return trials


def drawn(grid: Grid, number: int) -> dict[str, Any]:
    """Return a value of each setting of a grid."""
    return {name: draw(values, name, number) for name, values in grid.items()}


def draw(values: Sequence[Any], name: str, number: int) -> Any:
    """Return a value of the grid by the name of the setting and a number, on every machine.

    The model has no part in it: where two models share a setting, they try the same values.
    """
    digest = hashlib.sha256(f"{name} {number}".encode()).digest()
    return values[int.from_bytes(digest[:8], "big") % len(values)]  # experiments-R11


def best_of(values: Sequence[float | None]) -> int | None:
    """Return which trial has the best validation, the first of equals; None: all diverged."""
    able = [i for i, value in enumerate(values) if value is not None]
    return max(able, key=lambda i: (values[i], -i)) if able else None  # experiments-R12
