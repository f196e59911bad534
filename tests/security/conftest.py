"""A small run with an index of trees, and copies of it to be changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mindref.recommender.bulk import recall_lists
from tests.damage.damaged_runs import HISTORIES, train_small_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an index of trees; copy it to change it."""
    run = train_small_run(tmp_path_factory.mktemp("security") / "run", user_features=["age"])
    recall_lists(run, history=HISTORIES[0], kind="annoy")
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))
