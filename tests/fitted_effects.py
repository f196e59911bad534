"""What settings change that families of pairs, neighbours and least squares alone know.

Each is held against loops over numbers that are given the values of the settings by themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from mindref.conformance.tolerances import VANISHING, same_math
from mindref.data.rng import make_rng
from mindref.models import maxmf, serving
from mindref.recommender.trainer import Trainer
from tests import effects
from tests.effects import Check, Effect, every
from tests.models import baselines_loops as loops

SAME = same_math(np.float64)
SOME = 12  # users whose answers are held against the loops


def rows(made: Trainer) -> list[list[int]]:
    """Return the training sequences as lists."""
    sequences = made.prepared.task.sequences
    return [sequences.row(at).tolist() for at in range(len(sequences))]


def fitted(made: Trainer) -> dict[str, Any]:
    """Fit a model, if that is still to be done, and return its arrays."""
    if not made.state.moments.step:
        made.train()
    arrays: dict[str, Any] = made.state.params
    return arrays


def histories(made: Trainer) -> list[list[int]]:
    """Return what some users are answered by: the last `window` behaviours."""
    known = made.prepared.split.test.histories
    return [known.row(at)[-made.config.window :].tolist() for at in range(SOME)]


def in_answers(plain: Trainer, changed: Trainer) -> None:
    """Vectors or scores of the same users are others."""
    before, after = (answers(made) for made in (plain, changed))
    assert not np.allclose(before, after, rtol=1e-4)


def answers(made: Trainer) -> Any:
    """Return the vectors (SOME, D) of users, or their scores (SOME, N) by a family without."""
    fitted(made)
    if made.config.model == "wals":
        return effects.served(made).vectors[:SOME, 0]
    known = made.prepared.split.test.histories
    return np.concatenate(list(serving.score_histories(made.model(), known)))[:SOME]


def similar(made: Trainer) -> Any:
    """Return the similarities of items that were fitted (N, N)."""
    arrays = fitted(made)
    items = len(arrays["indptr"]) - 1
    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    return sparse.csr_matrix(parts, shape=(items, items)).toarray()


def of_neighbours(plain: Trainer, changed: Trainer) -> None:
    """The similarities and scores are those of the settings, by loops over numbers."""
    for made in (plain, changed):
        config, found = made.config, similar(made)
        numbers = (config.similarity, config.neighbours, config.k1, config.b)
        expected = loops.similarities(rows(made), len(found), *numbers)
        kept = found > 0  # among equals at the border any may be kept
        np.testing.assert_allclose(found[kept], np.asarray(expected)[kept], rtol=SAME)
        most = np.minimum((np.asarray(expected) > 0).sum(axis=1), config.neighbours)
        np.testing.assert_array_equal(kept.sum(axis=1), most)
        expected = [loops.score(found, known, config.history_decay) for known in histories(made)]
        np.testing.assert_allclose(answers(made), expected, rtol=SAME, atol=VANISHING)


def of_least_squares(plain: Trainer, changed: Trainer) -> None:
    """The factors and vectors are those of the settings, by loops over numbers."""
    for made in (plain, changed):
        config, factors = made.config, fitted(made)["items"]
        met, rng = rows(made), make_rng(made.config.seed, "parameters")
        shapes = ((len(met), config.width), factors.shape)
        start = [(0.01 * rng.random(shape, np.float32)).tolist() for shape in shapes]
        numbers = (config.regularization, config.confidence, config.sweeps)
        expected = loops.alternate(met, *start, *numbers)
        np.testing.assert_allclose(factors, expected, rtol=1e-3, atol=1e-5)
        exact = factors.astype(float).tolist()
        vectors = []
        for known in histories(made):
            weights = loops.history_weights(known, config.history_decay)
            trusted = {item: config.confidence * w for item, w in weights.items()}
            vectors.append(loops.fold_in(exact, trusted, config.regularization))
        np.testing.assert_allclose(answers(made), vectors, rtol=1e-4, atol=1e-5)


def mean_of_hinges(plain: Trainer, changed: Trainer) -> None:
    """All usable negatives of a pair count alike, in training; users are served as before."""
    batch, params = effects.fed(changed), changed.state.params
    count, shared = changed.config.interests, batch.shared
    users = params.users.reshape(-1, count, changed.config.width)[batch.rows]
    events = changed.prepared.task.sequences
    own = [set(events.row(int(row)).tolist()) for row in batch.rows]
    means = []
    for vectors, target, had in zip(users, shared.target, own, strict=True):
        others = [i for i in shared.negatives if i != target and i not in had]
        best = {i: float((vectors @ params.items[i]).max()) for i in (target, *others)}
        means.append(np.mean([max(0.0, 1 - best[target] + best[i]) for i in others]))
    found, _ = maxmf.loss(params, batch, changed.prepared.task.catalogue, changed.config)
    np.testing.assert_allclose(found, np.mean(means), rtol=1e-5)
    effects.in_training_alone(plain, changed)


KNN: dict[str, Any] = {"model": "item_knn"}
WALS: dict[str, Any] = {"model": "wals", "sweeps": 2}
NEIGHBOURS: Check = every(of_neighbours, in_answers)
SQUARES: Check = every(of_least_squares, in_answers)

EFFECTS: dict[str, list[Effect]] = {
    "pair_loss": [Effect("auc", mean_of_hinges, {"model": "maxmf"})],
    "similarity": [Effect("tfidf", NEIGHBOURS, KNN), Effect("cosine", NEIGHBOURS, KNN)],
    "neighbours": [Effect(3, NEIGHBOURS, KNN)],
    "k1": [Effect(50.0, NEIGHBOURS, KNN)],
    "b": [Effect(0.0, NEIGHBOURS, KNN)],
    "regularization": [Effect(5.0, SQUARES, WALS)],
    "confidence": [Effect(20.0, SQUARES, WALS)],
    "sweeps": [Effect(1, SQUARES, WALS)],
    "history_decay": [Effect(0.5, NEIGHBOURS, KNN), Effect(0.5, SQUARES, WALS)],
}
