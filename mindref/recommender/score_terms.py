"""Terms of the score that validation chooses: own counts, and the popularity of items.

Spec: specs/mind_plus.md, mind_plus-R25 to R28. The parameters are unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation.metrics import hit_mask
from mindref.models.parameters import NO_TERMS, ScoreTerms
from mindref.recall.retrieval import best_columns, entries_at
from mindref.recall.top_n import TopN
from mindref.recommender.serving.top_n_lists import VectorSearch
from mindref.shapes import Array, Bools

WEIGHTS = (2.0, 8.0, 32.0)
"""In logits; times `temperature`, they are in units of the score."""

DECAYS = (1.0, 0.95)

EXPONENTS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Of popularity."""

MIN_CASES = 100
"""Fewer validation cases choose no exponent of popularity."""


def choose_own_counts(
    vector_search: VectorSearch, targets: Ragged, temperature: float
) -> tuple[TopN, ScoreTerms]:
    """Return the lists (C, n) with the best term of own counts, and the term, which may be none.

    The best term has the largest sum of gains of the targets (C rows), discounted by rank.
    """
    search, servable = vector_search.search, vector_search.servable
    terms = [ScoreTerms(weight * temperature, x) for x, weight in product(DECAYS, WEIGHTS)]
    counts = {x: vector_search.own_counts(x) for x in DECAYS}
    lists, gains = search.top_n(), np.zeros(1 + len(terms))
    for cases, candidates in search.with_added_scores(counts[DECAYS[0]]).score_candidates(lists):
        is_target = hit_mask(servable.to_ids(candidates.items), targets.take(cases))
        added = {x: entries_at(counts[x][cases], candidates.items) for x in DECAYS}
        scores = [candidates.scores + x.own_counts * added[x.decay] for x in terms]
        for i, with_term in enumerate([candidates.scores, *scores]):
            columns = best_columns(with_term, search.n)
            is_hit = np.take_along_axis(is_target, columns, axis=1)
            gains[i] += discounted_gains(is_hit).sum()
    best = int(np.argmax(gains))  # mind_plus-R26: of equal gains, the first
    term = terms[best - 1] if best else NO_TERMS
    if best:
        lists = vector_search.with_own_counts(term).add_scores(lists)
    return lists._replace(items=servable.to_ids(lists.items)), term


def discounted_gains(is_hit: Bools) -> Array:
    """Return the sum of 1 / log2(1 + rank) over the hits of each list (C, n)."""
    gains: Array = is_hit @ (1 / np.log2(2 + np.arange(is_hit.shape[1])))
    return gains


def choose_popularity(
    find_hits: Callable[[float], Bools], measure: Callable[[Bools], float]
) -> float:
    """Return the exponent of popularity with the largest certain gain, or 0.

    find_hits: returns for an exponent whether each item of the lists (C, n) is a target. measure:
    returns the validation metric of hits. A gain, the difference from exponent 0, is certain if its
    mean is more than two standard errors, and the metric does not fall.
    """
    without = find_hits(0.0)
    if len(without) < MIN_CASES:
        return 0.0
    gains_without, metric_without = discounted_gains(without), measure(without)
    chosen, largest = 0.0, 0.0
    for exponent in EXPONENTS:
        hits = find_hits(exponent)
        gains = discounted_gains(hits) - gains_without
        mean, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
        if mean > max(largest, 2 * error) and measure(hits) >= metric_without:
            chosen, largest = exponent, mean
        if mean + error < largest:  # mind_plus-R28: larger exponents gain less
            break
    return chosen
