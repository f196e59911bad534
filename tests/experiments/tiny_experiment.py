"""Small experiments on the small log, and simulated hits with known truth."""

from pathlib import Path
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.data.log import Floats
from mindref.experiments.arms import Arm
from mindref.experiments.compare import ComparisonPlan, run_comparison
from mindref.experiments.first_hits import FirstHits
from mindref.experiments.paired_tests import EvaluatedCases
from mindref.experiments.runs import ExperimentRuns, RunListener
from tests.runs import SMALL, SOURCE, loaded

ONE = Arm("one", {}, "one", {"learning_rate": (0.001, 0.02), "window": (3, 10)})
TWO = Arm("two", {"interests": 1}, "two", {"learning_rate": (0.001, 0.02)})


def base(**changes: Any) -> Config:
    return Config.of("mind", {**SMALL, **changes})


def runs(listener: RunListener | None = None, protocol: str = "leave_last_out") -> ExperimentRuns:
    """Return runs on the small log, which is read once for all tests."""
    return ExperimentRuns(SOURCE, loaded(), protocol, listener=listener)


def compared(
    out: Path,
    listener: RunListener | None = None,
    arms: tuple[Arm, ...] = (ONE, TWO),
    seeds: int = 2,
    trials: int = 2,
    **changes: Any,
) -> dict[str, Any]:
    plan = ComparisonPlan(base(**changes), arms, seeds, trials, arms[0].label, out)
    return run_comparison(plan, runs(listener))


def hits(*rows: list[int]) -> list[FirstHits]:
    """Return the hits of seeds from the ranks of the first hits of users 0, 1, ..."""
    return [FirstHits(np.arange(len(row)), np.array(row)) for row in rows]


def all_cases(tables: Floats) -> EvaluatedCases:
    """Return cases in which every user has a case with every seed; tables (M, S, U)."""
    _, seeds, users = tables.shape
    return EvaluatedCases(np.arange(users), np.ones((seeds, users), bool))
