"""Small experiments on the small log, and made-up hits whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.data.log import Floats
from mindref.experiments.arms import Arm
from mindref.experiments.compare import Plan, compare
from mindref.experiments.hits import Hits
from mindref.experiments.paired import Cases
from mindref.experiments.runs import Listener, Runs
from tests.runs import SMALL, SOURCE, loaded

ONE = Arm("one", {}, "one", {"learning_rate": (0.001, 0.02), "window": (3, 10)})
TWO = Arm("two", {"interests": 1}, "two", {"learning_rate": (0.001, 0.02)})


def base(**changes: Any) -> Config:
    """Return the small settings."""
    return Config.of("default", {**SMALL, **changes})


def runs(listener: Listener | None = None, protocol: str = "leave_last_out") -> Runs:
    """Return runs on the small log, which is read once for all tests."""
    return Runs(SOURCE, loaded(), protocol, listener=listener)


def compared(
    out: Path,
    listener: Listener | None = None,
    arms: tuple[Arm, ...] = (ONE, TWO),
    seeds: int = 2,
    trials: int = 2,
    **changes: Any,
) -> dict[str, Any]:
    """Return the result of a small comparison."""
    plan = Plan(base(**changes), arms, seeds, trials, arms[0].label, out)
    return compare(plan, runs(listener))


def hits(*rows: list[int]) -> list[Hits]:
    """Return the hits of seeds from the ranks of the first hits of users 0, 1, ..."""
    return [Hits(np.arange(len(row)), np.array(row)) for row in rows]


def everybody(tables: Floats) -> Cases:
    """Return cases in which every user is asked under every seed; tables (M, S, U)."""
    _, seeds, users = tables.shape
    return Cases(np.arange(users), np.ones((seeds, users), bool))
