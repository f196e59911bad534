"""Small runs that the tests share, and a DIN run trained on the candidates of one of them."""

import shutil
from pathlib import Path

import pytest

from mindref.models.din_config import DinConfig
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.rerank_trainer import RerankTrainer
from tests.recommender.test_rerank_training import SMALL
from tests.runs import trained


@pytest.fixture(scope="session")
def run_of(tmp_path_factory):
    """A function from settings to a small run, which is trained once; copy it to change it."""
    folder, runs = tmp_path_factory.mktemp("runs"), {}

    def train(**changes):
        name = repr(sorted(changes.items()))
        if name not in runs:
            runs[name] = trained(folder / f"run-{len(runs)}", **changes)
        return runs[name]

    return train


@pytest.fixture(scope="session")
def mind_run(run_of):
    return run_of(backend="numpy")


@pytest.fixture(scope="session")
def profiled_run(run_of):
    """A run with user features."""
    return run_of(steps=20, evaluate_every=10, hidden=[32], user_features=("age",))


@pytest.fixture
def profiled_copy(profiled_run, tmp_path):
    """A copy of that run, without the index that a test of another file may have built."""
    no_index = shutil.ignore_patterns("index")
    return Path(shutil.copytree(profiled_run, tmp_path / "run", ignore=no_index))


def begun(mind_run, run, **changes):
    config = DinConfig(**{**SMALL, **changes})
    made = RerankTrainer(mind_run, ServedModel.load(mind_run), config, run)
    made.create()
    return made


@pytest.fixture(scope="session")
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
