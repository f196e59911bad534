"""Top-n lists of many histories: servable items only, by vectors, by an index or by scores."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import Backend
from mindref.data.log import Ints, Ragged
from mindref.models.family import SparseScores, family_of
from mindref.models.parameters import ScoreTerms
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Interests, Model, compute_interests, item_matrix, score_histories
from mindref.recall import ExactIndex, Index
from mindref.recall.retrieval import EVERY_ITEM, ItemFilter, ListSearch
from mindref.recall.top_n import (
    TopN,
    empty_top_n,
    top_n_by_score,
    top_n_by_sparse_score,
    write_cases,
)
from mindref.shapes import Array


def recommend_batch(
    model: Model,
    histories: Ragged,
    profiles: Ints,
    *,
    n: int,
    item_filter: ItemFilter = EVERY_ITEM,
    index: Index | None = None,
    backend: Backend | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[TopN, Interests | None]:
    """Return the top-n items of each history (C rows), with profiles (C, G), and the interests.

    A family that has only scores has no interests: None. item_filter: in dense ids; its limit per
    interest requires a family with interests. With `index` the index searches the servable items;
    else search is exact. rng: generator of logits drawn per call. Histories and lists leave out
    items that are not servable.
    """
    if not family_of(model.config.model).has_vectors:
        return recommend_by_scores(model, histories, n, item_filter), None
    vector_search = search_vectors(
        model,
        histories,
        profiles,
        n=n,
        item_filter=item_filter,
        index=index,
        backend=backend,
        rng=rng,
    )
    ranked = vector_search.with_own_counts(model.terms).top_n()
    ids = vector_search.servable.to_ids(ranked.items)
    return ranked._replace(items=ids), vector_search.interests


class VectorSearch(NamedTuple):
    """The search for the items of C histories by vectors, in rows of the servable items."""

    search: ListSearch  # without the term of own counts
    interests: Interests
    histories: Ragged  # C rows, whole
    servable: ServableItems

    def own_counts(self, decay: float) -> Any:
        """Return the decayed counts of the items of each history, a sparse matrix by rows."""
        from mindref.models.item_knn import interaction_weights  # SciPy is slow to import

        items = len(self.servable.ids)
        return interaction_weights(self.histories, items, decay=decay, sum_repeats=True)

    def with_own_counts(self, terms: ScoreTerms) -> ListSearch:
        """Return the search by scores with the term of own counts, if its weight is not zero."""
        if not terms.own_counts:
            return self.search
        return self.search.with_added_scores(
            self.own_counts(terms.decay) * terms.own_counts  # mind_plus-R25
        )


def search_vectors(
    model: Model,
    histories: Ragged,
    profiles: Ints,
    *,
    n: int,
    item_filter: ItemFilter = EVERY_ITEM,
    index: Index | None = None,
    backend: Backend | None = None,
    rng: np.random.Generator | None = None,
) -> VectorSearch:
    """Compute the interests of histories, and return the search of `recommend_batch`."""
    servable = ServableItems.of(model.catalogue)
    histories = servable.select(histories)
    interests = compute_interests(model, histories, profiles, backend, rng)
    search = ListSearch(
        index=ExactIndex(servable_matrix(model, servable)) if index is None else index,
        interests=interests.vectors,
        active=interests.active,
        n=n,
        item_filter=filter_of_rows(item_filter, servable),
        score=model.config.score,
    )
    return VectorSearch(search, interests, servable.to_rows(histories), servable)


class PopularItems(NamedTuple):
    """The servable items by popularity, with which the lists of unknown users are filled."""

    order: Ints  # (M,) rows of the servable items, the most popular one first, ties by the lower id
    counts: Ints  # (M,) training interactions of each row: the scores


def fill_popular_lists(
    ranked: TopN,
    cases: Ints,
    popular: PopularItems,
    item_filter: ItemFilter,
    servable: ServableItems,
) -> TopN:
    """Return the lists (C, n); those of `cases` have the most popular items that are allowed.

    The items have the interest -1 (recall-R51), and the limit per interest does not apply.
    """
    if not len(cases):
        return ranked
    filled, n = copy.deepcopy(ranked), ranked.items.shape[1]
    write_cases(filled, cases, empty_top_n(len(cases), n, np.float64))
    for case in cases:
        limits = filter_of_rows(item_filter.take(np.array([case])), servable)
        is_allowed = limits.mask_scores(np.zeros((1, len(popular.order))))[0] == 0
        if limits.exclude is not None:
            is_allowed[limits.exclude.values] = False
        rows = popular.order[is_allowed[popular.order]][:n]
        filled.items[case, : len(rows)] = servable.ids[rows]
        filled.scores[case, : len(rows)] = popular.counts[rows]
    return filled


def filter_of_rows(item_filter: ItemFilter, servable: ServableItems) -> ItemFilter:
    """Return a filter of dense ids as a filter of rows of the servable items."""
    if servable.is_all:
        return item_filter
    is_allowed, only, exclude, _ = item_filter
    return item_filter._replace(
        is_allowed=None if is_allowed is None else is_allowed[servable.ids],
        only=None if only is None else only._replace(rows=servable.to_rows(only.rows)),
        exclude=None if exclude is None else servable.to_rows(exclude),
    )


def servable_matrix(model: Model, servable: ServableItems) -> Array:
    """Return the vectors of the servable items (M, D)."""
    vectors = item_matrix(model)
    return vectors if servable.is_all else vectors[servable.ids]


def recommend_by_scores(model: Model, histories: Ragged, n: int, item_filter: ItemFilter) -> TopN:
    """Return the top-n servable items of each history by the scores of the model."""
    servable = ServableItems.of(model.catalogue)
    histories, limits = servable.select(histories), filter_of_rows(item_filter, servable)
    ranked, start = empty_top_n(len(histories), n, np.float64), 0
    for block in score_histories(model, histories):
        cases = np.arange(start, start + block.shape[0])
        write_cases(ranked, cases, lists_by_scores(block, n, servable, limits.take(cases)))
        start += block.shape[0]
    return ranked._replace(items=servable.to_ids(ranked.items))


def lists_by_scores(
    scores: Array | SparseScores, n: int, servable: ServableItems, limits: ItemFilter
) -> TopN:
    """Return the lists of a block of cases by scores (C, N); dense scores only for a filter."""
    if isinstance(scores, SparseScores):
        scores = scores if servable.is_all else scores.take_items(servable.ids)
        if limits.is_allowed is None and limits.only is None:
            return top_n_by_sparse_score(
                scores.entries,
                base_scores=scores.base_scores,
                order=scores.order,
                n=n,
                exclude=limits.exclude,
            )
        scores = scores.to_dense()
    elif not servable.is_all:
        scores = scores[:, servable.ids]
    return top_n_by_score(limits.mask_scores(scores), n=n, exclude=limits.exclude)
