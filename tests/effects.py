"""What settings change in models and batches: checks of two trainers, without and with a value.

tests/models/test_families.py compares the models with loops over numbers under each of their
options. The checks of these options are therefore that training, serving or both change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mindref.data.examples import TrainingExamples
from mindref.data.log import Ragged
from mindref.data.negatives import draw_probabilities
from mindref.data.rng import make_rng
from mindref.models import item_knn, maxmf, mind, mind_plus, serving, wals
from mindref.models.family import family_of
from mindref.models.logits import keyed_table
from mindref.models.parameters import flatten, flatten_gradients
from mindref.recommender import evaluate_run
from mindref.recommender.training.trainer import Trainer
from mindref.run.training_data import sample_cases
from mindref.training.batch_loader import BatchLoader

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

    def check(plain: Trainer, changed: Trainer) -> None:
        for some in checks:
            some(plain, changed)

    return check


in_training = another(loss)
in_serving = another(lambda made: served(made).vectors)
in_both = every(in_training, in_serving)
by_probability = another(lambda made: batch(made).negative_log_expected)


def unigram_powers(plain: Trainer, changed: Trainer) -> None:
    """A negative's expected count follows from its number of interactions, to the power alpha."""
    for made in (plain, changed):
        drawn = batch(made)
        chance = draw_probabilities("unigram", made.prepared.counts, made.config.alpha)
        counts = np.exp(drawn.negative_log_expected)
        np.testing.assert_allclose(counts, 16 * chance[drawn.negatives], rtol=1e-5)
    by_probability(plain, changed)


def validation(plain: Trainer, changed: Trainer) -> None:
    """The validation metric is the reported metric of the sampled validation cases."""
    for made in (plain, changed):
        config, split = made.config, made.prepared.split
        cases = sample_cases(split.validation, config.validation_users, config.seed)
        lists = {"list_lengths": [int(config.metric.partition("@")[2])]}
        reports, _ = evaluate_run.evaluate_lists(made.model(), made.evaluation_set(cases), **lists)
        expected = reports["model"].metrics[config.metric]["value"]
        np.testing.assert_allclose(made.validate(made.best), expected, rtol=0, atol=1e-12)
    another(lambda made: made.validate(made.best))(plain, changed)


def tested(plain: Trainer, changed: Trainer) -> None:
    """The test cases are all cases, or a sample of the number of the setting."""
    cases = len(plain.prepared.split.test.users)
    assert cases > changed.config.test_users > 0
    assert plain.evaluate()["cases"] == cases
    assert changed.evaluate()["cases"] == changed.config.test_users


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


def gradient(made: Trainer, name: str = "bilinear") -> Any:
    seen = batch(made, made.state.moments.step)
    _, saved = mind.loss(made.state.params, seen, made.prepared.task.catalogue, made.config)
    return flatten_gradients(mind.backward(saved))[name]


def another_gradient(plain: Trainer, changed: Trainer) -> None:
    assert loss(plain) == loss(changed)
    another(gradient)(plain, changed)


def in_training_alone(plain: Trainer, changed: Trainer) -> None:
    in_training(plain, changed)
    np.testing.assert_array_equal(served(plain).vectors, served(changed).vectors)


def the_whole_catalogue(plain: Trainer, changed: Trainer) -> None:
    items = np.arange(changed.prepared.task.sizes.items)
    np.testing.assert_array_equal(batch(changed).negatives, items)
    assert len(batch(plain).negatives) == 16


def scores(made: Trainer) -> Any:
    cases = made.evaluation_set(made.prepared.split.test)
    return evaluate_run.recommend_cases(made.model(), cases, 5)[0].scores


PLUS: dict[str, Any] = {"model": "mind_plus"}


def half_the_size(plain: Trainer, changed: Trainer) -> None:
    """Tables and S start at half of what they were, layers as before."""
    before, after = (flatten(made.state.params) for made in (plain, changed))
    for name, x in before.items():
        share = 1 if name.startswith("layers") else 0.5
        np.testing.assert_allclose(after[name], share * x, rtol=1e-6, err_msg=name)


def half_is_dropped(plain: Trainer, changed: Trainer) -> None:
    keep = fed(changed).keep
    assert set(np.unique(keep)) == {0, 2}
    assert 0.45 < np.mean(keep == 0) < 0.55
    assert fed(plain).keep is None
    in_training_alone(plain, changed)


def columns(made: Trainer) -> int:
    return made.state.params.positions.shape[1]


def matrix(made: Trainer) -> int:
    return made.state.params.bilinear.size


def inputs(made: Trainer) -> int:
    return len(made.state.params.layers[0].weight)


def params(made: Trainer) -> tuple[Any, ...]:
    """Return the type of the parameters, and the names of a family that has only names."""
    if not family_of(made.config.model).by_steps:
        made.train()
    found = made.state.params
    return (dict, *sorted(found)) if isinstance(found, dict) else (type(found),)


def answers(made: Trainer) -> Any:
    """Return the vectors of some users, or their scores by a family without vectors."""
    if made.config.model == "wals":
        return served(made).vectors[:SOME, 0]
    known = made.prepared.split.test.histories
    return np.concatenate(list(serving.score_histories(made.model(), known)))[:SOME]


def fits_and_answers(plain: Trainer, changed: Trainer) -> None:
    """Arrays and answers are those of the family's functions with the settings as arguments.

    tests/models compares these functions with loops over numbers.
    """
    for made in (plain, changed):
        made.train()
        task, config, known = made.prepared.task, made.config, made.prepared.split.test.histories
        expected: Any
        if config.model == "wals":
            numbers = {"regularization": config.regularization, "alpha": config.confidence}
            numbers |= {"factors": config.width, "iterations": config.sweeps}
            expected = wals.fit_wals(task.sequences, task.sizes, config, **numbers)
        else:
            names = ("similarity", "neighbours", "k1", "b")
            numbers = {name: getattr(config, name) for name in names}
            expected = item_knn.fit_item_knn(task.sequences, task.sizes, config, **numbers)
        np.testing.assert_equal(made.state.params, expected)
        histories = Ragged.of([known.row(at)[-config.window :] for at in range(SOME)])
        serve = wals.user_factors if config.model == "wals" else item_knn.score_neighbours
        served: Any = serve(expected, histories, config, decay=config.history_decay)
        vectors = served[0][:, 0] if config.model == "wals" else served
        np.testing.assert_allclose(answers(made), vectors, rtol=1e-6)
    assert not np.allclose(answers(plain), answers(changed), rtol=1e-4)


def mean_of_hinges(plain: Trainer, changed: Trainer) -> None:
    seen, task = fed(changed), changed.prepared.task
    given = changed.state.params, seen, task.catalogue
    assert loss(changed) == maxmf.loss(*given, plain.config, pair_loss="auc")[0]
    expected = [np.isin(seen.shared.negatives, task.sequences.row(int(row))) for row in seen.rows]
    np.testing.assert_array_equal(seen.is_known, expected)
    in_training_alone(plain, changed)


SOME = 12  # users whose answers are compared
KNN: dict[str, Any] = {"model": "item_knn"}
WALS: dict[str, Any] = {"model": "wals", "sweeps": 2}
KINDS: dict[str, tuple[Any, ...]] = {
    "maxmf": (maxmf.Params,),
    "wals": (dict, "alpha", "items", "regularization"),
    "item_knn": (dict, "data", "indices", "indptr"),
    "popularity": (dict, "counts"),
    "random": (dict, "count"),
}

POOLED = Effect("pooled", in_training_alone, PLUS)

FAMILY_EFFECTS: dict[str, list[Effect]] = {
    "init_scale": [Effect(0.5, half_the_size)],
    "model": [
        Effect("mind_plus", is_now(mind_plus.Params, lambda made: type(made.state.params))),
        Effect("youtube_dnn", is_now(1, lambda made: served(made).vectors.shape[1])),
        *[Effect(name, is_now(kind, params)) for name, kind in KINDS.items()],
    ],
    "sharpness": [
        Effect(float("inf"), in_training_alone, {**PLUS, "attention": "pooled"}),
        Effect(0.0, in_training_alone, {**PLUS, "attention": "pooled"}),
    ],
    "recency": [
        Effect("shared", every(in_both, is_now(1, columns)), PLUS),
        Effect("interests", every(in_both, is_now(4, columns)), PLUS),
    ],
    "votes": [Effect("items", every(in_both, is_now(0, matrix)), PLUS)],
    "head": [
        Effect("residual", in_both, PLUS),
        Effect("none", every(in_both, is_now((), lambda m: m.state.params.layers)), PLUS),
    ],
    "contexts": [Effect(2, every(in_both, is_now(2, columns), is_now(24, inputs)), PLUS)],
    "dropout": [Effect(0.5, half_is_dropped, PLUS)],
    "pair_loss": [Effect("auc", mean_of_hinges, {"model": "maxmf"})],
    "similarity": [Effect(name, fits_and_answers, KNN) for name in ("tfidf", "cosine")],
    "neighbours": [Effect(3, fits_and_answers, KNN)],
    "k1": [Effect(50.0, fits_and_answers, KNN)],
    "b": [Effect(0.0, fits_and_answers, KNN)],
    "regularization": [Effect(5.0, fits_and_answers, WALS)],
    "confidence": [Effect(20.0, fits_and_answers, WALS)],
    "sweeps": [Effect(1, fits_and_answers, WALS)],
    "history_decay": [Effect(0.5, fits_and_answers, base) for base in (KNN, WALS)],
}
