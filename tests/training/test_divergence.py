"""A training of the default backend that diverges: what is on disk is the last good epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref.models.parameters import flatten
from mindref.recommender.trainer import Hooks, resume_run
from mindref.run.checkpoint import load_model, load_state
from mindref.training import loop
from mindref.training.engine import Diverged
from tests.runs import content, loaded, trained, trainer


def test_the_last_epoch_is_whole_and_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of a size beyond all settings after the first epoch: the one after them has no loss."""
    run, usual = tmp_path / "run", loop.step_learning_rate
    steps: list[int] = []
    made = trainer(run)
    assert made.backend.name == "numba"
    with monkeypatch.context() as patch:
        diverging = lambda config, n: usual(config, n) if n < 3 else 1e30  # noqa: E731
        patch.setattr(loop, "step_learning_rate", diverging)
        with pytest.raises(Diverged, match=r"step 5: expected a finite loss.*--learning-rate"):
            made.train(Hooks(on_step=lambda step, loss: steps.append(step)))
    assert steps == [1, 2, 3, 4]
    state, epochs = load_state(run)
    assert state.moments.step == state.best_step == 3
    assert [epoch.step for epoch in epochs] == [3]
    for params in (load_model(run)[0], state.params):
        assert all(np.isfinite(x).all() for x in flatten(params).values())
    assert len(mindref.load(run).recommend(list(loaded().log.item_ids[3:9]), 5)) == 5
    again = resume_run(run)
    assert again.state.moments.step == 3
    assert again.train().finished
    assert content(run) == content(trained(tmp_path / "whole"))


@pytest.mark.parametrize(
    "backend",
    [
        "numpy",
        pytest.param("numba", marks=pytest.mark.slow),  # compiling 30 layers takes half a minute
    ],
)
def test_the_largest_learning_rate_ends_before_anything_is_served(
    tmp_path: Path, backend: str
) -> None:
    """As a user meets it: nothing is written over, and resuming begins anew, to end alike."""
    run = tmp_path / "run"
    changes = {"learning_rate": 100.0, "hidden": [8] * 30, "backend": backend}
    for _ in range(2):
        made = resume_run(run) if run.exists() else trainer(run, **changes)
        with pytest.raises(Diverged, match=r"step 2: expected a finite loss.*learning.rate"):
            made.train()
        assert sorted(path.name for path in run.iterdir()) == ["config.json", "items.tsv"]
