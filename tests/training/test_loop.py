"""The loop: the same bytes whatever happens on the way, every setting, and what goes wrong."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from mindref.config import Config
from mindref.errors import ConfigError
from mindref.models.family import family_of
from mindref.models.parameters import copy_params, flatten
from mindref.models.registry import families_using
from mindref.recommender import evaluate_run
from mindref.recommender.training.trainer import resume_run
from mindref.run.checkpoint import load_best, load_state
from mindref.training import engine
from mindref.training.batch_loader import BatchLoader
from mindref.training.loop import Hooks
from tests.runs import (
    REPOSITORY,
    SMALL,
    content,
    environment,
    loaded,
    stop_after,
    trained,
    trainer,
)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_two_processes(tmp_path):
    lines = ["import sys; sys.path.insert(0, sys.argv[1])", "from pathlib import Path"]
    lines += ["from tests.runs import trained", "trained(Path(sys.argv[2]))"]
    for name in ("a", "b"):
        child("\n".join(lines), tmp_path / name)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    other = content(trained(tmp_path / "c", seed=1))
    assert other["model.safetensors"] != content(tmp_path / "a")["model.safetensors"]


def child(script, folder):
    """Run a script in a process of its own."""
    command = [sys.executable, "-c", script, str(REPOSITORY), str(folder)]
    subprocess.run(command, env=environment(), check=True, timeout=120)


@pytest.mark.rules("optimiser-R18")
def test_resuming_after_any_step_ends_in_the_same_bytes(tmp_path):
    """Also after the last one, which changes nothing, and with a stop at every step."""
    whole = content(trained(tmp_path / "whole"))
    trainer(tmp_path / "often").train(stop_after(0))
    for step in range(SMALL["steps"]):
        folder = tmp_path / str(step)
        assert not trainer(folder).train(stop_after(step)).finished
        assert step == 0 or load_state(folder)[0].moments.step == step
        assert resume_run(folder).train().finished
        assert content(folder) == whole, f"stopped after step {step}"
        resume_run(tmp_path / "often").train(stop_after(step + 1))
    assert content(tmp_path / "often") == whole
    assert resume_run(tmp_path / "whole").train().finished
    assert content(tmp_path / "whole") == whole


def test_training_lowers_the_loss():
    made = trainer(steps=80, evaluate_every=40, batch=64, learning_rate=0.02).train()
    assert made.validations[1].loss < made.validations[0].loss - 0.2


def loader(**changes):
    made = trainer(**changes)
    return BatchLoader(made.task, made.config)


def batch_bytes(batch):
    return [x.tobytes() for x in (*batch.histories, *batch[1:])]


def test_a_batch_is_a_function_of_seed_and_step():
    first, second = loader(), loader()
    batches = [batch_bytes(first.batch(step)) for step in range(8)]
    for step in (4, 0, 5):  # the second loader has made other batches before
        second.batch(step + 1)
        assert batch_bytes(second.batch(step)) == batches[step]
    assert batch_bytes(loader(seed=1).batch(4)) != batches[4]
    logits, targets, negatives = (len({x[i] for x in batches}) for i in (2, 4, 5))
    assert logits == targets == negatives == 8, "each step has another batch"


@pytest.mark.rules("data-R103")
@pytest.mark.parametrize("by", ["interaction", "user"])
@pytest.mark.parametrize("changes", [{"sampler": "uniform"}, {"sigma": 0.0}, {"logits": "fixed"}])
def test_the_draws_of_a_step_are_those_of_the_page_in_its_order(by, changes):
    """The draws are made again with calls of NumPy only."""
    settings = {"dropout": 0.2, "dtype": "float32", "sampler": "unigram", "sigma": 0.7}
    changes = {**settings, "target_sampling": by, "seed": 5 + 3 * 2**32, **changes}
    made = loader(model="mind_plus", head="layers", **changes)
    config, sequences = made.config, made.task.sequences
    batch, keep = made.batch(4)
    rng = np.random.default_rng([5, 2, 4, 3])
    cuts = sequences.lengths - 1
    if by == "user":
        with_cut = np.flatnonzero(cuts > 0)
        assert 0 < len(with_cut) < len(cuts)
        rows = with_cut[rng.integers(len(with_cut), size=config.batch)]
        positions = 1 + rng.integers(cuts[rows])
    else:
        all_cuts = [(row, 1 + nth) for row, count in enumerate(cuts) for nth in range(count)]
        numbers = rng.integers(len(all_cuts), size=config.batch)
        rows, positions = np.array(all_cuts)[numbers].T
    target = sequences.values[sequences.offsets[rows] + positions]
    assert batch.target.tolist() == target.tolist()
    counts = np.bincount(sequences.values, minlength=made.task.sizes.items)
    weights = np.maximum(counts, 1) ** (0.0 if config.sampler == "uniform" else config.alpha)
    cumulative = np.cumsum(weights / weights.sum())
    uniform = rng.random(config.negatives)[:, None] * cumulative[-1]
    assert batch.negatives.tolist() == (cumulative <= uniform).sum(axis=1).tolist()
    shape = (*batch.histories.mask.shape, config.interests)
    if config.logits != "fixed" and config.sigma:
        logits = (0.7 * rng.standard_normal(shape)).astype(np.float32)
        assert batch.histories.init_logits.tobytes() == logits.tobytes()
    words = rng.integers(0, 2**16, keep.shape, dtype=np.uint16)
    assert (keep > 0).tolist() == (words >= round(0.2 * 2**16)).tolist()


def test_an_interval_sees_most_users():
    """A generator seeded anew for each batch would draw the same few users."""
    made = loader(batch=32)
    rows = np.concatenate([made.rows(step) for step in range(12)])
    assert len(np.unique(rows)) >= 50, "of 60 users"


def values(monkeypatch, *given):
    """Let validation say these values, one a validation."""
    said = iter(given)
    monkeypatch.setattr(evaluate_run.Validator, "__call__", lambda self, params: next(said))


def test_the_best_validation_is_served_and_the_first_of_equals_stays(tmp_path, monkeypatch):
    values(monkeypatch, 0.1, 0.4, 0.4, 0.2)
    kept = {}
    made = trainer(tmp_path / "run", steps=8, evaluate_every=2)

    def on_validation(validation):
        kept[validation.step] = copy_params(made.best)

    outcome = made.train(Hooks(on_validation=on_validation))
    assert [validation.is_best for validation in outcome.validations] == [True, True, False, False]
    state, validations = load_state(tmp_path / "run")
    assert (state.best_step, state.best_value, state.waited) == (4, 0.4, 2)
    assert validations == outcome.validations
    served = load_best(tmp_path / "run")[0]
    for params in (served, outcome.model().params):
        np.testing.assert_array_equal(params.items, kept[4].items)
    assert not np.array_equal(served.items, state.params.items), "the last validation is another"


@pytest.mark.rules("optimiser-R17")
def test_patience_ends_a_training_that_stands_still(tmp_path, monkeypatch):
    values(monkeypatch, 0.2, 0.1, 0.3, 0.3, 0.1, 0.9)
    settings = {"steps": 6, "evaluate_every": 1, "backend": "numpy"}
    made = trainer(tmp_path / "run", patience=2, **settings).train()
    assert [validation.step for validation in made.validations] == [1, 2, 3, 4, 5]
    assert made.finished
    again = resume_run(tmp_path / "run").train()
    assert (again.finished, again.state.moments.step) == (True, 5), "resuming does not wake it"
    values(monkeypatch, *[0.0] * 6)
    assert trainer(**settings).train().validations[-1].step == 6, "without patience"


def test_the_loss_of_a_validation_is_the_mean_of_its_steps(tmp_path):
    losses = []
    outcome = trainer().train(Hooks(on_step=lambda step, loss: losses.append(loss)))
    expected = [np.mean(losses[:3]), np.mean(losses[3:6]), np.mean(losses[6:])]
    np.testing.assert_allclose([x.loss for x in outcome.validations], expected, rtol=1e-12)


def test_a_fault_of_the_reference_is_not_blamed_on_a_backend(monkeypatch):
    made = trainer(backend="numpy")
    broken = dataclasses.replace(family_of("mind"), loss=lambda *_: 1 / 0)
    monkeypatch.setattr(engine, "family_of", lambda name: broken)
    with pytest.raises(ZeroDivisionError):
        made.train()


def test_a_state_is_not_shared_with_the_best_parameters():
    made = trainer(steps=1, evaluate_every=1)
    before = made.best.items.copy()
    state = made.state
    assert not np.shares_memory(made.best.items, state.params.items)
    made.validate = lambda params: 0.5
    made.train()
    assert not np.array_equal(made.best.items, before)


CHOICES = [
    (setting.name, option)
    for setting in dataclasses.fields(Config)
    for option in setting.metadata.get("options", ())
]
OTHERS = [
    *[("last_relu", True), ("normalise", True), ("hidden", ()), ("hidden", (5, 6))],
    *[(name, 1) for name in ("interests", "window", "iterations", "negatives", "batch")],
    *[(name, 0.0) for name in ("sigma", "power", "alpha", "learning_rate", "beta1")],
    *[("window", 500), ("power", 1.5), ("temperature", 0.5)],
    *[("item_features", ("shelf",)), ("user_features", ("age",))],
]


def base_of(name, value):
    """Return a family that knows a value of a setting: MIND, unless only others do."""
    families = families_using("sharpness" if value == "pooled" else name)
    return {"model": families[0]} if families else {}


COMPILED_ANEW = (
    "dtype-float64", "routing_gradient-all", "normalise-True", "hidden", "head-none",
    "attention-pooled",
)  # fmt: skip
"""Options for which numba compiles the step once more, which takes up to half a minute."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(*x, marks=[pytest.mark.slow] * f"{x[0]}-{x[1]}".startswith(COMPILED_ANEW))
        for x in [*CHOICES, *OTHERS]
    ],
)
def test_every_option_trains(name, value):
    outcome = trainer(**base_of(name, value), **{name: value, "steps": 3}).train()
    assert [validation.step for validation in outcome.validations] == [3]
    assert np.isfinite(outcome.validations[0].loss)
    for key, array in flatten(outcome.model().params).items():
        assert np.isfinite(array).all(), key
        # a fitted family has the dtypes that it needs
        fitted = not family_of(outcome.model().config.model).by_steps
        assert fitted or array.dtype == outcome.model().config.dtype, key


@pytest.mark.parametrize("protocol", ["leave_last_out", "paper", "comirec", "global_time"])
def test_every_split_trains_and_is_evaluated(protocol):
    report = trainer(protocol=protocol).train().evaluate()
    assert 0 <= report["metrics"]["test"]["model"]["hit_rate@10"]["value"] <= 1


@pytest.mark.parametrize("metric", ["auc@10", "hit_rate", "hit_rate@0"])
def test_a_validation_metric_is_checked_before_training(metric):
    expected = f"metric: expected hit_rate@N or .* with N from 1 to 100000, got '{metric}'; "
    with pytest.raises(ConfigError, match=expected):
        trainer(metric=metric)


def test_validation_at_more_than_the_catalogue_is_that_of_the_whole_catalogue():
    items = len(loaded().log.item_ids)
    beyond, whole = (trainer(metric=f"mrr@{n}") for n in (500, items))
    assert items < 500
    assert beyond.validate(beyond.best) == whole.validate(whole.best) > 0
