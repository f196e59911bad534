"""The ends of every documented range, in float32: training stays finite.

One setting at a time is put at an end of its range, then those together that pull the same way.
The same of the ranking stage, which has settings of its own.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mindref.config import Config
from mindref.models.din_config import DinConfig
from mindref.models.parameters import flatten
from mindref.models.registry import families_using
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.rerank_trainer import RerankTrainer
from mindref.training.batch_loader import make_loader
from mindref.training.divergence import Diverged
from mindref.training.engine import make_engine
from mindref.training.loop import Hooks, step_learning_rate
from tests.runs import trained, trainer

BACKENDS = (pytest.param("numba", marks=pytest.mark.slow), "numpy")
SMALL = {"dtype": "float32", "steps": 4, "evaluate_every": 4, "batch": 8}
# ends whose cost is only size: as large as tells them from the usual ones on a small log
SIZES = {
    "width": 512,
    "window": 300,
    "negatives": 5000,
    "batch": 2000,
    "iterations": 40,
    "neighbours": 1_000_000,
    "profile_width": 512,
    "sweeps": 40,
    "candidates": 60,
    "recalled_negatives": 60,
    "popular_negatives": 1000,
}
# where nothing is learned or shown by the end itself: it is a number of steps, or of users
ELSEWHERE = (
    "steps", "evaluate_every", "patience", "validation_users", "test_users",
)  # fmt: skip
LAYERS = ("hidden", "attention_hidden")
MANY_LAYERS = (8,) * 16
"""Most layers in a test of the compiled step: 64 layers compile for more than a minute."""
FIELDS = [field for field in dataclasses.fields(Config) if field.name not in ELSEWHERE]


def ends(field):
    """Return the ends of the range of a number; of the layers few, many and wide ones."""
    if field.name in LAYERS:
        return [(), (1,), (512,), (8,) * 64]
    meta = field.metadata
    return [meta["low"], SIZES.get(field.name, meta["high"])] if "low" in meta else []


CASES = [
    pytest.param(field.name, value, id=f"{field.name}={str(value)[:20]}")
    for field in FIELDS
    for value in ends(field)
]


TOGETHER = [
    {"learning_rate": 100, "init_scale": 1e3},
    {"learning_rate": 100, "temperature": 1e-6},
    {"init_scale": 1e3, "temperature": 1e-6},
    {"init_scale": 1e3, "temperature": 1e-6, "loss": "full", "power": 1},
    {"init_scale": 1e3, "hidden": MANY_LAYERS},
    {"init_scale": 0, "normalise": True, "temperature": 1e-6},
    {"init_scale": 1e3, "normalise": True, "routing_gradient": "all"},
    {"sigma": 1e6, "init_scale": 1e3, "routing_gradient": "all", "squash": "none"},
    {"sigma": 0, "init_scale": 0, "power": 0},
    {"epsilon": 1e-30, "beta1": 0, "beta2": 0, "learning_rate": 1},
    {"alpha": 10, "negatives": 1, "batch": 1},
    {"interests": 64, "window": 1, "interest_count": "fixed"},
    {"iterations": 40, "init_scale": 1e3, "squash": "unit", "routing_axis": "behaviours"},
]


def family_of(name):
    """Return a family for which a setting means something: MIND where all know it."""
    of = families_using(name)
    return "mind" if not of or "mind" in of else str(of[0])


def check(backend, changes):
    """Train some steps: every loss, parameter and figure is a finite number. Raises Diverged, too.

    None of these ends diverges within four steps; see tests/training/test_divergence.py.
    """
    losses = []
    made = trainer(None, **{**SMALL, "backend": backend, **changes})
    made.train(Hooks(on_step=lambda step, loss: losses.append(loss)))
    assert np.isfinite(losses).all(), losses
    for name, x in flatten(made.state.params).items():
        assert np.isfinite(x).all(), name
        assert made.config.model not in families_using("temperature") or x.dtype == np.float32, name
    json.dumps(made.evaluate(), allow_nan=False)  # raises for a number that is none


@pytest.mark.rules("numerics-R10")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "value"), CASES)
@pytest.mark.slow(every=3)
def test_an_end_of_a_range_is_held(name, value, backend):
    if backend == "numba" and name in LAYERS:
        value = value[: len(MANY_LAYERS)]
    check(backend, {"model": family_of(name), name: value})


@pytest.mark.rules("numerics-R10")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("changes", TOGETHER, ids=lambda changes: "-".join(changes))
def test_ends_together_are_held(changes, backend):
    check(backend, changes)


STAGE = {"steps": 4, "batch": 8, "width": 8, "candidates": 60, "recalled_negatives": 1}
DIN_CASES = [
    pytest.param({field.name: value}, id=f"{field.name}={str(value)[:20]}")
    for field in dataclasses.fields(DinConfig)
    if field.name not in ELSEWHERE
    for value in ends(field)
]
DIN_TOGETHER = [
    {"learning_rate": 100, "init_items": "recall", "product": True},
    {"learning_rate": 100, "hidden": [8] * 64},
    {"learning_rate": 100, "hidden": [], "attention_hidden": []},
    {"alpha": 10, "recalled_negatives": 0, "popular_negatives": 1, "batch": 1},
    {"candidates": 1, "window": 1, "popular_negatives": 0},
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A recall run with the item table in float32."""
    run = tmp_path_factory.mktemp("extremes") / "run"
    return ServedModel.load(trained(run, backend="numpy", dtype="float32"))


def losses_of(served, changes):
    """Return the losses of some steps of DIN; all parameters must be finite."""
    config = DinConfig(**{**STAGE, **changes})
    made = RerankTrainer(Path("of no use"), served, config, None)
    given = made.backend, made.state.params, made.state.moments, made.task.catalogue, config
    engine, loader, losses = make_engine(*given), make_loader(made.task, config), []
    for _ in range(config.steps):
        step = engine.fetch_state()[1].step
        rate = step_learning_rate(config, step)
        losses.append(engine.step(loader.batch(step), rate))
    for name, x in flatten(engine.fetch_state()[0]).items():
        assert np.isfinite(x).all(), name
        assert x.dtype == np.float32, name
    return losses


@pytest.mark.rules("numerics-R10")
@pytest.mark.parametrize("changes", DIN_CASES)
@pytest.mark.slow(every=3)
def test_an_end_of_a_range_of_din_is_held(served, changes):
    assert np.isfinite(losses_of(served, changes)).all()


@pytest.mark.rules("numerics-R10")
@pytest.mark.parametrize("changes", DIN_TOGETHER, ids=lambda changes: "-".join(changes))
def test_ends_of_din_together_are_held(served, changes):
    assert np.isfinite(losses_of(served, changes)).all()


@pytest.mark.rules("numerics-R10")
def test_ends_together_that_are_too_much_end_in_words(served):
    """Steps of 100 through 64 layers of attention leave float32, and that is told."""
    message = r"step 2: expected a finite loss, got nan; .*lower --learning-rate"
    changes = {"learning_rate": 100, "normalise_attention": True, "attention_hidden": [8] * 64}
    with pytest.raises(Diverged, match=message):
        losses_of(served, changes)
