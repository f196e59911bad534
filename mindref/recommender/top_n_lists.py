"""Top-n lists of many histories: servable items only, by vectors, by an index or by scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.data.log import Ints, Ragged
from mindref.evaluation import top_n
from mindref.evaluation.top_n import TopN
from mindref.evaluation.top_n.result import empty_top_n, row_range
from mindref.models.family import family_of
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Interests, Model, compute_interests, item_matrix, score_histories
from mindref.recall import Index
from mindref.recall import retrieve_top_n as search
from mindref.shapes import Array


def recommend_batch(
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
) -> tuple[TopN, Interests | None]:
    """Return the top-n items of each history (C rows), with profiles (C, G), and the interests.

    A family that has only scores has no interests: None. exclude: items that must not appear, per
    case; rng: generator of logits drawn per call. With `index` the index searches; else search is
    exact over `items` (M, D), by default the model's. Histories and lists leave out items that are
    not servable; the index and `items` have only the servable items.
    """
    servable = ServableItems.of(model.catalogue)
    histories = servable.select(histories)
    exclude = None if exclude is None else servable.to_rows(exclude)
    if not family_of(model.config.model).has_vectors:
        return recommend_by_scores(model, histories, n, exclude, servable), None
    user_interests = compute_interests(model, histories, profiles, backend, rng)
    interests, active, score = user_interests.vectors, user_interests.active, model.config.score
    if index is not None:
        ranked = search(index, interests, active, n=n, exclude=exclude, score=score)
    else:
        vectors = servable_matrix(model, servable) if items is None else items
        ranked = top_n.search_top_n(interests, active, vectors, n=n, exclude=exclude, score=score)
    return ranked._replace(items=servable.to_ids(ranked.items)), user_interests


def servable_matrix(model: Model, servable: ServableItems) -> Array:
    """Return the vectors of the servable items (M, D)."""
    vectors = item_matrix(model)
    return vectors if servable.is_all else vectors[servable.ids]


def recommend_by_scores(
    model: Model, histories: Ragged, n: int, exclude: Ragged | None, servable: ServableItems
) -> TopN:
    """Return the top-n servable items of each history by the scores of the model."""
    ranked, start = empty_top_n(len(histories), n, np.float64), 0
    for block in score_histories(model, histories):
        hidden = None if exclude is None else row_range(exclude, start, start + len(block))
        scores = block if servable.is_all else block[:, servable.ids]
        block_lists = top_n.top_n_by_score(scores, n=n, exclude=hidden)
        for target, source in zip(ranked, block_lists, strict=True):
            target[start : start + len(block)] = source
        start += len(block)
    return ranked._replace(items=servable.to_ids(ranked.items))
