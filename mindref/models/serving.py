"""From histories to interests, many users at a time, as they are served.

Spec: specs/model.md (serving). No target is known here, so there is no label-aware attention: the
score of an item is the maximum over the active interests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import mindref.ops as reference
from mindref.backend import answering
from mindref.config import Config
from mindref.data.batches import lay_out_histories
from mindref.data.log import Ragged
from mindref.data.streams import stream
from mindref.errors import BackendError, say
from mindref.models import mind
from mindref.models.families import family, is_fitted, numbers, operators, routed
from mindref.models.logits import drawn, keyed_table, of_history
from mindref.models.parameters import Catalogue
from mindref.shapes import Array, Bools, Ints

BLOCK = 1024  # users at a time: bounds memory, large enough for the matrix products
SCORES = 1 << 23  # scores held at once, 64 MB


class Model(NamedTuple):
    """A trained model, ready to serve."""

    params: Any  # of its family
    catalogue: Catalogue
    config: Config


class Interests(NamedTuple):
    """Interests of users and how they came about."""

    vectors: Array  # (C, K, D) zero where inactive
    active: Bools  # (C, K)
    couplings: Array | None  # (C, L, K) weights of the last round, if they were asked for
    history: Ints  # (C, L) the behaviours given to routing
    mask: Bools  # (C, L)


def interests(
    model: Model,
    histories: Ragged,
    profile: Ints,
    backend: Any = None,
    rng: np.random.Generator | None = None,
    *,
    couplings: bool = False,
) -> Interests:
    """Map whole histories (C rows) and rows of the profile table (C, G) to interests.

    The last `window` behaviours count. With keyed logits the result of a user depends on nothing
    but the user's behaviours, profile and the parameters (model-R16). With
    logits="per_call" they are drawn from `rng`, and without one from the seed, anew at each call.
    The weights of the last round come with them if `couplings`; only operators say them.
    """
    config = model.config
    history, mask = lay_out_histories(histories, config.window)
    logits = serving_logits(config, len(model.catalogue.rows), history, rng)
    blocks = []
    for at in range(0, max(len(history), 1), BLOCK):
        some = slice(at, at + BLOCK)
        users = mind.Histories(history[some], mask[some], logits[some], profile[some])
        with answering(backend, "interests"):
            composed = couplings or not serves(backend, config)
            make = with_couplings if composed else without_couplings
            blocks.append(make(model, users, backend))
    vectors, active, *more = zip(*blocks, strict=True)
    weights = np.concatenate(more[0]) if couplings and more[0][0] is not None else None
    return Interests(np.concatenate(vectors), np.concatenate(active), weights, history, mask)


def scores(model: Model, histories: Ragged) -> Iterator[Array]:
    """Yield the scores (C, N) of blocks of histories, by a family that has no vectors."""
    made, config = family(model.config.model), model.config
    size = max(1, SCORES // len(model.catalogue.rows))
    for at in range(0, len(histories), size):
        some = range(at, min(at + size, len(histories)))
        rows = Ragged.of([histories.row(r)[-config.window :] for r in some])
        yield made.scores(model.params, rows, config, **numbers(config, "answer"))


def unpadded(history: Ints, mask: Bools) -> Ragged:
    """Return histories (C, L) as rows."""
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    return Ragged(offsets, history[mask])


def serves(backend: Any, config: Config) -> bool:
    """Return whether a backend makes the interests itself (level 2)."""
    is_mind = backend is not None and config.model == "mind"
    return is_mind and "model" in backend.capabilities().levels


def with_couplings(model: Model, histories: mind.Histories, backend: Any) -> tuple[Any, ...]:
    """Return interests, active and couplings of one block of users, composed of operators.

    The couplings are None for a family that does not route.
    """
    made = family(model.config.model)
    if is_fitted(model.config.model):
        rows, more = unpadded(histories.items, histories.mask), numbers(model.config, "answer")
        return *made.interests(model.params, rows, model.config, **more), None
    ops = operators(backend, model.config)
    given = (model.params, histories, model.catalogue, model.config, ops)
    vectors, active, saved = made.interests(*given)
    couplings = saved.routing.couplings if hasattr(saved, "routing") else None  # backend-R10
    return scaled(vectors, model.config), active, couplings


def without_couplings(model: Model, histories: mind.Histories, backend: Any) -> tuple[Any, ...]:
    """Return interests and active of one block of users, as the backend makes them."""
    given = (model.params, histories, model.catalogue, model.config)
    vectors, active = (np.asarray(backend.to_numpy(x)) for x in backend.interests(*given))
    expected = (*histories.mask.shape[:1], model.config.interests, model.params.items.shape[1])
    kinds = (vectors.dtype, active.dtype) == (model.params.items.dtype, np.dtype(bool))
    if not kinds or (vectors.shape, active.shape) != (expected, expected[:2]):
        wanted = f"interests {expected} and which are active, bool {expected[:2]}"
        got = f"{vectors.dtype} {vectors.shape} and {active.dtype} {active.shape}"
        raise BackendError(say(f"backend {backend.name}: interests", wanted, got))
    return scaled(vectors, model.config), active


def item_matrix(model: Model) -> Array:
    """Return the vector of every item of the catalogue (N, D), of length one if `normalise`."""
    if is_fitted(model.config.model):
        found: Array = family(model.config.model).items(model.params)
        return found
    ids = np.arange(len(model.catalogue.rows), dtype=np.int64)
    vectors, _ = mind.item_vectors(model.params, ids, model.catalogue)
    return np.ascontiguousarray(scaled(vectors, model.config))


def scaled(vectors: Array, config: Config) -> Array:
    """Return vectors of length one if `normalise`, zero staying zero, else as they are."""
    return (
        reference.squash.forward(vectors, kind="unit")[0] if config.normalise else vectors
    )  # model-R19


def serving_logits(
    config: Config, items: int, history: Ints, rng: np.random.Generator | None = None
) -> Array:
    """Return the initial logits (C, L, K) of serving (routing-R15, model-R16)."""
    if not routed(config):
        return np.zeros((*history.shape, 0), config.dtype)
    if config.logits == "per_call":
        shape = (*history.shape, config.interests)
        return drawn(rng or stream(config.seed, "serving"), shape, config.sigma, config.dtype)
    table = keyed_table(config.seed, items, config.interests, config.sigma, config.dtype)
    return of_history(table, history)
