"""A number that is not finite stops the training at once, and nothing is lost."""

import re

import numpy as np
import pytest

import mindref
from mindref.models.family import family_of
from mindref.models.parameters import flatten
from mindref.ops.embedding import RowGradient
from mindref.recommender.training.trainer import resume_run
from mindref.run.checkpoint import load_best, load_state
from mindref.training import loop, optimiser
from mindref.training.batch_loader import make_loader
from mindref.training.divergence import Diverged, check_finite_state, has_finite_squares
from mindref.training.engine import make_engine
from mindref.training.loop import Hooks
from tests.recommender.conftest import begun
from tests.runs import content, loaded, trained, trainer

SAVED = ("model.safetensors", "optimiser.safetensors", "state.json", "metrics.jsonl")
WHO = [("mind", "numba"), ("mind", "numpy"), ("mind_plus", "numba"), ("youtube_dnn", "numba"),
       ("maxmf", "numba")]  # fmt: skip


def engine_of(made):
    """Return the engine of a training before its first step, and the first batch."""
    task, state, config = made.task, made.state, made.config
    engine = make_engine(made.backend, state.params, state.moments, task.catalogue, config)
    return engine, make_loader(task, config).batch(0)


def state_bytes(engine):
    params, moments = engine.fetch_state()
    return [x.tobytes() for x in (*flatten(params).values(), *moments.first.values())]


def first_step(made):
    """Return the error of a first step that diverges, and whether the state has changed."""
    engine, batch = engine_of(made)
    before = state_bytes(engine)
    with pytest.raises(Diverged) as error:
        engine.step(batch, 0.1)
    return error.value, state_bytes(engine) != before


@pytest.mark.rules("optimiser-R14", "optimiser-R15")
@pytest.mark.parametrize(("model", "backend"), WHO)
def test_a_parameter_that_is_no_number_stops_the_step(model, backend):
    made = trainer(model=model, backend=backend)
    batch = make_loader(made.task, made.config).batch(0)
    made.state.params.items[int(getattr(batch, "shared", batch).target[3])] = np.nan
    error, is_changed = first_step(made)
    assert "step 1: expected a finite loss, got nan; train anew with a lower" in str(error)
    assert not is_changed


@pytest.mark.rules("optimiser-R14")
@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize(
    ("model", "table", "size"),
    [("mind", "bilinear", 3e38), ("mind_plus", "bilinear", 3e38),
     ("youtube_dnn", "layers.0.weight", 3e38), ("youtube_dnn", "items", 3e30),
     ("maxmf", "items", 3e38)],
)  # fmt: skip
def test_an_overflow_stops_the_step(model, backend, table, size):
    made = trainer(model=model, backend=backend, hidden=[8])
    huge = flatten(made.state.params)[table]
    huge[:] = np.sign(huge) * np.float32(size)
    _, is_changed = first_step(made)
    assert not is_changed


@pytest.mark.rules("optimiser-R14")
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_gradient_that_is_none_stops_a_step_whose_loss_is_finite(backend):
    """Items are small and layers large: scores are usual, the gradient of an item is 1e22."""
    made = trainer(backend=backend)
    params = made.state.params
    params.items[:] *= np.float32(1e-22)
    params.bilinear[:] *= np.float32(1e22)
    params.layers[-1].weight[:] *= np.float32(1e22)
    batch = make_loader(made.task, made.config).batch(0)
    with np.errstate(all="ignore"):
        family = family_of("mind")
        loss, saved = family.loss(params, batch, made.task.catalogue, made.config)
        assert np.isfinite(loss)
        assert np.isfinite(family.backward(saved).items.values).all(), "but for its square"
    if backend == "numpy":
        error, is_changed = first_step(made)
        assert "a gradient of items" in str(error)
        assert not is_changed
        return
    engine, _ = engine_of(made)
    with pytest.raises(Diverged):  # this backend keeps the parameters, and may have moved them
        engine.step(batch, 0.1)


@pytest.mark.rules("optimiser-R14")
@pytest.mark.parametrize(
    ("value", "well"),
    [(1.0, True), (-1e19, True), (2e19, False), (-2e19, False), (np.nan, False), (-np.inf, False)],
)
def test_a_gradient_is_bounded_if_its_square_is(value, well):
    x = np.array([[0.5, value], [1.0, -3.0]], np.float32)
    with np.errstate(all="ignore"):
        assert has_finite_squares(x) == has_finite_squares(RowGradient(np.array([0, 4]), x)) == well
        assert has_finite_squares(x[:0])


@pytest.mark.rules("optimiser-R15", "optimiser-R16")
def test_a_state_that_is_not_finite_names_its_tables():
    params, moments = {"items": np.ones((2, 3))}, optimiser.init({"items": np.ones((2, 3))})
    check_finite_state(params, moments)
    moments.second["items"][1, 2] = np.inf
    with pytest.raises(Diverged, match="not finite: second moment of items;"):
        check_finite_state(params, moments)
    params["items"][0, 0] = np.nan
    with pytest.raises(Diverged, match="not finite: items, second moment of items;"):
        check_finite_state(params, moments)


def spoiled(path, model, backend, at, monkeypatch):
    """Train with a rate that is no number in step `at`, from 0; return what was raised."""
    usual, kept, steps = loop.step_learning_rate, dict[str, bytes](), []
    trained = trainer(path, model=model, backend=backend)
    with monkeypatch.context() as patch:
        diverging = lambda c, n: usual(c, n) if n != at else float("nan")  # noqa: E731
        patch.setattr(loop, "step_learning_rate", diverging)
        with pytest.raises(Diverged) as error:
            trained.train(
                Hooks(
                    on_validation=lambda validation: kept.update(content(path, SAVED)),
                    on_step=lambda step, loss: steps.append(step),
                )
            )
    assert content(path, SAVED) == kept
    assert steps == list(range(1, at + 2)), "the losses before and of step `at` are finite"
    return error.value


@pytest.mark.rules("optimiser-R16")
@pytest.mark.parametrize("at", [3, 5])  # between two validations, and at one
@pytest.mark.parametrize(("model", "backend"), WHO)
@pytest.mark.slow(every=3)
def test_the_last_checkpoint_stays_to_the_byte_and_serves(
    model, backend, at, tmp_path, monkeypatch
):
    """The loss of the very step is finite; the one after it, or the state, tells."""
    run = tmp_path / "run"
    error = spoiled(run, model, backend, at, monkeypatch)
    assert error.step == (5 if at == 3 else 6)
    state, validations = load_state(run)
    assert state.moments.step == state.best_step == 3
    assert [validation.step for validation in validations] == [3]
    served = flatten(load_best(run)[0]).values()
    for x in (*served, *flatten(state.params).values(), *state.moments.second.values()):
        assert np.isfinite(x).all()
    again = re.escape(f"mindref train --resume {run} diverges again")
    todo = "train anew with a lower --learning-rate; the run is as it was after step 3"
    assert re.search(rf"; {todo}, and {again}$", str(error))
    assert len(mindref.load(run).recommend(list(loaded().log.item_ids[3:9]), 5)) == 5
    if model in ("mind", "mind_plus"):
        assert resume_run(run).train().finished
        assert content(run) == content(trained(tmp_path / "whole", model=model, backend=backend))


# compiling 30 layers takes half a minute
@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.slow)])
def test_the_largest_learning_rate_ends_before_anything_is_served(tmp_path, backend, recwarn):
    """Nothing is overwritten; a resumed run starts again and diverges at the same step."""
    run = tmp_path / "run"
    changes = {"learning_rate": 100.0, "hidden": [8] * 16, "backend": backend}
    for _ in range(2):
        resumed = resume_run(run) if run.exists() else trainer(run, **changes)
        with pytest.raises(Diverged, match=r"step 2: expected a finite loss.*learning.rate"):
            resumed.train()
        assert sorted(path.name for path in run.iterdir()) == ["config.json", "items.tsv"]
    assert [str(warning.message) for warning in recwarn] == [], "overflow causes no warning"


@pytest.mark.rules("optimiser-R14", "optimiser-R15")
def test_a_training_of_din_stops_too(tmp_path):
    mind_run = trained(tmp_path / "mind")
    weights = begun(mind_run, None)
    huge = flatten(weights.state.params)["attention.0.weight"]
    huge[:] = np.sign(huge) * np.float32(3e38)
    _, is_changed = first_step(weights)
    assert not is_changed
    made = begun(mind_run, tmp_path / "din")
    made.state.params.items[make_loader(made.task, made.config).batch(0).candidates[0, 0]] = np.nan
    with pytest.raises(Diverged, match=r"step 1: expected a finite loss.*nothing was saved"):
        made.train()
