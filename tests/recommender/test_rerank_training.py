"""Training DIN on what a run recalls: samples, their determinism, and that it learns."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mindref.data.batches import pad_examples
from mindref.data.examples import TrainingExamples, count_items
from mindref.data.rng import make_rng
from mindref.models.din_config import DinConfig
from mindref.models.parameters import flatten
from mindref.recommender.training.rerank_trainer import (
    RerankTrainer,
    prepare_recall_log,
)
from mindref.training.batch_loader import RerankBatchLoader, draw_without_replacement
from mindref.training.loop import Hooks
from tests.runs import trainer

SMALL = {
    "width": 8, "window": 5, "attention_hidden": (4,), "hidden": (8,),
    "candidates": 20, "recalled_negatives": 6, "popular_negatives": 3, "batch": 16, "steps": 4,
}  # fmt: skip


@cache
def served():
    """A small run, its log with it."""
    made = trainer(backend="numpy")  # which compiles nothing
    made.train()
    return made.served_model()


def candidates_of_run(histories, profiles, n):
    return recall_trainer().recall(histories, profiles, n).items


def loader(candidates=candidates_of_run, **changes):
    """Return the batches of DIN on a recall run, or on lists of another function."""
    task = prepare_recall_log(served()).task._replace(candidates=candidates)
    return RerankBatchLoader(task, DinConfig(**{**SMALL, **changes}))


def listing(*items):
    """Candidates: these items for everybody, and then no more."""

    def candidates(histories, profiles, n):
        return np.tile([*items, *[-1] * (n - len(items))], (len(histories), 1))

    return candidates


def din_trainer(**changes):
    config = DinConfig(**{**SMALL, **changes})
    return RerankTrainer(Path("unused"), served(), config, None)


recall_trainer = cache(din_trainer)


@pytest.mark.rules("din-R14")
def test_a_sample_is_what_followed_then_what_was_recalled_then_what_is_popular():
    made = loader(listing(*range(40, 60)))
    batch, task = made.batch(3), made.task
    rows, positions = TrainingExamples(task.sequences).draw(make_rng(0, "batch", 3), 16)
    laid = pad_examples(task.sequences, rows, positions, 5)
    np.testing.assert_array_equal(batch.histories.items, laid.history)
    np.testing.assert_array_equal(batch.histories.mask, laid.mask)
    np.testing.assert_array_equal(batch.histories.profile, task.profiles[rows])
    assert batch.candidates.shape == (16, 1 + 6 + 3)
    np.testing.assert_array_equal(batch.candidates[:, 0], laid.target)
    assert ((batch.candidates[:, 1:7] >= 40) & (batch.candidates[:, 1:7] < 60)).all()
    assert (batch.candidates[:, 7:] < 40).any()


@pytest.mark.rules("din-R14")
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_popular_ones_are_drawn_by_count(alpha):
    made = loader(recalled_negatives=0, popular_negatives=400, alpha=alpha)
    drawn = np.concatenate([made.batch(step).candidates[:, 1:].ravel() for step in range(4)])
    items = made.task.sizes.items
    counts = np.maximum(count_items(made.task.sequences, items), 1)
    expected = counts**alpha / (counts**alpha).sum()
    got = np.bincount(drawn, minlength=items) / len(drawn)
    error = np.sqrt(expected * (1 - expected) / len(drawn))
    assert (np.abs(got - expected) < 5 * error).all()


@pytest.mark.rules("din-R15")
def test_recalled_ones_are_what_the_run_lists_for_the_cut_and_none_twice():
    asked = []

    def candidates(*inputs):
        asked.append(inputs)
        return candidates_of_run(*inputs)

    made = loader(candidates)
    batch, sequences = made.batch(0), made.task.sequences
    rows, positions = TrainingExamples(sequences).draw(make_rng(0, "batch", 0), 16)
    histories, profiles, n = asked[0]
    assert n == 20
    np.testing.assert_array_equal(profiles, made.task.profiles[rows])
    lists = candidates_of_run(histories, profiles, 20)
    for b, (row, position) in enumerate(zip(rows, positions, strict=True)):
        before = sequences.row(row)[:position]
        np.testing.assert_array_equal(histories.row(b), before)
        hard = batch.candidates[b, 1:7]
        assert len(set(hard)) == 6
        assert set(hard) <= set(lists[b])
        assert not set(hard) & set(before), "seen items are left out, as when it serves"


@pytest.mark.rules("din-R15")
def test_every_place_of_a_list_is_drawn_as_often():
    listed = np.tile(np.arange(10), (4000, 1))
    drawn = draw_without_replacement(np.random.default_rng(0), listed, 3)
    got = np.bincount(drawn.ravel(), minlength=10) / 4000
    assert np.abs(got - 0.3).max() < 4 * np.sqrt(0.3 * 0.7 / 4000)


@pytest.mark.rules("din-R15")
def test_an_empty_place_is_filled_by_popularity():
    batch = loader(listing(7, 8)).batch(0)
    assert (batch.candidates >= 0).all()
    assert len(np.unique(batch.candidates[:, 1:7])) > 10


@pytest.mark.rules("din-R16")
def test_an_item_that_followed_is_a_positive_however_it_came():
    batch = loader(listing(*range(20)), recalled_negatives=20, batch=64).batch(0)
    expected = batch.candidates == batch.candidates[:, :1]
    np.testing.assert_array_equal(batch.labels, expected)
    assert batch.labels[:, 0].all()
    assert batch.labels[:, 1:].any(), "one that was recalled, too"
    assert not batch.labels.all()


@pytest.mark.rules("din-R17")
def test_batches_and_trainings_are_functions_of_the_seed():
    first, other = loader(), loader(seed=1)
    candidates = loader().batch(5).candidates
    first.batch(0)
    np.testing.assert_array_equal(first.batch(5).candidates, candidates)
    assert not np.array_equal(other.batch(5).candidates, candidates)
    assert not np.array_equal(first.batch(6).candidates, candidates)
    one, again, other = (flatten(din_trainer(seed=n).train().model().params) for n in (0, 0, 1))
    np.testing.assert_equal(again, one)
    assert not np.array_equal(one["items"], other["items"])


def test_the_loss_falls_in_the_dtype_of_the_settings():
    losses = []
    made = din_trainer(steps=60, learning_rate=0.02, batch=64)
    made.train(Hooks(lambda step, loss: losses.append(loss)))
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < np.mean(losses[:5]) - 0.05
    for dtype in ("float32", "float64"):
        model = din_trainer(steps=1, dtype=dtype).train().model()
        assert model.params.items.dtype == np.dtype(dtype)
