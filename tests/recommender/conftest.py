"""A small recall run, and a DIN run trained on its candidates."""

import shutil
from pathlib import Path

import pytest

from mindref.models.din_config import DinConfig
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.rerank_trainer import RerankTrainer
from tests.recommender.test_rerank_training import SMALL
from tests.runs import trained


@pytest.fixture(scope="module")
def mind_run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("recall") / "run", backend="numpy")


def begun(mind_run, run, **changes):
    config = DinConfig(**{**SMALL, **changes})
    made = RerankTrainer(mind_run, ServedModel.load(mind_run), config, run)
    made.create()
    return made


@pytest.fixture(scope="module")
def stage(mind_run, tmp_path_factory):
    """A small DIN run of that recall run; copy it to change it."""
    run = tmp_path_factory.mktemp("stages") / "din"
    made = begun(mind_run, run)
    assert made.train().finished
    made.evaluate()
    return run


@pytest.fixture
def din(stage, tmp_path):
    """A copy of that DIN run."""
    return Path(shutil.copytree(stage, tmp_path / "din"))
