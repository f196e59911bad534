"""A run that a test can damage."""

import shutil
from pathlib import Path

import pytest

from tests.runs import stop_after, trainer


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run that has been stopped after its second validation; copy it to damage it."""
    run = tmp_path_factory.mktemp("runs") / "run"
    trainer(run, item_features=("shelf",), user_features=("age",)).train(stop_after(6))
    return run


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))
