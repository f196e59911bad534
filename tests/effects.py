"""What settings change in model and batches: checks of two trainers, without and with a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from mindref.data.examples import TrainingExamples
from mindref.data.rng import make_rng
from mindref.models import mind, serving
from mindref.models.family import family_of
from mindref.models.logits import keyed_table
from mindref.models.parameters import flatten_gradients
from mindref.recommender import evaluate_run
from mindref.recommender.trainer import Trainer
from mindref.training.batch_loader import BatchLoader
from tests.runs import trainer

Check = Callable[[Trainer, Trainer], None]


class Effect(NamedTuple):
    """A changed value, what must come of it, and the settings under which it is tried."""

    value: Any
    check: Check
    base: dict[str, Any] = {}  # noqa: RUF012  # nobody writes to it


def fed(made: Trainer, step: int = 0) -> Any:
    """Return what a step of the training sees, as its family wants it."""
    return BatchLoader(made.prepared.task, made.config).batch(step)


def batch(made: Trainer, step: int = 0) -> mind.Batch:
    """Return that part of what a step sees that all families share."""
    found = fed(made, step)
    return found if isinstance(found, mind.Batch) else found[0]


def loss(made: Trainer) -> float:
    """Return the loss of the first step; nothing is changed."""
    given = (made.state.params, fed(made), made.prepared.task.catalogue, made.config)
    return float(family_of(made.config.model).loss(*given)[0])


def served(made: Trainer) -> serving.Interests:
    """Return the interests of the test cases."""
    bench = made.evaluation_set(made.prepared.split.test)
    given = (made.model(), bench.cases.histories, bench.profiles)
    return serving.compute_interests(*given, couplings=True)


def another(path: Callable[[Trainer], Any]) -> Check:
    """Return the check that something is not what it was."""

    def check(plain: Trainer, changed: Trainer) -> None:
        before, after = np.asarray(path(plain)), np.asarray(path(changed))
        assert before.shape != after.shape or not np.allclose(before, after, rtol=1e-4)

    return check


def is_now(value: Any, *paths: Callable[[Trainer], Any]) -> Check:
    """Return the check that things have this value now, and had another one."""

    def check(plain: Trainer, changed: Trainer) -> None:
        for path in paths:
            assert path(changed) == value
            assert path(plain) != value

    return check


def every(*checks: Check) -> Check:
    """Return all checks as one."""

    def check(plain: Trainer, changed: Trainer) -> None:
        for some in checks:
            some(plain, changed)

    return check


in_training = another(loss)
in_serving = another(lambda made: served(made).vectors)
in_both = every(in_training, in_serving)


def window_of_three(plain: Trainer, changed: Trainer) -> None:
    long, short = (batch(made).histories for made in (plain, changed))
    lengths = long.mask.sum(axis=1)
    assert short.items.shape[1] == 3
    assert lengths.max() > 3
    for row, (known, length) in enumerate(zip(long.items, lengths, strict=True)):
        kept = short.items[row][short.mask[row]]
        np.testing.assert_array_equal(kept, known[max(length - 3, 0) : length])
    np.testing.assert_array_equal(served(changed).mask.sum(axis=1).max(), 3)


def one_round(plain: Trainer, changed: Trainer) -> None:
    """After one round the coupling weights are the softmax of the initial logits."""
    in_training(plain, changed)
    found = served(changed)
    logits = serving.serving_logits(
        changed.config, changed.prepared.task.sizes.items, found.history
    )
    powers = np.exp(logits.astype(float)) * found.active[:, None]
    expected = powers / powers.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(found.couplings[found.mask], expected[found.mask], rtol=1e-5)


def twice_the_noise(plain: Trainer, changed: Trainer) -> None:
    before, after = (batch(made).histories.init_logits for made in (plain, changed))
    np.testing.assert_array_equal(after, 2 * before)
    assert 0.05 < before.std() < 0.2, "sigma is 0.1"
    history, items = served(plain).history, plain.prepared.task.sizes.items
    np.testing.assert_array_equal(
        serving.serving_logits(changed.config, items, history),
        2 * serving.serving_logits(plain.config, items, history),
    )
    in_serving(plain, changed)


def keyed_in_training(plain: Trainer, changed: Trainer) -> None:
    config, items = changed.config, changed.prepared.task.sizes.items
    table = keyed_table(config.seed, items, config.interests, config.sigma, config.dtype)
    seen = batch(changed).histories
    np.testing.assert_array_equal(seen.init_logits, table[seen.items])
    assert not np.array_equal(seen.init_logits, batch(plain).histories.init_logits)
    np.testing.assert_array_equal(served(plain).vectors, served(changed).vectors)


def all_interests(plain: Trainer, changed: Trainer) -> None:
    assert served(changed).active.all()
    assert not served(plain).active.all()
    in_training(plain, changed)


def equal_weights(plain: Trainer, changed: Trainer) -> None:
    found = served(changed)
    equal = found.active[:, None] / found.active.sum(axis=1)[:, None, None]
    expected = np.broadcast_to(equal, found.couplings.shape)
    np.testing.assert_allclose(found.couplings[found.mask], expected[found.mask], rtol=1e-6)
    in_both(plain, changed)


def shared_among_behaviours(plain: Trainer, changed: Trainer) -> None:
    found = served(changed)
    np.testing.assert_allclose(found.couplings.sum(axis=1)[found.active], 1, rtol=1e-5)
    in_both(plain, changed)


def gradient(made: Trainer, name: str = "bilinear") -> Any:
    """Return a gradient of the next step."""
    seen = batch(made, made.state.moments.step)
    _, saved = mind.loss(made.state.params, seen, made.prepared.task.catalogue, made.config)
    return flatten_gradients(mind.backward(saved))[name]


def another_gradient(plain: Trainer, changed: Trainer) -> None:
    assert loss(plain) == loss(changed)
    another(gradient)(plain, changed)


def no_number_below_zero(plain: Trainer, changed: Trainer) -> None:
    assert (served(changed).vectors >= 0).all()
    assert (served(plain).vectors < 0).any()
    in_training(plain, changed)


def attention_alone(plain: Trainer, changed: Trainer) -> None:
    """Both `attention = "mean"` and p = 0 are the mean of the interests, in training alone."""
    in_training(plain, changed)
    assert loss(changed) == pytest.approx(loss(trainer(attention="mean")), rel=1e-6)
    np.testing.assert_array_equal(served(plain).vectors, served(changed).vectors)


def in_training_alone(plain: Trainer, changed: Trainer) -> None:
    in_training(plain, changed)
    np.testing.assert_array_equal(served(plain).vectors, served(changed).vectors)


def sums_of_products(plain: Trainer, changed: Trainer) -> None:
    test_cases = changed.evaluation_set(changed.prepared.split.test)
    ranked, found = evaluate_run.recommend_cases(changed.model(), test_cases, 5)
    vectors = serving.item_matrix(changed.model())
    for case, items in enumerate(ranked.items):
        products = vectors[items] @ found.vectors[case][found.active[case]].T
        np.testing.assert_allclose(ranked.scores[case], products.sum(axis=1), rtol=1e-4)
    test_cases = plain.evaluation_set(plain.prepared.split.test)
    highest, _ = evaluate_run.recommend_cases(plain.model(), test_cases, 5)
    assert not np.allclose(highest.scores, ranked.scores)


def the_whole_catalogue(plain: Trainer, changed: Trainer) -> None:
    items = np.arange(changed.prepared.task.sizes.items)
    np.testing.assert_array_equal(batch(changed).negatives, items)
    assert len(batch(plain).negatives) == 16


def all_items_alike(plain: Trainer, changed: Trainer) -> None:
    """Products that are divided by a million do not tell items apart."""
    assert loss(changed) == pytest.approx(np.log(changed.prepared.task.sizes.items), rel=1e-5)
    in_training(plain, changed)


def of_length_one(plain: Trainer, changed: Trainer) -> None:
    for before, after in (
        (served(plain).vectors, served(changed).vectors),
        (serving.item_matrix(plain.model()), serving.item_matrix(changed.model())),
    ):
        lengths = np.linalg.norm(before, axis=-1, keepdims=True)
        units = np.divide(before, lengths, where=lengths > 0, out=np.zeros_like(before))
        np.testing.assert_allclose(after, units, rtol=1e-5)
    in_both(plain, changed)


def more_negatives(plain: Trainer, changed: Trainer) -> None:
    few, many = batch(plain), batch(changed)
    assert (len(few.negatives), len(many.negatives)) == (16, 24)
    more = many.target_log_expected - few.target_log_expected
    np.testing.assert_allclose(more, np.log(24 / 16), rtol=1e-5)


def expected_counts(made: Trainer) -> Any:
    """Return exp(log_expected) of the negatives, and the counts of their items in training."""
    seen = batch(made)
    return np.exp(seen.negative_log_expected), made.prepared.counts[seen.negatives]


def all_alike(plain: Trainer, changed: Trainer) -> None:
    for some in (batch(changed).negative_log_expected, batch(changed).target_log_expected):
        np.testing.assert_allclose(np.exp(some), 16 / changed.prepared.task.sizes.items, rtol=1e-5)
    assert np.ptp(expected_counts(plain)[0]) > 0.01, "by popularity"


def by_popularity_squared(plain: Trainer, changed: Trainer) -> None:
    for made, alpha in ((plain, 0.75), (changed, 2.0)):
        weights = np.maximum(made.prepared.counts, 1) ** alpha
        found, counts = expected_counts(made)
        expected = 16 * np.maximum(counts, 1) ** alpha / weights.sum()
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def by_user(plain: Trainer, changed: Trainer) -> None:
    """The targets are those of the other cuts, and so is what in_batch corrects by."""
    task, seen = changed.prepared.task, batch(changed)
    cuts = TrainingExamples(task.sequences, by="user")
    rows, positions = cuts.draw(make_rng(changed.config.seed, "batch", 0), changed.config.batch)
    targets = [task.sequences.row(r)[p] for r, p in zip(rows, positions, strict=True)]
    np.testing.assert_array_equal(seen.target, targets)
    chance = cuts.target_probability(task.sizes.items)[seen.target]
    np.testing.assert_allclose(np.exp(seen.target_log_expected), 16 * chance, rtol=1e-5)
    another(lambda made: batch(made).target)(plain, changed)


def more_samples(plain: Trainer, changed: Trainer) -> None:
    assert (len(batch(plain).target), len(batch(changed).target)) == (16, 24)
    assert len(batch(changed).histories.items) == 24
