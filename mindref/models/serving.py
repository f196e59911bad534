"""Serving: interests of histories, in blocks of users.

Spec: specs/model.md (serving). In serving there is no target and no label-aware attention. The
score of an item is the maximum over the active interests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import backend_errors
from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.data.log import Ragged
from mindref.data.rng import make_rng
from mindref.errors import BackendError, say
from mindref.models import mind
from mindref.models.family import SparseScores, backend_computes, family_of, operators_of
from mindref.models.logits import draw_logits, history_logits, keyed_table
from mindref.models.parameters import NO_TERMS, Catalogue, ScoreTerms
from mindref.ops import REFERENCE
from mindref.shapes import Array, Bools, Ints

BLOCK = 1024  # users per block: bounds memory, large enough for fast matrix products
SCORES = 1 << 23  # scores per block, 64 MB


class Model(NamedTuple):
    """A trained model, ready to serve."""

    params: Any  # of its family
    catalogue: Catalogue
    config: Any  # settings of the family
    terms: ScoreTerms = NO_TERMS
    item_lengths: Array | None = None  # (N,) of `terms`: factors of the item vectors

    def with_terms(self, terms: ScoreTerms, counts: Ints) -> Model:
        """Return the model with these terms; counts (N,): training interactions of each item."""
        lengths = None
        if terms.popularity:  # mind_plus-R27
            logs = np.log(np.maximum(counts, 1))
            lengths = np.exp(terms.popularity * (logs - logs.mean()))
        return self._replace(terms=terms, item_lengths=lengths)


class Interests(NamedTuple):
    """Interests of users, with coupling weights and the histories they are from."""

    vectors: Array  # (C, K, D) zero where inactive
    active: Bools  # (C, K)
    couplings: Array | None  # (C, L, K) coupling weights of the last iteration, if requested
    history: Ints  # (C, L) the behaviours in the window
    mask: Bools  # (C, L)


def compute_interests(
    model: Model,
    histories: Ragged,
    profile: Ints,
    backend: Any = None,
    rng: np.random.Generator | None = None,
    *,
    couplings: bool = False,
) -> Interests:
    """Map whole histories (C rows) and rows of the profile table (C, G) to interests.

    The last `window` behaviours are used. With keyed logits the result of a user depends only on
    the user's behaviours, the profile and the parameters (model-R16). With logits="per_call" the
    logits are drawn at each call, from `rng`, or without one from the seed. If `couplings`, the
    result has the coupling weights of the last iteration, computed with the backend's operators.
    """
    config = model.config
    history, mask = pad_histories(histories, config.window)
    logits = serving_logits(config, len(model.catalogue.rows), history, rng)
    blocks: list[tuple[Array, Bools, Array | None]] = []
    for start in range(0, max(len(history), 1), BLOCK):
        block = slice(start, start + BLOCK)
        users = mind.Histories(history[block], mask[block], logits[block], profile[block])
        with backend_errors(backend, "interests"):
            composed = couplings or not backend_computes(backend, config, "model")
            make = with_couplings if composed else without_couplings
            blocks.append(make(model, users, backend))
    vectors, active, weights = zip(*blocks, strict=True)
    is_routed = couplings and weights[0] is not None
    return Interests(
        vectors=np.concatenate(vectors),
        active=np.concatenate(active),
        couplings=np.concatenate(weights) if is_routed else None,
        history=history,
        mask=mask,
    )


def score_histories(model: Model, histories: Ragged) -> Iterator[Array | SparseScores]:
    """Yield the scores (C, N) of blocks of histories, for a family without vectors."""
    family, config = family_of(model.config.model), model.config
    size = max(1, SCORES // len(model.catalogue.rows))
    for start in range(0, len(histories), size):
        cases = np.arange(start, min(start + size, len(histories)))
        rows = histories.take(cases)
        if not family.reads_whole_history:
            rows = rows.ends(config.window)
        yield family.scores(model.params, rows, config)


def with_couplings(
    model: Model, histories: mind.Histories, backend: Any
) -> tuple[Array, Bools, Array | None]:
    """Return interests, active and couplings of one block of users, computed with operators.

    The couplings are None for a family without routing.
    """
    family = family_of(model.config.model)
    if not family.by_steps:
        offsets = np.concatenate([[0], np.cumsum(histories.mask.sum(axis=1))])
        rows = Ragged(offsets, histories.items[histories.mask])
        vectors, active = family.interests(model.params, rows, model.config)
        return vectors, active, None
    ops = operators_of(backend, model.config)
    vectors, active, saved = family.interests(
        model.params, histories, model.catalogue, model.config, ops
    )
    couplings = saved.routing.couplings if hasattr(saved, "routing") else None  # backend-R10
    return normalise_vectors(vectors, model.config), active, couplings


def without_couplings(
    model: Model, histories: mind.Histories, backend: Any
) -> tuple[Array, Bools, None]:
    """Return interests and active of one block of users, computed by the backend."""
    answer = backend.interests(model.params, histories, model.catalogue, model.config)
    vectors, active = (np.asarray(backend.to_numpy(x)) for x in answer)
    count = family_of(model.config.model).num_vectors(model.config)
    expected = (*histories.mask.shape[:1], count, model.params.items.shape[1])
    kinds = (vectors.dtype, active.dtype) == (model.params.items.dtype, np.dtype(bool))
    if not kinds or (vectors.shape, active.shape) != (expected, expected[:2]):
        requirement = f"interests {expected} and which are active, bool {expected[:2]}"
        got = f"{vectors.dtype} {vectors.shape} and {active.dtype} {active.shape}"
        raise BackendError(say(f"backend {backend.name}: interests", requirement, got))
    return normalise_vectors(vectors, model.config), active, None


def item_matrix(model: Model) -> Array:
    """Return the vector of every item of the catalogue (N, D).

    With `normalise` it has length one, before it is multiplied by `item_lengths`.
    """
    family = family_of(model.config.model)
    if not family.by_steps:
        vectors: Array = family.items(model.params)
        return vectors
    ids = np.arange(len(model.catalogue.rows), dtype=np.int64)
    vectors, _ = mind.item_vectors(model.params, ids, model.catalogue)
    vectors = normalise_vectors(vectors, model.config)
    if model.item_lengths is not None:
        vectors = vectors * model.item_lengths[:, None].astype(vectors.dtype)
    return np.ascontiguousarray(vectors)


def normalise_vectors(vectors: Array, config: Config) -> Array:
    """Return vectors of length one if `normalise` (zero stays zero), else unchanged."""
    # model-R19
    return REFERENCE.squash.forward(vectors, kind="unit")[0] if config.normalise else vectors


def serving_logits(
    config: Config, items: int, history: Ints, rng: np.random.Generator | None = None
) -> Array:
    """Return the initial logits (C, L, K) of serving (routing-R15, model-R16)."""
    if not family_of(config.model).routes:
        return np.zeros((*history.shape, 0), config.dtype)
    if config.logits == "per_call":
        shape = (*history.shape, config.interests)
        return draw_logits(
            rng or make_rng(config.seed, "serving"), shape, config.sigma, config.dtype
        )
    table = keyed_table(config.seed, items, config.interests, config.sigma, config.dtype)
    return history_logits(table, history)
