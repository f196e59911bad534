"""The best items of histories, however the family of the model comes by them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import Ints, Ragged
from mindref.evaluation import top_n
from mindref.evaluation.top_n import Ranked
from mindref.evaluation.top_n.lists import empty_lists, rows_of
from mindref.models.families import by_scores, family
from mindref.models.serving import Interests, Model, interests, item_matrix, scores
from mindref.recall import Index
from mindref.recall import recommend as search
from mindref.shapes import Array


class Best(NamedTuple):
    """Lists, and the interests they came from; None for a family that has only scores."""

    ranked: Ranked
    found: Interests | None


def best(
    model: Model,
    histories: Ragged,
    profiles: Ints,
    *,
    n: int,
    exclude: Ragged | None = None,
    backend: Any = None,
    rng: np.random.Generator | None = None,
    index: Index | None = None,
    items: Array | None = None,
) -> Best:
    """Return the n best items of each history (C rows), with profiles (C, G).

    exclude: per case the items that must not appear; rng: of logits that are drawn per call; index:
    who searches, else all `items` are ranked, the model's own if not given.
    """
    if by_scores(family(model.config.model)):
        return Best(of_scores(model, histories, n, exclude), None)
    found = interests(model, histories, profiles, backend, rng)
    asked: Any = {"n": n, "exclude": exclude, "score": model.config.score}
    if index is not None:
        return Best(search(index, found.vectors, found.active, **asked), found)
    vectors = item_matrix(model) if items is None else items
    return Best(top_n.top_n(found.vectors, found.active, vectors, **asked), found)


def of_scores(model: Model, histories: Ragged, n: int, exclude: Ragged | None) -> Ranked:
    """Return the n best items of each history by the scores of the model."""
    ranked, at = empty_lists(len(histories), n, np.float64), 0
    for block in scores(model, histories):
        hidden = None if exclude is None else rows_of(exclude, at, at + len(block))
        some = top_n.by_scores(block, n=n, exclude=hidden)
        for target, source in zip(ranked, some, strict=True):
            target[at : at + len(block)] = source
        at += len(block)
    return ranked
