"""A small run with an index, and a copy of it for each test."""

import shutil
from pathlib import Path

import pytest

from tests.runs import train_small_run
from tests.security.tampering import recall


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """A run with an index; tests change copies."""
    run = train_small_run(tmp_path_factory.mktemp("security") / "run", user_features=["age"])
    recall(run)
    return run


@pytest.fixture
def run(trained_run, tmp_path):
    return Path(shutil.copytree(trained_run, tmp_path / "run"))
