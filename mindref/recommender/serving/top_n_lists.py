"""Top-n lists of many histories: servable items only, by vectors, by an index or by scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.data.log import Ints, Ragged
from mindref.models.family import family_of
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Interests, Model, compute_interests, item_matrix, score_histories
from mindref.recall import ExactIndex, Index
from mindref.recall.by_score import top_n_by_score
from mindref.recall.item_filter import ItemFilter, retrieve_filtered
from mindref.recall.top_n import TopN, empty_top_n, row_range, write_cases
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
    item_filter: ItemFilter | None = None,
    per_interest: int | None = None,
) -> tuple[TopN, Interests | None]:
    """Return the top-n items of each history (C rows), with profiles (C, G), and the interests.

    A family that has only scores has no interests: None. exclude: items that must not appear, per
    case; rng: generator of logits drawn per call. With `index` the index searches; else search is
    exact over `items` (M, D), by default the model's. Histories and lists leave out items that are
    not servable; the index and `items` have only the servable items. item_filter: allowed items;
    per_interest: the largest number of items of one interest, for a family with interests.
    """
    servable = ServableItems.of(model.catalogue)
    histories = servable.select(histories)
    exclude = None if exclude is None else servable.to_rows(exclude)
    limits = filter_of_rows(item_filter or ItemFilter(), servable)
    if not family_of(model.config.model).has_vectors:
        return recommend_by_scores(model, histories, n, exclude, servable, limits), None
    user_interests = compute_interests(model, histories, profiles, backend, rng)
    interests, active, score = user_interests.vectors, user_interests.active, model.config.score
    if index is None:
        index = ExactIndex(servable_matrix(model, servable) if items is None else items)
    arguments = index, interests, active
    ranked = retrieve_filtered(
        *arguments, n=n, exclude=exclude, item_filter=limits, per_interest=per_interest, score=score
    )
    return ranked._replace(items=servable.to_ids(ranked.items)), user_interests


def join_rows(first: Ragged | None, second: Ragged | None) -> Ragged | None:
    """Return the rows of both, one after the other in each row. None has no values."""
    if first is None or second is None:
        return second if first is None else first
    offsets = first.offsets + second.offsets
    values = np.empty(offsets[-1], np.int64)
    starts = np.repeat(second.offsets[:-1], first.lengths)
    values[np.arange(len(first.values)) + starts] = first.values
    starts = np.repeat(first.offsets[1:], second.lengths)
    values[np.arange(len(second.values)) + starts] = second.values
    return Ragged(offsets, values)


def clear_uninformed_lists(ranked: TopN, histories: Ragged) -> TopN:
    """Return the lists, empty for a case without behaviours whose items all have the score 0.

    Such a model has no information about the user: the order would be that of the ids.
    """
    has_scores = ((ranked.items >= 0) & (ranked.scores != 0)).any(axis=1)
    cleared = np.flatnonzero((histories.lengths == 0) & ~has_scores)  # recall-R51
    if len(cleared) == 0:
        return ranked
    lists = TopN(ranked.items.copy(), ranked.scores.copy(), ranked.interests.copy())
    write_cases(lists, cleared, empty_top_n(len(cleared), ranked.items.shape[1], float))
    return lists


def filter_of_rows(item_filter: ItemFilter, servable: ServableItems) -> ItemFilter:
    """Return a filter of dense ids as a filter of rows of the servable items."""
    is_allowed, only, _ = item_filter
    if servable.is_all:
        return item_filter
    return item_filter._replace(
        is_allowed=None if is_allowed is None else is_allowed[servable.ids],
        only=None if only is None else servable.to_rows(only),
    )


def servable_matrix(model: Model, servable: ServableItems) -> Array:
    """Return the vectors of the servable items (M, D)."""
    vectors = item_matrix(model)
    return vectors if servable.is_all else vectors[servable.ids]


def recommend_by_scores(
    model: Model,
    histories: Ragged,
    n: int,
    exclude: Ragged | None,
    servable: ServableItems,
    item_filter: ItemFilter,
) -> TopN:
    """Return the top-n servable items of each history by the scores of the model.

    exclude, item_filter: in rows of the servable items.
    """
    ranked, start = empty_top_n(len(histories), n, np.float64), 0
    for block in score_histories(model, histories):
        hidden = None if exclude is None else row_range(exclude, start, start + len(block))
        scores = block if servable.is_all else block[:, servable.ids]
        allowed_scores = item_filter.mask_scores(scores, start)
        block_lists = top_n_by_score(allowed_scores, n=n, exclude=hidden)
        for target, source in zip(ranked, block_lists, strict=True):
            target[start : start + len(block)] = source
        start += len(block)
    return ranked._replace(items=servable.to_ids(ranked.items))
