"""A small run that recalls, and a ranking stage trained for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mindref.models.din_config import DinConfig
from mindref.recommender.ranking_run import RankingTrainer, open_recall
from mindref.recommender.run import Hooks
from tests.recommender.test_ranker import SMALL
from tests.runs import trained


@pytest.fixture(scope="module")
def mind_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that recalls."""
    return trained(tmp_path_factory.mktemp("recall") / "run", backend="numpy")


def begun(mind_run: Path, run: Path, **changes: Any) -> RankingTrainer:
    config = DinConfig(**{**SMALL, **changes})
    made = RankingTrainer(mind_run, open_recall(mind_run), config, run)
    made.create()
    return made


@pytest.fixture(scope="module")
def stage(mind_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ranking stage of that run; copy it to change it."""
    run = tmp_path_factory.mktemp("stages") / "din"
    made = begun(mind_run, run)
    assert made.go(Hooks())
    made.judge()
    return run
