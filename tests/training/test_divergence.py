"""A number that is none stops the training at once, and the error says where it came from."""

import re

import numpy as np
import pytest

import mindref
from mindref.data.rng import make_rng
from mindref.models import din
from mindref.models.family import family_of
from mindref.models.parameters import flatten, unflatten
from mindref.ops.embedding import RowGradient
from mindref.recommender.training.trainer import Hooks, resume_run
from mindref.run.checkpoint import load_model, load_state
from mindref.training import loop, optimiser
from mindref.training.batch_loader import BatchLoader, make_loader
from mindref.training.divergence import Diagnosis, Diverged, diagnose_batch, has_finite_squares
from mindref.training.engine import make_engine
from mindref.training.loop import step_learning_rate
from tests.recommender.conftest import begun
from tests.runs import content, loaded, trained, trainer

SAVED = ("model.safetensors", "optimiser.safetensors", "state.json", "metrics.jsonl")
WHO = [("mind", "numba"), ("mind", "numpy"), ("mind_plus", "numba"), ("youtube_dnn", "numba"),
       ("maxmf", "numba")]  # fmt: skip


def made(model, backend, **changes):
    return trainer(model=model, backend=backend, **changes)


def engine(made):
    """Return an engine before its first step, and the batch of that."""
    task, state = made.prepared.task, made.state
    given = (state.params, state.moments, task.catalogue, made.config)
    return make_engine(made.backend, *given), BatchLoader(task, made.config).batch(0)


def bytes_of(engine):
    params, moments = engine.fetch_state()
    tables = {**flatten(params), **{f"m.{k}": x for k, x in moments.first.items()}}
    return {name: x.tobytes() for name, x in tables.items()}


def first_step(trained):
    """Return the error of a first step that diverges, and whether the state has changed."""
    moving, batch = engine(trained)
    before = bytes_of(moving)
    with pytest.raises(Diverged) as error:
        moving.step(batch, step_learning_rate(trained.config, 0))
    return error.value, bytes_of(moving) != before


@pytest.mark.rules("optimiser-R14", "optimiser-R15")
@pytest.mark.parametrize(("model", "backend"), WHO)
def test_a_parameter_that_is_no_number_is_named_with_its_items(model, backend):
    trained = made(model, backend)
    wanted = BatchLoader(trained.prepared.task, trained.config).batch(0)
    item = int(getattr(wanted, "shared", wanted).target[3])
    trained.state.params.items[item] = np.nan
    error, moved = first_step(trained)
    assert re.search(rf"^step 1: .*the parameters; items {item}; ", str(error))
    assert error.diagnosis.rows == {"items": (item,)}
    assert error.diagnosis.items == (item,)
    assert not moved


HUGE = [
    ("mind", "bilinear", 3e38, "routing (forward)"),
    ("mind", "layers.0.weight", 3e38, "relu_layer (forward)"),
    ("mind_plus", "bilinear", 3e38, "routing (forward)"),
    ("youtube_dnn", "layers.0.weight", 3e38, "relu_layer (forward)"),
    ("youtube_dnn", "items", 3e30, "sampled_softmax (forward)"),
    ("maxmf", "items", 3e38, "the computation after embedding (forward)"),
]


@pytest.mark.rules("optimiser-R15")
@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize(("model", "table", "size", "operator"), HUGE)
def test_the_operator_is_named_where_a_number_is_the_first_to_overflow(
    model, backend, table, size, operator
):
    trained = made(model, backend, hidden=[8])
    huge = dict(flatten(trained.state.params))[table]
    huge[:] = np.sign(huge) * np.float32(size)
    error, moved = first_step(trained)
    diagnosis = error.diagnosis
    assert diagnosis.operator == operator
    assert (len(diagnosis.users) > 0, diagnosis.items, diagnosis.rows) == (True, (), {})
    assert not moved


def test_the_users_are_those_who_go_wrong_and_no_others():
    """One behaviour is huge: it is in some histories, and nobody else's."""
    trained = made("mind", "numba", negatives=2)
    _, batch = engine(trained)
    histories, others = batch.histories, np.concatenate([batch.negatives, batch.target])
    item = next(int(x) for x in histories.items[histories.mask] if x not in others)
    having = ((histories.items == item) & histories.mask).any(axis=1)
    trained.state.params.items[item] = 3e38
    task = trained.prepared.task
    with np.errstate(all="ignore"):
        found = diagnose_batch(
            family_of("mind"), trained.state.params, batch, task.catalogue, trained.config, {}
        )
    assert found.users == tuple(np.flatnonzero(having).tolist())
    assert 0 < len(found.users) < len(having)


@pytest.mark.rules("optimiser-R14")
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_gradient_that_is_none_stops_a_step_whose_loss_is_finite(backend):
    """Items are small and layers large: scores are usual, the gradient of an item is 1e22."""
    trained = made("mind", backend)
    params = trained.state.params
    params.items[:] *= np.float32(1e-22)
    params.bilinear[:] *= np.float32(1e22)
    params.layers[-1].weight[:] *= np.float32(1e22)
    _, batch = engine(trained)
    with np.errstate(all="ignore"):
        family = family_of("mind")
        loss, saved = family.loss(params, batch, trained.prepared.task.catalogue, trained.config)
        assert np.isfinite(loss)
        assert np.isfinite(family.backward(saved).items.values).all(), "but for its square"
    error, moved = first_step(trained)
    found = error.diagnosis
    if backend == "numpy":
        assert "a gradient of items" in str(error)
        assert found.operator == "the square of a gradient"
        assert not moved
    else:  # the backend keeps the parameters, and has moved them
        assert found.operator == "the parameters"
        assert set(found.rows["second.items"]) & set(batch.target.tolist())
        assert set(found.items) == set(found.rows["second.items"])


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
    assert error.diagnosis.operator == "the parameters"
    state, validations = load_state(run)
    assert state.moments.step == state.best_step == 3
    assert [validation.step for validation in validations] == [3]
    served = flatten(load_model(run)[0]).values()
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


@pytest.mark.rules("optimiser-R15")
def test_users_and_items_are_named_as_in_the_log(monkeypatch):
    usual, made = loop.step_learning_rate, trainer()
    log, split = loaded().log, made.prepared.split
    with monkeypatch.context() as patch:
        patch.setattr(loop, "step_learning_rate", lambda c, n: usual(c, n) if n < 3 else 1e30)
        with pytest.raises(Diverged) as error:
            made.train()
    found = error.value.diagnosis
    assert found.users
    cuts = BatchLoader(made.prepared.task, made.config).examples
    drawn = cuts.draw(make_rng(made.config.seed, "batch", error.value.step - 1), made.config.batch)
    names = [log.user_ids[split.train_users[drawn[0][place]]] for place in found.users[:5]]
    assert f"users {', '.join(names)}" in str(error.value)
    told = Diverged(3, "nan", Diagnosis(items=(4, 5)), item=lambda i: log.item_ids[i])
    assert f"(items {log.item_ids[4]}, {log.item_ids[5]})" in str(told)
    many = Diverged(3, "nan", Diagnosis(users=tuple(range(7))))
    assert "row 4 of the batch and 2 more)" in str(many)


@pytest.mark.rules("optimiser-R14", "optimiser-R15")
def test_the_ranking_stage_says_where_too(tmp_path):
    mind_run = trained(tmp_path / "mind")
    stage = begun(mind_run, tmp_path / "din")
    task = stage.prepared.task
    plants = {"layers.0.weight": "relu_layer (forward)", "attention.0.weight": "item_attention (f"}
    whole = stage.state.params
    for table, operator in plants.items():
        stage.state = stage.state._replace(params=copy_of(whole))
        named = flatten(stage.state.params)
        named[table][:] = np.sign(named[table]) * np.float32(3e38)
        before = {name: x.tobytes() for name, x in named.items()}
        with pytest.raises(Diverged, match=re.escape(operator)) as error:
            step_engine(stage)
        assert error.value.diagnosis.users
        assert {name: x.tobytes() for name, x in named.items()} == before
    stage.state = stage.state._replace(params=copy_of(whole))
    item = int(make_loader(stage.task, stage.config).batch(0).candidates[0, 0])
    stage.state.params.items[item] = np.nan
    name = stage.prepared.loaded.log.item_ids[item]
    with pytest.raises(Diverged, match=rf"step 1: .*; items {name}; .*nothing was saved"):
        stage.train(Hooks())
    assert len(task.catalogue.rows) > item


@pytest.mark.rules("optimiser-R16")
def test_the_ranking_stage_keeps_no_state_that_is_not_finite(tmp_path, monkeypatch):
    stage = begun(trained(tmp_path / "mind"), tmp_path / "din")
    usual, last = optimiser.learning_rate, stage.config.steps - 1
    monkeypatch.setattr(
        optimiser, "learning_rate", lambda *x: np.nan if x[2] == last else usual(*x)
    )
    with pytest.raises(Diverged, match="parameters or moments that are not finite"):
        stage.train(Hooks())
    assert not (tmp_path / "din" / "model.safetensors").exists()
    assert not (tmp_path / "din" / "optimiser.safetensors").exists()


def step_engine(trainer):
    """Take one step from the state of a trainer, with its first batch."""
    state, catalogue = trainer.state, trainer.task.catalogue
    given = trainer.backend, state.params, state.moments, catalogue, trainer.config
    make_engine(*given).step(make_loader(trainer.task, trainer.config).batch(0), 0.1)


def copy_of(params):
    return unflatten({name: x.copy() for name, x in flatten(params).items()}, din.Params)
